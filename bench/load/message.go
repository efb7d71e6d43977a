package load

// This file owns the meaning of a tracker's message: it reads the members that a client knows, and says whether they
// make a reply, an offer, an answer, a scrape reply or a failure. scanner.go reads the JSON.

// messageKind is the kind of a tracker's message.
type messageKind uint8

const (
	otherMessage messageKind = iota
	replyMessage             // to an announce, or to an answer
	offerMessage
	answerMessage
	scrapeMessage
	failureMessage
)

// message is one message of a tracker. Its strings are the texts between the quotes, escapes and all, as views of the
// scanned text; nil where there is none.
type message struct {
	kind     messageKind
	infoHash []byte
	peerID   []byte
	offerID  []byte
	sdp      []byte
	sort     []byte // the type of the offer or answer
	failure  []byte
	file     []byte // the first hash of a scrape reply

	complete, incomplete, interval int // -1 where missing

	action             []byte
	hasOffer           bool
	hasAnswer, hasFile bool
}

// scanMessage reads a tracker's message. It checks the form of everything but the sdp's text, which is compared with
// the right one anyway (see checkText).
func scanMessage(text []byte, m *message) error {
	*m = message{complete: -1, incomplete: -1, interval: -1}
	s := scanner{b: text}
	if s.next() != '{' {
		if err := s.skip(0); err != nil || s.next() != 0 {
			return errNotJSON
		}
		return errNoObject
	}
	if err := s.object(0, func(key []byte) error { return s.member(key, m) }); err != nil {
		return err
	}
	if s.next() != 0 || s.at < len(s.b) {
		return errNotJSON
	}
	m.kind = m.classify()
	return nil
}

// classify returns the kind of a message with such members. With a type or an interval that is missing or wrong, a
// client would not take it for an offer, an answer or a reply: then it is none.
func (m *message) classify() messageKind {
	isAnnounce := string(m.action) == "announce"
	switch {
	case m.failure != nil:
		return failureMessage
	case isAnnounce && m.hasOffer && string(m.sort) == "offer":
		return offerMessage
	case isAnnounce && m.hasAnswer && string(m.sort) == "answer":
		return answerMessage
	case isAnnounce && !m.hasOffer && !m.hasAnswer && m.complete >= 0 && m.incomplete >= 0 && m.interval > 0:
		return replyMessage
	case string(m.action) == "scrape" && m.hasFile:
		return scrapeMessage
	}
	return otherMessage
}

// member reads the value of a key of the message.
func (s *scanner) member(key []byte, m *message) (err error) {
	switch string(key) {
	case "action":
		m.action, err = s.text()
	case "info_hash":
		m.infoHash, err = s.text()
	case "peer_id":
		m.peerID, err = s.text()
	case "offer_id":
		m.offerID, err = s.text()
	case "failure reason":
		if m.failure, err = s.text(); m.failure == nil {
			m.failure = []byte{}
		}
	case "complete":
		m.complete, err = s.count()
	case "incomplete":
		m.incomplete, err = s.count()
	case "interval":
		m.interval, err = s.count()
	case "offer":
		m.hasOffer, err = s.description(m)
	case "answer":
		m.hasAnswer, err = s.description(m)
	case "files":
		m.hasFile, err = s.files(m)
	default:
		err = s.skip(1)
	}
	return err
}

// description reads an offer or an answer; false for null and other values that are no object.
func (s *scanner) description(m *message) (bool, error) {
	if s.next() != '{' {
		return false, s.skip(1)
	}
	return true, s.object(1, func(key []byte) (err error) {
		if string(key) == "type" {
			m.sort, err = s.text()
			return err
		}
		if string(key) != "sdp" {
			return s.skip(2)
		}
		if s.next() != '"' {
			return s.skip(2)
		}
		m.sdp, err = s.rawString()
		return err
	})
}

// files reads the first key of a scrape reply's files.
func (s *scanner) files(m *message) (bool, error) {
	if s.next() != '{' {
		return false, s.skip(1)
	}
	return true, s.object(1, func(key []byte) error {
		if m.file == nil {
			m.file = key
		}
		return s.skip(2)
	})
}
