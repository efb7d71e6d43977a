package load

// This file owns the form of a client's messages: their layout, which a server that only moves bytes relies on, and the
// frames that carry them.

import (
	"encoding/binary"

	"millrace/wsproto"
)

// Layout says where the parts of a client's message lie. All messages of one kind have the same layout: fields have
// fixed widths, padded with white space outside of strings where needed. A server that only moves bytes finds the
// fields by it. Offsets are in bytes from the start of the JSON text; the offset of a field that a message lacks is 0.
type Layout struct {
	Size     int // of the JSON text
	InfoHash int // 20 bytes, as are all ids
	PeerID   int
	ToPeerID int // answers only

	// In an announce, offer k begins at Offers + k*Stride, and SDP and OfferID are relative to that. In an answer they
	// are absolute.
	Offers, Stride int
	SDP, SDPSize   int // the text inside the quotes
	OfferID        int
}

// The parts of an announce, in the order of the reference client. A part that differs between announces has the same
// length in all its variants.
const (
	announceHead   = `{"action":"announce","info_hash":"`
	announcePeer   = `","peer_id":"`
	announceStats  = `","uploaded":0,"downloaded":0,"left":`
	leftSome       = `1073741824`
	leftNone       = `0         `
	eventStarted   = `,"event":"started"`
	eventStopped   = `,"event":"stopped"`
	eventNone      = `                  `
	announceWant   = `,"numwant":`
	wantDigits     = 2
	announceOffers = `,"offers":[`
	offerHead      = `{"offer":{"type":"offer","sdp":"`
	offerMiddle    = `"},"offer_id":"`
	offerTail      = `"}`
	announceTail   = `]}`

	answerTo     = `","to_peer_id":"`
	answerHead   = `","answer":{"type":"answer","sdp":"`
	answerMiddle = `"},"offer_id":"`
	answerTail   = `"}`

	scrapeHead = `{"action":"scrape","info_hash":"`
	scrapeTail = `"}`
)

const idSize = len(id{})

// AnnounceLayout returns the layout of an announce with so many offers, at most 64, of so many bytes of sdp.
func AnnounceLayout(offers, sdpBytes int) Layout {
	l := Layout{
		InfoHash: len(announceHead),
		PeerID:   len(announceHead) + idSize + len(announcePeer),
		SDP:      len(offerHead),
		SDPSize:  sdpBytes,
		OfferID:  len(offerHead) + sdpBytes + len(offerMiddle),
	}
	l.Offers = l.PeerID + idSize + len(announceStats) + len(leftSome) + len(eventNone) +
		len(announceWant) + wantDigits + len(announceOffers)
	l.Stride = l.OfferID + idSize + len(offerTail) + len(",")
	l.Size = l.Offers + offers*l.Stride + len(announceTail)
	if offers > 0 {
		l.Size-- // the last offer has no comma
	}
	return l
}

// AnswerLayout returns the layout of an answer.
func AnswerLayout(sdpBytes int) Layout {
	l := Layout{InfoHash: len(announceHead), SDPSize: sdpBytes}
	l.PeerID = l.InfoHash + idSize + len(announcePeer)
	l.ToPeerID = l.PeerID + idSize + len(answerTo)
	l.SDP = l.ToPeerID + idSize + len(answerHead)
	l.OfferID = l.SDP + sdpBytes + len(answerMiddle)
	l.Size = l.OfferID + idSize + len(answerTail)
	return l
}

// ScrapeLayout returns the layout of a scrape.
func ScrapeLayout() Layout {
	return Layout{InfoHash: len(scrapeHead), Size: len(scrapeHead) + idSize + len(scrapeTail)}
}

// Sizes of the header of a client's frame (RFC 6455 §5.2): with its masking key it has 6 bytes. Payloads of 126 bytes
// and more need 2 or 8 more.
const (
	maskedHeader = 6
	maskBit      = 0x80
	finBit       = 0x80
	packedBit    = 0x40 // RSV1 says that a message is compressed (RFC 7692 §6)
	length16     = 126
	length64     = 127
)

// Opcodes of frames (RFC 6455 §11.8).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// frameSize returns the size of a client's frame with n bytes of payload.
func frameSize(n int) int {
	switch {
	case n < length16:
		return maskedHeader + n
	case n <= 0xffff:
		return maskedHeader + 2 + n
	}
	return maskedHeader + 8 + n
}

// beginFrame appends the header of a client's frame for n bytes of payload. The payload is appended next, and then
// [wsproto.Mask] is called on it with the same key.
func beginFrame(dst []byte, opcode byte, n int, key uint32) []byte {
	dst = append(dst, finBit|opcode)
	switch {
	case n < length16:
		dst = append(dst, maskBit|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|length16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|length64), uint64(n))
	}
	return binary.LittleEndian.AppendUint32(dst, key)
}

// announceEvent is the event of an announce: the client starts, stops, or goes on.
type announceEvent uint8

const (
	updateEvent announceEvent = iota
	startEvent
	stopEvent
)

var announceEvents = [...]string{updateEvent: eventNone, startEvent: eventStarted, stopEvent: eventStopped}

