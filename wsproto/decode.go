package wsproto

// This file owns the meaning of client messages: the JSON fields that count, and the result of odd values.

import (
	"bytes"
	"math"
)

// maxKeepalive bounds a keepalive in bytes, so that no real message is looked at twice.
const maxKeepalive = 16

// maxSDP is the largest session description in bytes of UTF-8. libtorrent closes its connection on a larger one.
const maxSDP = 64 << 10

// Decoder decodes client messages. It holds only limits and no state, so threads may share one.
type Decoder struct {
	MaxOffers int // offers taken from one announce
	MaxScrape int // hashes taken from one scrape
}

// presence says whether a field was there and usable. The last of several fields with the same name counts.
type presence uint8

const (
	missing presence = iota // or null
	good
	bad
)

// fields notes what the message has, besides the values in Message itself.
type fields struct {
	scrape, announce                          bool // the action
	peerID, toPeerID, offerID, answer, hashes presence
	hash                                      presence // info_hash is a string
}

// decoding is the state of one call of Decode.
type decoding struct {
	jsonReader
	fields
	m         *Message
	maxOffers int
	maxScrape int
	scratch   [16]byte // longer than every key and every word
}

// Decode decodes the text of a client's message into m. The views in m are of text and live as long as it does.
//
// The whole text must be one JSON value (RFC 8259) of at most 32 levels. Keys match exactly. Unknown keys are skipped
// with values of any type. The last of several equal keys counts. A message fails only for a field that it cannot do
// without: then the result is not RejectNone, and only Action, HasInfoHash and InfoHash of m count. A keepalive is the
// only text that need not be JSON.
func (d *Decoder) Decode(text []byte, m *Message) Reject {
	m.reset()
	if len(text) <= maxKeepalive && isKeepalive(text) {
		return RejectKeepalive
	}
	s := decoding{jsonReader: jsonReader{text: text}, m: m, maxOffers: d.MaxOffers, maxScrape: d.MaxScrape}
	if s.peek() == '{' {
		s.message()
	} else {
		s.skip()
	}
	if !s.end() {
		m.reset()
		return RejectNotJSON
	}
	return s.judge()
}

// isKeepalive reports whether text is one of those that keep a connection open for clients without ping frames, such as
// pages in browsers: nothing, white space, or the word ping or pong, bare or as a JSON string.
func isKeepalive(text []byte) bool {
	switch string(bytes.Trim(text, " \t\r\n")) {
	case "", "ping", "pong", `"ping"`, `"pong"`:
		return true
	}
	return false
}

// message reads the object of a message.
func (s *decoding) message() {
	m := s.m
	for more := s.enter('}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "action":
			s.action()
		case "info_hash":
			s.infoHash()
		case "peer_id":
			s.peerID = s.id(&m.PeerID)
		case "to_peer_id":
			s.toPeerID = s.id(&m.ToPeerID)
		case "offer_id":
			s.offerID = s.id(&m.OfferID)
		case "answer":
			m.SDP, s.answer = s.description()
		case "offers":
			s.offers()
		case "event":
			s.event()
		case "left":
			s.left()
		case "numwant":
			s.numWant()
		default:
			s.skip()
		}
	}
}

// judge decides which action the message has, and whether the fields of that action are there.
func (s *decoding) judge() Reject {
	m := s.m
	switch {
	case s.scrape:
		m.Action = ActionScrape
		return s.judgeScrape()
	case !s.announce:
		return RejectNoAction
	}
	m.Action = ActionAnnounce
	if s.answer != missing {
		m.Action = ActionAnswer
	}
	m.HasInfoHash = s.hash == good
	switch {
	case s.hash != good:
		return RejectInfoHash
	case s.peerID != good:
		return RejectPeerID
	case m.Action == ActionAnnounce:
		return RejectNone
	case s.toPeerID != good:
		return RejectToPeerID
	case s.offerID != good:
		return RejectOfferID
	case s.answer != good:
		return RejectAnswer
	}
	return RejectNone
}

func (s *decoding) judgeScrape() Reject {
	m := s.m
	m.HasInfoHash = s.hash == good
	switch {
	case s.hash == missing && s.hashes == missing:
		return RejectFullScrape
	case s.hash == bad || s.hashes == bad:
		return RejectScrapeHash
	case s.hash == good && s.maxScrape > 0:
		m.Hashes = append(m.Hashes, m.InfoHash)
	}
	return RejectNone
}

func (s *decoding) action() {
	word := s.word()
	s.announce = string(word) == "announce"
	s.scrape = string(word) == "scrape"
}

func (s *decoding) event() {
	switch string(s.word()) {
	case "stopped":
		s.m.Event = EventStopped
	case "completed":
		s.m.Event = EventCompleted
	default:
		s.m.Event = EventUpdate
	}
}

// name consumes an object's key and the colon after it. It returns the key, or nil if it can have no meaning.
func (s *decoding) name() []byte {
	if s.peek() == '"' {
		begin := s.pos + 1
		end := plainEnd(s.text, begin)
		if end+1 < len(s.text) && s.text[end] == '"' && s.text[end+1] == ':' {
			s.pos = end + 2
			return s.text[begin:end]
		}
	}
	return s.key().word(s.scratch[:])
}

