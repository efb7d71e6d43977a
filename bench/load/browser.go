package load

// This file is the session description of a browser: as long as Chromium's for a data channel, and random where that is
// random, so that it compresses as well as a real one and not better.

import "strings"

// Kinds of sdp: a short one that is filled with candidates up to sdp_bytes, and a browser's.
const (
	sdpSized   = "sized"
	sdpBrowser = "browser"
)

// iceLetters are those of ice-ufrag and ice-pwd (RFC 8839 §5.4). Each takes a byte of the random number, which is more
// than it needs, where others take half of one: two letters of 64 have more than 256 values.
var iceLetters = func() *[256]uint16 {
	var t [256]uint16
	for i := range t {
		t[i] = uint16((letters[:62] + "+/")[i%64])
	}
	return &t
}()

// sdpCopy is a part of the text that stands in it before or after: the default address and port are those of a
// candidate.
type sdpCopy struct{ at, from, n int }

// The address and port that others can reach, as marks: see sdpLines.
var (
	browserAddress = strings.Repeat(".1"+strings.Repeat(string(markDigits), 2), 4)[1:]
	browserPort    = "5" + strings.Repeat(string(markDigits), 4)
)

// reflexive is the text before the first candidate's address that others can reach.
const reflexive = " 1677729535 "

// browserLines is Chromium's description of a data channel with all its candidates: the host under a name of mDNS, and
// two of a NAT that gives each STUN server another port. Nothing names the origin: all of it derives from a number.
func browserLines(setup string) string {
	m := func(mark byte, n int) string { return strings.Repeat(string(mark), n) }
	candidate := func(priority, address, port, rest string) string {
		return "a=candidate:" + m(markDigits, 10) + " 1 udp" + priority + address + " " + port + " typ " + rest +
			" generation 0 network-cost 999\n"
	}
	name := m(markLowHex, 8) + "-" + m(markLowHex, 4) + "-4" + m(markLowHex, 3) + "-a" + m(markLowHex, 3) + "-" + m(markLowHex, 12)
	return strings.ReplaceAll("v=0\n"+
		"o=- "+m(markDigits, 19)+" 2 IN IP4 127.0.0.1\n"+
		"s=-\nt=0 0\na=group:BUNDLE 0\na=extmap-allow-mixed\na=msid-semantic: WMS\n"+
		"m=application "+m(markPort, len(browserPort))+" UDP/DTLS/SCTP webrtc-datachannel\n"+
		"c=IN IP4 "+m(markAddress, len(browserAddress))+"\n"+
		candidate(" 2113937151 ", name+".local", "5"+m(markDigits, 4), "host")+
		candidate(reflexive, browserAddress, browserPort, "srflx raddr 0.0.0.0 rport 0")+
		candidate(" 1677729279 ", m(markAddress, len(browserAddress)), "5"+m(markDigits, 4), "srflx raddr 0.0.0.0 rport 0")+
		"a=ice-ufrag:"+m(markIce, 4)+"\na=ice-pwd:"+m(markIce, 24)+"\na=ice-options:trickle\n"+
		"a=fingerprint:sha-256 "+strings.TrimSuffix(strings.Repeat(m(markHex, 2)+":", 32), ":")+"\n"+
		"a=setup:"+setup+"\na=mid:0\na=sctp-port:5000\na=max-message-size:262144\n",
		"\n", `\r\n`)
}

// newBrowserTemplate returns the template of a browser's descriptions.
func newBrowserTemplate(setup string) *sdpTemplate {
	lines := browserLines(setup)
	t := newTemplate(lines)
	address := strings.Index(lines, reflexive) + len(reflexive)
	for k := range t.copies {
		c := &t.copies[k]
		if c.from = address; lines[c.at] == markPort {
			c.from += len(browserAddress) + len(" ")
		}
	}
	return t
}

// templates returns those of the load's offers and answers.
func (c *Config) templates() (offer, answer *sdpTemplate) {
	if c.SDP == sdpBrowser {
		return newBrowserTemplate("actpass"), newBrowserTemplate("active")
	}
	return newSDPTemplate("actpass", c.SDPBytes), newSDPTemplate("active", c.SDPBytes)
}

// OfferBytes returns the length of an offer's sdp, as JSON text.
func (c *Config) OfferBytes() int {
	if c.SDP == sdpBrowser {
		return len(browserLines("actpass"))
	}
	return c.SDPBytes
}
