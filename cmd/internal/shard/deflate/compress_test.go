package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// This file proves that blocks are read by compress/flate as they were meant, that they look back no farther than they may, and that
// they are nearly as short as those of a general compressor.

// inflate returns the message that was compressed, as a receiver with this window reads it.
func inflate(t testing.TB, packed, window []byte) []byte {
	t.Helper()
	out, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(append(bytes.Clone(packed), ending[:]...)), window))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCodes proves that both codes are complete, which receivers insist on, and that that for offers has all that JSON may hold in
// ASCII.
func TestCodes(t *testing.T) {
	f := func(name string, widths []uint8, n, most int) {
		t.Helper()
		sum := 0
		for _, w := range widths {
			if w > 0 {
				sum += 1 << 15 >> w
			}
			if int(w) > most {
				t.Errorf("%s: a symbol of %d bits", name, w)
			}
		}
		if len(widths) != n || sum != 1<<15 {
			t.Errorf("%s: %d symbols take %d of %d parts", name, len(widths), sum, 1<<15)
		}
	}
	f("letters for offers", widths(offerLetters), letters, 15)
	f("distances for offers", widths(offerDistances), distances, 15)
	f("widths", widthWidths[:], 19, 7)
	f("fixed letters", widths(fixedLetters), letters+2, 9)
	for b := byte(' '); b < 0x80; b++ {
		if newOffer().letter[b].width == absent {
			t.Errorf("%q is absent", b)
		}
	}
}

// TestCompress proves that every message comes through: of any length, with any bytes, with and without a window, with repetitions of
// all lengths at all distances, in either code; and that no repetition is of bytes out of reach.
func TestCompress(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	c := newCompressor()
	chosen := map[*code]int{}
	f := func(window, message string, reach int) {
		t.Helper()
		got := inflate(t, c.compress([]byte(window), []byte(message), reach), []byte(window))
		if string(got) != message {
			t.Fatalf("%d bytes behind %d: %d come through", len(message), len(window), len(got))
		}
		for _, p := range c.pieces {
			if int(p.distance) > reach {
				t.Fatalf("a repetition at a distance of %d", p.distance)
			}
		}
		chosen[c.choose()]++
	}
	for n := range 20 {
		f("", strings.Repeat("a", n), maxWindow)
		f(strings.Repeat("ab", n), strings.Repeat("ba", n), maxWindow)
	}
	for n := range 600 { // a repetition of each length, also such as take several symbols
		f("", noise(rng, n)+"!", maxWindow)
		text := noise(rng, 600)
		f(text, text[:n]+"?", maxWindow)
	}
	for _, distance := range []int{1, 2, 3, 4, 5, 255, 256, 257, 4095, 4096, 4097, 32767, 32768, 32769} {
		text := noise(rng, distance)
		f("", text+text[:min(distance, 300)], maxWindow)
		f("", text+text[:min(distance, 300)], 4096)
		f(text, text, maxWindow)
	}
	window := ""
	for range 300 {
		message := browserMessage(rng)
		f(window, message, maxWindow)
		f(window, message+"ü", maxWindow)
		f(window, message+"\x01", maxWindow)
		window = message
	}
	if chosen[c.fixed] < 600 || chosen[c.offer] < 300 {
		t.Errorf("chosen: %v", chosen)
	}
}

// TestPlacesOfOthers proves that a compressor finds the same in a text whatever it has seen before, also when its counter comes to its
// end.
func TestPlacesOfOthers(t *testing.T) {
	c := newCompressor()
	text := []byte(noise(rand.New(rand.NewPCG(1, 1)), 4000))
	want := bytes.Clone(c.compress(nil, text, maxWindow))
	for _, origin := range []uint32{0, 1, maxOrigin - 1, maxOrigin} {
		c.places.origin = max(c.places.origin, origin)
		for range 3 {
			if got := c.compress(nil, text, maxWindow); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, want %d", len(got), len(want))
			}
		}
	}
}