// announce is the content of one announce.
type announce struct {
	hash, peer  *id
	connection  uint32
	seq         uint32
	incarnation uint16
	event       announceEvent
	seeder      bool
}

// wire makes the frames of a run's clients.
type wire struct {
	who      identity
	offer    *sdpTemplate
	answer   *sdpTemplate
	offers   int // in an announce
	announce Layout
	stop     Layout // an announce without offers
	reply    Layout // an answer
	scrape   Layout
}

func newWire(who identity, offers int, offer, answer *sdpTemplate) *wire {
	return &wire{
		who:      who,
		offer:    offer,
		answer:   answer,
		offers:   offers,
		announce: AnnounceLayout(offers, offer.size()),
		stop:     AnnounceLayout(0, offer.size()),
		reply:    AnswerLayout(answer.size()),
		scrape:   ScrapeLayout(),
	}
}

// extend makes dst longer by n bytes. It returns the whole and the n new bytes.
func extend(dst []byte, n int) (whole, added []byte) {
	at := len(dst)
	if cap(dst)-at < n {
		dst = append(dst, make([]byte, n)...)
	}
	whole = dst[:at+n]
	return whole, whole[at:]
}

// appendAnnounce appends the frame of an announce with all its offers, or with none where the client stops.
func (w *wire) appendAnnounce(dst []byte, a *announce, key uint32) []byte {
	layout, offers := &w.announce, w.offers
	if a.event == stopEvent {
		layout, offers = &w.stop, 0
	}
	dst = beginFrame(dst, opText, layout.Size, key)
	from := len(dst)
	dst = append(append(dst, announceHead...), a.hash[:]...)
	dst = append(append(dst, announcePeer...), a.peer[:]...)
	dst = append(dst, announceStats...)
	if a.seeder {
		dst = append(dst, leftNone...)
	} else {
		dst = append(dst, leftSome...)
	}
	dst = append(append(dst, announceEvents[a.event]...), announceWant...)
	dst = appendWant(dst, w.offers)
	dst = append(dst, announceOffers...)
	for k := range offers {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = w.appendOffer(dst, offerRef{a.connection, a.seq, a.incarnation, uint8(k)})
	}
	dst = append(dst, announceTail...)
	wsproto.Mask(dst[from:], key)
	return dst
}

// appendWant appends a number of one or two digits as two bytes.
func appendWant(dst []byte, n int) []byte {
	if n < 10 {
		return append(dst, '0'+byte(n), ' ')
	}
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

func (w *wire) appendOffer(dst []byte, r offerRef) []byte {
	name := w.who.offerID(r)
	dst = append(dst, offerHead...)
	dst, sdp := extend(dst, w.offer.size())
	w.offer.fill(sdp, &name, w.who.content(r))
	dst = append(append(dst, offerMiddle...), name[:]...)
	return append(dst, offerTail...)
}

// answerNumber is the number from which the answer of a peer to an offer derives.
func (w *wire) answerNumber(r offerRef, answerer *id) uint64 {
	return w.who.mix(forAnswer, w.who.content(r), binary.LittleEndian.Uint64(answerer[len(peerPrefix):]))
}

// appendAnswer appends the frame with which the peer from answers an offer of the peer to.
func (w *wire) appendAnswer(dst []byte, hash, from, to, offerID *id, r offerRef, key uint32) []byte {
	dst = beginFrame(dst, opText, w.reply.Size, key)
	start := len(dst)
	dst = append(append(dst, announceHead...), hash[:]...)
	dst = append(append(dst, announcePeer...), from[:]...)
	dst = append(append(dst, answerTo...), to[:]...)
	dst = append(dst, answerHead...)
	dst, sdp := extend(dst, w.answer.size())
	w.answer.fill(sdp, from, w.answerNumber(r, from))
	dst = append(append(dst, answerMiddle...), offerID[:]...)
	dst = append(dst, answerTail...)
	wsproto.Mask(dst[start:], key)
	return dst
}

// appendScrape appends the frame of a scrape of one torrent.
func (w *wire) appendScrape(dst []byte, hash *id, key uint32) []byte {
	dst = beginFrame(dst, opText, w.scrape.Size, key)
	from := len(dst)
	dst = append(append(append(dst, scrapeHead...), hash[:]...), scrapeTail...)
	wsproto.Mask(dst[from:], key)
	return dst
}

// appendControl appends a control frame.
func appendControl(dst []byte, opcode byte, payload []byte, key uint32) []byte {
	dst = append(beginFrame(dst, opcode, len(payload), key), payload...)
	wsproto.Mask(dst[len(dst)-len(payload):], key)
	return dst
}

// key returns the next masking key.
//
// RFC 6455 §5.3: «The masking key is a 32-bit value chosen at random by the client.» The tracker here is no stranger,
// so a fast generator is good enough.
func (w *worker) key() uint32 {
	w.mask ^= w.mask << 13
	w.mask ^= w.mask >> 7
	w.mask ^= w.mask << 17
	return uint32(w.mask >> 16)
}