// word consumes any value. It returns a string, or nil if the value can have no meaning as a word.
func (s *decoding) word() []byte {
	if s.peek() != '"' {
		s.skip()
		return nil
	}
	return s.str().word(s.scratch[:])
}

// id consumes any value and decodes it when it is an id.
func (s *decoding) id(id *ID) presence {
	if s.peek() != '"' {
		s.skip()
		return bad
	}
	if n := readID(s.text[s.pos:], id); n > 0 {
		s.pos += n
		return good
	}
	if !s.str().id(id) {
		return bad
	}
	return good
}

// infoHash reads one hash, or the array of hashes of a scrape.
func (s *decoding) infoHash() {
	s.hash, s.hashes = missing, missing
	s.m.Hashes = s.m.Hashes[:0]
	switch s.peek() {
	case 'n':
		s.skip()
	case '[':
		s.hashes = good
		for more := s.enter(']'); more; more = s.more(']') {
			var id ID
			if s.id(&id) == bad {
				s.hashes = bad
			} else if len(s.m.Hashes) < s.maxScrape {
				s.m.Hashes = append(s.m.Hashes, id)
			}
		}
	default:
		s.hash = s.id(&s.m.InfoHash)
	}
}

// left reads how much the peer still lacks. Only the number zero, in any spelling, makes a seeder.
func (s *decoding) left() {
	switch c := s.peek(); {
	case c == 'n':
		s.skip()
		s.m.Left = LeftUnknown
	case c == '-' || c-'0' <= 9:
		whole, fraction, _ := s.number()
		s.m.Left = LeftMore
		if allZero(whole) && allZero(fraction) {
			s.m.Left = LeftZero
		}
	default:
		s.skip()
		s.m.Left = LeftMore
	}
}

// numWant reads how many peers are wanted. A fraction of zeros is still an integer. A number with an exponent is no
// wish: no client writes a small number in that way.
func (s *decoding) numWant() {
	s.m.NumWant = 0
	if s.peek()-'0' > 9 {
		s.skip()
		return
	}
	whole, fraction, exponent := s.number()
	if !allZero(fraction) || len(exponent) > 0 {
		return
	}
	n := 0
	for _, c := range whole {
		n = min(n*10+int(c-'0'), math.MaxInt32)
	}
	s.m.NumWant = n
}

func allZero(digits []byte) bool {
	for _, c := range digits {
		if c != '0' {
			return false
		}
	}
	return true
}

// offers reads the offers of an announce. Any value but an array means no offers. An unusable element is left out
// alone: its neighbours are good, and their receivers must not suffer for it.
func (s *decoding) offers() {
	m := s.m
	m.Offers, m.BadOffers = m.Offers[:0], 0
	if s.peek() != '[' {
		s.skip()
		return
	}
	for more := s.enter(']'); more; more = s.more(']') {
		var o Offer
		if !s.usualOffer(&o) && !s.offer(&o) {
			m.BadOffers++
		} else if len(m.Offers) < s.maxOffers {
			m.Offers = append(m.Offers, o)
		}
	}
}

// usualOffer reads one element of offers in the spelling of most clients. For any other element it consumes nothing and
// returns false. Measured: it saves a quarter of the time for an announce with ten offers.
func (s *decoding) usualOffer(o *Offer) bool {
	start := s.pos
	var sdp, id presence
	if s.literally(`{"offer":{"type":"offer","sdp":`) {
		o.SDP, sdp = s.sdp()
		if s.literally(`},"offer_id":`) {
			id = s.id(&o.ID)
		}
	}
	if sdp == good && id == good && s.literally("}") {
		return true
	}
	s.pos = start
	return false
}

// literally consumes the bytes if they are next.
func (s *decoding) literally(bytes string) bool {
	end := s.pos + len(bytes)
	if end > len(s.text) || string(s.text[s.pos:end]) != bytes {
		return false
	}
	s.pos = end
	return true
}

// offer reads one element of offers.
func (s *decoding) offer(o *Offer) bool {
	if s.peek() != '{' {
		s.skip()
		return false
	}
	sdp, id := missing, missing
	for more := s.enter('}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "offer":
			o.SDP, sdp = s.description()
		case "offer_id":
			id = s.id(&o.ID)
		default:
			s.skip()
		}
	}
	return sdp == good && id == good
}

// description reads a session description, the object of an offer or an answer, and returns the literal of its sdp. The
// other keys are not kept: a relayed description is written anew.
func (s *decoding) description() (sdp []byte, p presence) {
	switch s.peek() {
	case 'n':
		s.skip()
		return nil, missing
	case '{':
	default:
		s.skip()
		return nil, bad
	}
	p = bad
	for more := s.enter('}'); more; more = s.more('}') {
		if string(s.name()) == "sdp" {
			sdp, p = s.sdp()
		} else {
			s.skip()
		}
	}
	return sdp, p
}

// sdp reads the text of a session description. libtorrent closes its connection on the texts that are refused here, so
// one peer could disconnect another with them.
func (s *decoding) sdp() ([]byte, presence) {
	if s.peek() != '"' {
		s.skip()
		return nil, bad
	}
	text := s.long(maxSDP)
	if text.marks&hasLone != 0 || text.size > maxSDP {
		return nil, bad
	}
	return text.literal, good
}
