package wsproto

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// benchDecode times a message of each shape.
func benchDecode(b *testing.B, text []byte) {
	d, m := &Decoder{MaxOffers: 10, MaxScrape: 255}, new(Message)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r := d.Decode(text, m); r != RejectNone {
			b.Fatal(r)
		}
	}
}

func BenchmarkDecodeAnnounce10Offers(b *testing.B) { benchDecode(b, announceWithOffers(10)) }
func BenchmarkDecodeAnnounceNoOffers(b *testing.B) { benchDecode(b, announceWithOffers(0)) }
func BenchmarkDecodeAnswer(b *testing.B)           { benchDecode(b, answerMessage()) }

func BenchmarkAppendOffer(b *testing.B) {
	hash, sdp := id(testHash), []byte(testSDP)
	dst := make([]byte, 0, OfferSize(len(sdp)))
	b.ReportAllocs()
	for b.Loop() {
		AppendOffer(dst, &hash, &hash, &hash, sdp)
	}
}

func BenchmarkAppendAnnounceReply(b *testing.B) {
	hash := id(testHash)
	dst := make([]byte, 0, AnnounceReplySize)
	b.ReportAllocs()
	for b.Loop() {
		AppendAnnounceReply(dst, &hash, 10, 20, 120)
	}
}

func BenchmarkAppendScrapeReply255(b *testing.B) {
	files := make([]ScrapeFile, 255)
	for i := range files {
		binary.LittleEndian.PutUint64(files[i].Hash[:], uint64(i)*0x9e3779b97f4a7c15)
	}
	dst := make([]byte, 0, ScrapeReplySize(len(files)))
	b.ReportAllocs()
	for b.Loop() {
		AppendScrapeReply(dst, files)
	}
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

// benchReader times a stream of frames that comes in one piece; copying it anew, since it is unmasked in place, counts.
func benchReader(b *testing.B, stream []byte) {
	buf := make([]byte, len(stream))
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		var r Reader
		copy(buf, stream)
		for {
			kind, _, err := r.Next(buf, testLimits)
			if err != nil {
				b.Fatal(err)
			}
			if kind == None {
				break
			}
		}
		r.Keep(buf)
	}
}

func BenchmarkReader14kB(b *testing.B) {
	benchReader(b, clientFrame(nil, ws.OpText, true, string(announceWithOffers(10))))
}

func BenchmarkReaderSmall(b *testing.B) {
	benchReader(b, clientFrame(nil, ws.OpText, true, string(announceWithOffers(0))))
}

// The cost for each byte must not grow with the size of the message, however small the fragments.
func BenchmarkReaderOneByteFragments(b *testing.B) {
	for name, n := range map[string]int{"1k": 1 << 10, "100k": 100 << 10} {
		stream := clientFrame(nil, ws.OpText, false, "")
		for range n {
			stream = clientFrame(stream, ws.OpContinuation, false, "x")
			stream = clientFrame(stream, ws.OpPing, true, "")
		}
		stream = clientFrame(stream, ws.OpContinuation, true, "")
		b.Run(name, func(b *testing.B) { benchReader(b, stream) })
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
