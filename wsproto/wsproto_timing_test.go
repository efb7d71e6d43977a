package wsproto

// This file measures the paths of a message, with messages from corpus_test.go, and of an upgrade.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// turns is how many messages of each kind a benchmark takes turns with: 200 kB of announces.
const turns = 16

// eachKind runs a benchmark with ids of letters and with ids of random bytes.
func eachKind(b *testing.B, run func(b *testing.B, c *corpus)) {
	for _, binary := range []bool{false, true} {
		name := "ids=text"
		if binary {
			name = "ids=binary"
		}
		b.Run(name, func(b *testing.B) { run(b, newCorpus(binary)) })
	}
}

// someOf makes turns messages, and gives the benchmark their average length.
func someOf(b *testing.B, message func() []byte) (texts [turns][]byte) {
	total := 0
	for i := range texts {
		texts[i] = message()
		total += len(texts[i])
	}
	b.SetBytes(int64(total / turns))
	b.ReportAllocs()
	return texts
}

// benchDecode measures the decoding of messages.
func benchDecode(b *testing.B, message func() []byte) {
	texts := someOf(b, message)
	d, m := &Decoder{MaxOffers: 10, MaxScrape: 255}, new(Message)
	for i := 0; b.Loop(); i++ {
		if r := d.Decode(texts[i%turns], m); r != RejectNone {
			b.Fatal(r)
		}
	}
}

// BenchmarkDecode measures the decoding of the messages that a tracker gets most.
func BenchmarkDecode(b *testing.B) {
	eachKind(b, func(b *testing.B, c *corpus) {
		b.Run("announce=10", func(b *testing.B) { benchDecode(b, func() []byte { return c.announce(10) }) })
		b.Run("announce=0", func(b *testing.B) { benchDecode(b, func() []byte { return c.announce(0) }) })
		b.Run("answer", func(b *testing.B) { benchDecode(b, c.answer) })
	})
}

// BenchmarkDecodeUnlike measures texts that take none of the fast paths: an sdp of escapes only, one of two-byte
// characters only, and numbers in place of strings.
func BenchmarkDecodeUnlike(b *testing.B) {
	c := newCorpus(false)
	for name, sdp := range map[string]string{
		"quotes":   `"` + strings.Repeat(`\"`, 700) + `"`,
		"unicode":  `"` + strings.Repeat(`\u00e9`, 230) + `"`,
		"two-byte": `"` + strings.Repeat("é", 700) + `"`,
		"numbers":  "[" + strings.Repeat("1234,", 280) + "1]",
	} {
		text := []byte(`{"extra":` + sdp + `,` + string(c.announce(0)[1:]))
		b.Run(name, func(b *testing.B) { benchDecode(b, func() []byte { return text }) })
	}
}

// BenchmarkRelay measures all work of this package for an announce with 10 offers that all find a peer: the frame is
// copied (it is unmasked in place), read and decoded, and the reply and the offers are composed.
func BenchmarkRelay(b *testing.B) {
	eachKind(b, func(b *testing.B, c *corpus) {
		streams := someOf(b, func() []byte { return frames(c.announce(10), 1<<20) })
		d, m := &Decoder{MaxOffers: 10}, new(Message)
		buf, dst := make([]byte, 32<<10), make([]byte, 0, 32<<10)
		for i := 0; b.Loop(); i++ {
			var r Reader
			stream := buf[:copy(buf, streams[i%turns])]
			_, text, _ := r.Next(stream, testLimits)
			if d.Decode(text, m) != RejectNone {
				b.Fatal("rejected")
			}
			out := AppendAnnounceReply(dst, &m.InfoHash, 1, 2, 120)
			for k := range m.Offers {
				o := &m.Offers[k]
				out = AppendOffer(out, &m.InfoHash, &m.PeerID, &o.ID, o.SDP)
			}
		}
	})
}

func BenchmarkAppendOffer(b *testing.B) {
	eachKind(b, func(b *testing.B, c *corpus) {
		var ids [turns]ID
		for i := range ids {
			ids[i] = c.id()
		}
		sdp := []byte(c.sdp())
		dst := make([]byte, 0, OfferSize(len(sdp)))
		b.ReportAllocs()
		b.SetBytes(int64(len(sdp)))
		for i := 0; b.Loop(); i++ {
			AppendOffer(dst, &ids[i%turns], &ids[(i+1)%turns], &ids[(i+2)%turns], sdp)
		}
	})
}

func BenchmarkAppendAnnounceReply(b *testing.B) {
	eachKind(b, func(b *testing.B, c *corpus) {
		var ids [turns]ID
		for i := range ids {
			ids[i] = c.id()
		}
		dst := make([]byte, 0, AnnounceReplySize)
		b.ReportAllocs()
		b.SetBytes(int64(len(AppendAnnounceReply(dst, &ids[0], 10, 20, 120))))
		for i := 0; b.Loop(); i++ {
			AppendAnnounceReply(dst, &ids[i%turns], 10, 20, 120)
		}
	})
}

func BenchmarkAppendScrapeReply(b *testing.B) {
	f := func(name string, n int, hash func(id *ID, i int)) {
		files := make([]ScrapeFile, n)
		for i := range files {
			hash(&files[i].Hash, i)
		}
		dst := make([]byte, 0, ScrapeReplySize(n))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				AppendScrapeReply(dst, files)
			}
		})
	}
	spread := func(id *ID, i int) { binary.LittleEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15) }
	f("1", 1, spread)
	f("8", 8, spread)
	f("9", 9, spread)
	f("255", 255, spread)
	f("255 alike but for their end", 255, func(id *ID, i int) { id[19] = byte(i) })
}

