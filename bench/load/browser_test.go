package load

// This file tests the session descriptions of browsers.

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// chromium is the form of a description by Chromium for a data channel, with three candidates.
var chromium = regexp.MustCompile(strings.ReplaceAll(`^v=0
o=- (\d{19}) 2 IN IP4 127\.0\.0\.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application (5\d{4}) UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 (1\d\d\.1\d\d\.1\d\d\.1\d\d)
a=candidate:(\d{10}) 1 udp 2113937151 ([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12})\.local (5\d{4}) `+
	`typ host generation 0 network-cost 999
a=candidate:(\d{10}) 1 udp 1677729535 (\S+) (5\d{4}) typ srflx raddr 0\.0\.0\.0 rport 0 generation 0 network-cost 999
a=candidate:(\d{10}) 1 udp 1677729279 (\S+) (5\d{4}) typ srflx raddr 0\.0\.0\.0 rport 0 generation 0 network-cost 999
a=ice-ufrag:([A-Za-z0-9+/]{4})
a=ice-pwd:([A-Za-z0-9+/]{24})
a=ice-options:trickle
a=fingerprint:sha-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})
a=setup:(actpass|active)
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
$`, "\n", "\r\n"))

// TestBrowserSDP proves that a browser's description has Chromium's form and length, that its default address and port
// are those of its first candidate for others, and that all that is random in it is another in each.
func TestBrowserSDP(t *testing.T) {
	const address, port, setup = 2, 1, 15 // in the list of what differs
	again := map[int]int{7: address, 8: port, 10: address}
	offer, answer := (&Config{SDP: sdpBrowser}).templates()
	for _, tt := range []struct {
		setup, role string
		*sdpTemplate
	}{{"actpass", "offer", offer}, {"active", "answer", answer}} {
		template := tt.sdpTemplate
		text := make([]byte, template.size())
		seen := make([]map[string]bool, 16)
		for k := range seen {
			seen[k] = make(map[string]bool)
		}
		const descriptions = 200
		for number := range uint64(descriptions) {
			template.fill(text, &id{}, number)
			whole := `{"offer":{"type":"offer","sdp":"` + string(text) + `"},"offer_id":"12345678901234567890"},`
			if n := len(whole); n < 900 || n > 1000 {
				t.Fatalf("%s: with its %s it is %d bytes long", text, tt.role, n)
			}
			var sdp string
			if err := json.Unmarshal([]byte(`"`+string(text)+`"`), &sdp); err != nil {
				t.Fatal(err)
			}
			parts := chromium.FindStringSubmatch(sdp)
			if parts == nil || parts[1+setup] != tt.setup {
				t.Fatalf("it has not Chromium's form: %s", sdp)
			}
			for k, part := range parts[1:] {
				seen[k][part] = true
				if of, ok := again[k]; ok && part != parts[1+of] {
					t.Fatalf("part %d is %s, part %d is %s: %s", k, part, of, parts[1+of], sdp)
				}
			}
		}
		for k := range seen {
			// Ports and ufrags are so short that some come twice.
			if n := len(seen[k]); k != setup && n < descriptions*9/10 {
				t.Errorf("part %d has %d values in %d descriptions", k, n, descriptions)
			}
		}
	}
}

// TestBrowserSDPCompresses proves that a description after another compresses as Chromium's do: what is random in it,
// 97 bytes by its entropy, is not shortened.
func TestBrowserSDPCompresses(t *testing.T) {
	template := newBrowserTemplate("actpass")
	stream := serverStream{back: 4096}
	text := make([]byte, template.size())
	for number := range uint64(10) {
		template.fill(text, &id{}, number)
		if n := len(stream.pack(text)); number > 0 && (n < 180 || n > 260) {
			t.Errorf("description %d of %d bytes is compressed to %d", number, len(text), n)
		}
	}
}
