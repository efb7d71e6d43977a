package load

// This file makes and compares session descriptions that look like a browser's.

import (
	"bytes"
	"fmt"
	"strings"
)

// minSDPBytes is the least length of an sdp text: the name of its origin, and some letters that are unique to it.
const minSDPBytes = 40

// sdpTemplate makes session descriptions such as a browser makes for a data channel, as the text inside a JSON string
// literal. All of one template have the same length. Each names its origin, an id, unless it is a browser's, and holds
// pieces all over that derive from one number. So any receiver can make the description again and compare.
type sdpTemplate struct {
	text   []byte
	nameAt int // of the id that it names; -1: it names none
	pieces []sdpPiece
	copies []sdpCopy
}

// sdpPiece is a part of the text that differs from one description to the next.
type sdpPiece struct {
	at, n int
	pairs *[256]uint16
}

// The letters that pieces are made of, two for each byte.
var (
	pieceLetters = pairsOf(letters[:62])
	pieceHex     = pairsOf("0123456789ABCDEF")
	pieceLowHex  = pairsOf("0123456789abcdef")
	pieceDigits  = pairsOf("0123456789")
)

func pairsOf(alphabet string) *[256]uint16 {
	var t [256]uint16
	for i := range t {
		t[i] = uint16(alphabet[i%len(alphabet)]) | uint16(alphabet[(i/16+i)%len(alphabet)])<<8
	}
	return &t
}

// The marks in sdpLines: a run of one stands for a piece of that length; the name is 20 bytes.
const (
	markName    = '\x01'
	markLetters = '\x02'
	markHex     = '\x03'
	markDigits  = '\x04'
	markLowHex  = '\x05'
	markIce     = '\x06'
	markPort    = '\x07' // that of a candidate once more
	markAddress = '\x0e' // and so its address
)

// sdpLines is the form of a description. Lines end in CRLF, written as JSON does.
func sdpLines(setup string) string {
	m := func(mark byte, n int) string { return strings.Repeat(string(mark), n) }
	fingerprint := strings.TrimSuffix(strings.Repeat(m(markHex, 2)+":7B:0C:E4:", 8), ":")
	return strings.ReplaceAll("v=0\n"+
		"o="+m(markName, 20)+" "+m(markDigits, 18)+" 2 IN IP4 127.0.0.1\n"+
		"s=-\nt=0 0\n"+
		"a=ice-ufrag:"+m(markLetters, 4)+"\na=ice-pwd:"+m(markLetters, 8)+"tPqYbnJ5xGm2RsVd"+"\n"+
		"a=fingerprint:sha-256 "+fingerprint+"\n"+
		"a=group:BUNDLE 0\na=extmap-allow-mixed\na=msid-semantic: WMS\n"+
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\n"+
		"a=candidate:"+m(markDigits, 9)+" 1 udp 2113937151 192.168."+m(markDigits, 1)+".17 5"+m(markDigits, 4)+
		" typ host generation 0 network-cost 999\n"+
		"a=ice-options:trickle\na=setup:"+setup+"\na=mid:0\na=sctp-port:5000\na=max-message-size:262144\n",
		"\n", `\r\n`)
}

// newSDPTemplate returns a template for texts of n bytes, at least minSDPBytes. Short ones are cut, longer ones have
// more candidates.
func newSDPTemplate(setup string, n int) *sdpTemplate {
	lines := sdpLines(setup)
	for k := 0; len(lines) < n; k++ {
		lines += fmt.Sprintf(`a=candidate:%s 1 tcp 1518214911 10.0.%d.%d 9 typ host tcptype active generation 0\r\n`,
			strings.Repeat(string(markDigits), 4), k/200, k%200)
	}
	lines = lines[:n]
	// A cut must not part an escape: the rest of one becomes letters, and so does the last piece.
	if at := strings.LastIndexByte(lines, '\\'); at >= n-4 {
		lines = lines[:at] + strings.Repeat(string(markLetters), n-at)
	} else {
		lines = lines[:n-1] + string(markLetters)
	}
	return newTemplate(lines)
}

// newTemplate returns the template of a text with marks.
func newTemplate(lines string) *sdpTemplate {
	t := &sdpTemplate{text: []byte(lines), nameAt: -1}
	for at := 0; at < len(lines); {
		end := at + 1
		for end < len(lines) && lines[end] == lines[at] {
			end++
		}
		t.mark(lines[at], at, end)
		at = end
	}
	return t
}

// mark notes the meaning of a run of one byte.
func (t *sdpTemplate) mark(c byte, at, end int) {
	switch c {
	case markName:
		t.nameAt = at
	case markLetters:
		t.pieces = append(t.pieces, sdpPiece{at, end - at, pieceLetters})
	case markHex:
		t.pieces = append(t.pieces, sdpPiece{at, end - at, pieceHex})
	case markDigits:
		t.pieces = append(t.pieces, sdpPiece{at, end - at, pieceDigits})
	case markLowHex:
		t.pieces = append(t.pieces, sdpPiece{at, end - at, pieceLowHex})
	case markIce:
		for ; at < end; at++ {
			t.pieces = append(t.pieces, sdpPiece{at, 1, iceLetters})
		}
	case markPort, markAddress:
		t.copies = append(t.copies, sdpCopy{at: at, n: end - at})
	}
}

// size returns the length of every text.
func (t *sdpTemplate) size() int { return len(t.text) }

// fill writes the text that names an origin and derives from a number into dst, which has the template's size.
func (t *sdpTemplate) fill(dst []byte, name *id, number uint64) {
	copy(dst, t.text)
	if t.nameAt >= 0 {
		copy(dst[t.nameAt:], name[:])
	}
	state, word, left := number, uint64(0), 0
	for i := range t.pieces {
		p := &t.pieces[i]
		piece := dst[p.at : p.at+p.n]
		for k := 0; k < len(piece); k += 2 {
			if left == 0 {
				state += 0x9e3779b97f4a7c15
				word = (state ^ state>>31) * 0xbf58476d1ce4e5b9
				word ^= word >> 29
				left = 8
			}
			pair := p.pairs[byte(word)]
			piece[k] = byte(pair)
			if k+1 < len(piece) {
				piece[k+1] = byte(pair >> 8)
			}
			word >>= 8
			left--
		}
	}
	for _, c := range t.copies {
		copy(dst[c.at:c.at+c.n], dst[c.from:])
	}
}

// name returns the id that a text names; nil where the text has another length, or names none.
func (t *sdpTemplate) name(text []byte) []byte {
	if len(text) != len(t.text) || t.nameAt < 0 {
		return nil
	}
	return text[t.nameAt : t.nameAt+len(id{})]
}

// matches reports whether fill writes this text. scratch has room for the template's size.
func (t *sdpTemplate) matches(text, scratch []byte, name *id, number uint64) bool {
	if len(text) != len(t.text) {
		return false
	}
	scratch = scratch[:len(t.text)]
	t.fill(scratch, name, number)
	return bytes.Equal(text, scratch)
}
