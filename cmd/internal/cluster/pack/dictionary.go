package pack

import "strings"

// This file has the dictionary: descriptions of sessions as the clients of trackers write them, those of the most clients last. Each was
// taken from the client itself (pion 4.0, libdatachannel as node-datachannel 0.33 has it for libtorrent, Firefox 153, Chromium 156), with a
// candidate of a STUN server, and without its random values. A change needs
// other forms.

const (
	pion = `"v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=msid-semantic:WMS*
a=fingerprint:sha-256 
a=extmap-allow-mixed
a=group:BUNDLE 0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=setup:actpass
a=mid:0
a=sendrecv
a=sctp-port:5000
a=ice-ufrag:
a=ice-pwd:
a=candidate:1 1 udp 2130706431 192.168.1. typ host
a=candidate:1 2 udp 2130706431 192.168.1. typ host
a=candidate:1 1 udp 1694498815 1 typ srflx raddr 0.0.0.0 rport 5
a=candidate:1 2 udp 1694498815 1 typ srflx raddr 0.0.0.0 rport 5
a=end-of-candidates
"`
	libdatachannel = `"v=0
o=rtc 1 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic:WMS *
a=ice-options:ice2,trickle
a=fingerprint:sha-256 
m=application 5 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.168.1.
a=mid:0
a=sendrecv
a=sctp-port:5000
a=max-message-size:262144
a=setup:actpass
a=ice-ufrag:
a=ice-pwd:
a=candidate:2 1 UDP 2116026111 fd00:: 5 typ host
a=candidate:1 1 UDP 2114977791 192.168.1. 5 typ host
a=candidate:3 1 UDP 1678769919 1 typ srflx raddr 0.0.0.0 rport 0
a=end-of-candidates
"`
	firefox = `"v=0
o=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:sha-256 
a=group:BUNDLE 0
a=ice-options:trickle
a=msid-semantic:WMS *
m=application 5 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 1
a=candidate:0 1 UDP 2122187007 -4.local 5 typ host
a=candidate:1 1 UDP 2122252543 -4.local 5 typ host
a=candidate:2 1 TCP 2105458943 -4.local 9 typ host tcptype active
a=candidate:3 1 TCP 2105524479 -4.local 9 typ host tcptype active
a=candidate:1 1 UDP 1685987327 1 typ srflx raddr 0.0.0.0 rport 0
a=sendrecv
a=end-of-candidates
a=ice-pwd:
a=ice-ufrag:
a=mid:0
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
"`
	chromium = `"v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2113942271 .local 5 typ host generation 0 network-cost 999
a=candidate:1 1 udp 2113937151 .local 5 typ host generation 0 network-cost 999
a=candidate:1 1 udp 1677734655 1 typ srflx raddr :: rport 0 generation 0 network-cost 999
a=candidate:1 1 udp 1677729279 1 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999
a=candidate:1 1 udp 1677729535 1 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999
a=ice-ufrag:
a=ice-pwd:
a=ice-options:trickle
a=fingerprint:sha-256 
a=setup:active
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
"`
)

// dictionary returns the texts as they are in JSON.
func dictionary() []byte {
	return []byte(strings.ReplaceAll(pion+libdatachannel+firefox+chromium, "\n", `\r\n`))
}