func BenchmarkParseUpgrade(b *testing.B) {
	head := []byte(testHead)
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _ := ParseUpgrade(head, 0, testMaxHead); n == 0 {
			b.Fatal("refused")
		}
	}
}

// BenchmarkFrameHeader measures the header of a frame with a length of each size.
func BenchmarkFrameHeader(b *testing.B) {
	for _, n := range []int{100, 14000, 70000} {
		frame := clientFrame(nil, ws.OpText, true, strings.Repeat("x", n))
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(headerSize(frame[1])))
			for b.Loop() {
				if _, size, _ := parseHeader(frame, ws.StateServerSide); size == 0 {
					b.Fatal("no header")
				}
			}
		})
	}
}

// readStream reads a stream in receives of at most the size. Each is written behind the kept bytes, as a server does
// that has one buffer for each connection. Writing counts: bytes that are unmasked in place have to be new.
func readStream(b *testing.B, buf, stream []byte, size int) {
	var r Reader
	for kept := 0; len(stream) > 0; {
		n := copy(buf[kept:kept+min(size, len(stream))], stream)
		stream = stream[n:]
		for {
			kind, _, err := r.Next(buf[:kept+n], testLimits)
			if err != nil {
				b.Fatal(err)
			}
			if kind == None {
				break
			}
		}
		kept, _ = r.Keep(buf[:kept+n])
	}
}

// benchReader measures streams in receives of at most the size.
func benchReader(b *testing.B, size int, stream func() []byte) {
	streams := someOf(b, stream)
	buf := make([]byte, 1<<20)
	for i := 0; b.Loop(); i++ {
		readStream(b, buf, streams[i%turns], size)
	}
}

// BenchmarkReader measures an announce with 10 offers in one receive and in receives of 4,096 bytes, as one frame and
// in the fragments of 4,096 bytes that some clients send; and an announce without offers.
func BenchmarkReader(b *testing.B) {
	c := newCorpus(true)
	for _, frame := range []int{1 << 20, 4096} {
		for _, receive := range []int{1 << 20, 4096} {
			b.Run(fmt.Sprintf("announce=10/frame=%d/receive=%d", frame, receive), func(b *testing.B) {
				benchReader(b, receive, func() []byte { return frames(c.announce(10), frame) })
			})
		}
	}
	b.Run("announce=0", func(b *testing.B) {
		benchReader(b, 1<<20, func() []byte { return frames(c.announce(0), 1<<20) })
	})
}

// BenchmarkReaderOneByteFragments shows that the cost of a byte does not grow with the size of its message, even in the
// smallest fragments.
func BenchmarkReaderOneByteFragments(b *testing.B) {
	for name, n := range map[string]int{"1k": 1 << 10, "100k": 100 << 10} {
		stream := clientFrame(nil, ws.OpText, false, "")
		for range n {
			stream = clientFrame(stream, ws.OpContinuation, false, "x")
			stream = clientFrame(stream, ws.OpPing, true, "")
		}
		stream = clientFrame(stream, ws.OpContinuation, true, "")
		b.Run(name, func(b *testing.B) { benchReader(b, 1<<20, func() []byte { return stream }) })
	}
}

// BenchmarkUnmask compares ws.Cipher with the plain loop over 8 bytes that would replace it.
func BenchmarkUnmask(b *testing.B) {
	mask := [4]byte{1, 2, 3, 4}
	plain := func(p []byte) {
		m := uint64(binary.LittleEndian.Uint32(mask[:]))
		m |= m << 32
		for ; len(p) >= 8; p = p[8:] {
			binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^m)
		}
		for i := range p {
			p[i] ^= mask[i&3]
		}
	}
	for name, n := range map[string]int{"10": 10, "300": 300, "14k": 14 << 10} {
		p := bytes.Clone([]byte(strings.Repeat("x", n)))
		b.Run("cipher/"+name, func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				ws.Cipher(p, mask, 0)
			}
		})
		b.Run("plain/"+name, func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				plain(p)
			}
		})
	}
}

// BenchmarkParseProxyHeader measures a header of each version; that of version 2 has a checksum.
func BenchmarkParseProxyHeader(b *testing.B) {
	for name, header := range map[string]string{
		"v1": "PROXY TCP6 2001:db8:1234:5678:9abc:def0:1234:5678 2001:db8::2 56324 443\r\n",
		"v2": withChecksum(binaryHeader(0x21, 0x21, testBlock6+"\x03\x00\x04\x00\x00\x00\x00"), 55),
	} {
		b.Run(name, func(b *testing.B) {
			buf := []byte(header)
			b.ReportAllocs()
			for b.Loop() {
				if n, _, _, err := ParseProxyHeader(buf); n != len(buf) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkForwardedClient measures the walk over two lines of a request, past two trusted proxies.
func BenchmarkForwardedClient(b *testing.B) {
	head := strings.Replace(testHead, "Host:",
		"X-Forwarded-For: 203.0.113.9, 2001:db8::17, 10.0.0.2\r\nX-Forwarded-For: 10.0.0.1\r\nHost:", 1)
	req, _, _ := ParseUpgrade([]byte(head), 0, testMaxHead)
	b.ReportAllocs()
	for b.Loop() {
		if a, _ := req.ForwardedClient(trustedProxy); !a.Is6() {
			b.Fatal(a)
		}
	}
}