// TestShare proves that messages of browsers behind others are hardly longer than those of compress/flate at its usual level, and take
// less than 0.3 of their bytes.
func TestShare(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	c := newCompressor()
	var window, best bytes.Buffer
	plain, ours, theirs := 0, 0, 0
	for range 500 {
		message := []byte(browserMessage(rng))
		last := window.Bytes()[max(0, window.Len()-HistorySize):]
		packed := c.compress(last, message, maxWindow)
		best.Reset()
		w, err := flate.NewWriterDict(&best, flate.DefaultCompression, last)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(message)
		w.Flush()
		plain, ours, theirs = plain+len(message), ours+len(packed), theirs+best.Len()-4
		window.Write(message)
	}
	t.Logf("%d bytes take %d, and %d with compress/flate", plain, ours, theirs)
	if 10*ours > 3*plain || 100*ours > 115*theirs {
		t.Error("too many")
	}
}

// FuzzCompress proves that every message comes through.
func FuzzCompress(f *testing.F) {
	f.Add([]byte("offer offer"), []byte(`{"offer":{"sdp":"v=0\r\n"}}`), uint16(10))
	c := newCompressor()
	f.Fuzz(func(t *testing.T, window, message []byte, reach uint16) {
		window = window[max(0, len(window)-maxWindow):]
		if got := inflate(t, c.compress(window, message, int(reach)), window); !bytes.Equal(got, message) {
			t.Errorf("%q behind %q: %q", message, window, got)
		}
	})
}

// noise returns random letters.
func noise(rng *rand.Rand, n int) string { return letterString(rng, n, iceLetters) }

const (
	iceLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	digits     = "0123456789"
	lowHex     = "0123456789abcdef"
	upperHex   = "0123456789ABCDEF"
)

func letterString(rng *rand.Rand, n int, alphabet string) string {
	b := make([]byte, n)
	for k := range b {
		b[k] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(b)
}

// browserMessage returns the offer or answer of a browser as it is relayed: one host candidate behind a name, two of a NAT, and random
// values where browsers have them.
func browserMessage(rng *rand.Rand) string {
	some := func(n int, alphabet string) string { return letterString(rng, n, alphabet) }
	candidate := func(priority int, address, port, rest string) string {
		return fmt.Sprintf(`a=candidate:%s 1 udp %d %s %s typ %s generation 0 network-cost 999\r\n`, some(10, digits), priority, address,
			port, rest)
	}
	kind, setup := "offer", "actpass"
	if rng.IntN(2) == 0 {
		kind, setup = "answer", "active"
	}
	name := some(8, lowHex) + "-" + some(4, lowHex) + "-4" + some(3, lowHex) + "-a" + some(3, lowHex) + "-" + some(12, lowHex)
	address := fmt.Sprintf("%d.%d.%d.%d", 1+rng.IntN(223), rng.IntN(256), rng.IntN(256), rng.IntN(256))
	port := "5" + some(4, digits)
	fingerprint := ""
	for range 32 {
		fingerprint += ":" + some(2, upperHex)
	}
	return `{"action":"announce","info_hash":"hhhhhhhhhhhhhhhhhhhh","peer_id":"-WW0208-` + some(12, iceLetters) +
		`","offer_id":"` + some(20, iceLetters) + `","` + kind + `":{"type":"` + kind + `","sdp":"v=0\r\no=- ` + some(19, digits) +
		` 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application ` + port +
		` UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 ` + address + `\r\n` +
		candidate(2113937151, name+".local", "5"+some(4, digits), "host") +
		candidate(1677729535, address, port, "srflx raddr 0.0.0.0 rport 0") +
		candidate(1677729279, address, "5"+some(4, digits), "srflx raddr 0.0.0.0 rport 0") +
		`a=ice-ufrag:` + some(4, iceLetters) + `\r\na=ice-pwd:` + some(24, iceLetters) + `\r\na=ice-options:trickle\r\na=fingerprint:sha-256 ` +
		fingerprint[1:] + `\r\na=setup:` + setup + `\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"}}`
}
