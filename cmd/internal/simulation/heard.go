package simulation

import (
	"encoding/json"
	"slices"
)

// This file checks all that the clients of a cluster are sent.

// saw checks a frame.
func (s *session) saw(one frame) {
	switch one.op {
	case opPing:
		s.Write(appendFrame(nil, opPong, one.payload))
	case opClose:
		if !s.node.leaving {
			s.fleet.failf("%v was closed with %q", s, one.payload)
		}
		s.CloseWrite()
		s.end()
	case opText:
		m := map[string]any{}
		if err := json.Unmarshal([]byte(one.payload), &m); err != nil {
			s.fleet.failf("%v was sent %q: %v", s, one.payload, err)
			return
		}
		switch {
		case m["offer"] != nil:
			s.sawOffer(m)
		case m["answer"] != nil:
			s.sawAnswer(m)
		default:
			s.sawReply(m)
		}
	default:
		s.fleet.failf("%v was sent a frame that begins with %#x", s, one.op)
	}
}

// sawOffer checks that an offer is what its sender has sent, for a torrent that this one is in, and that nobody has got it before. Some are
// answered, and some twice.
func (s *session) sawOffer(m map[string]any) {
	f := s.fleet
	name, _ := m["offer_id"].(string)
	o := f.proposals[name]
	switch {
	case o == nil || o.hash != m["info_hash"] || o.session.person.peer != m["peer_id"] || o.sdp != sdp(m["offer"]):
		f.failf("%v got an offer that nobody has made: %.200v", s, m)
		return
	case o.session.person == s.person:
		f.failf("%v got an offer of its own", s)
	case o.to != nil:
		f.failf("%v got an offer that %v has got already", s, o.to)
	case !s.mayBeIn(o.hash):
		f.failf("%v got an offer for %q, which it is not in", s, o.hash)
	}
	o.to = s
	if o.session.node == s.node {
		f.res.OffersHere++
	} else {
		f.res.OffersAbroad++
	}
	if f.plant.deaf {
		return
	}
	answers := 1
	if f.phase == phaseFaults {
		answers = f.rng.IntN(3)
	}
	for range answers {
		s.answer(o)
	}
}

// mayBeIn reports whether a session is in a torrent or has asked to be.
func (s *session) mayBeIn(hash string) bool {
	_, in := s.in[hash]
	return in || slices.ContainsFunc(s.asked, func(q question) bool { return q.hash == hash && !q.stopped })
}

// sawAnswer checks that an answer is to an offer of this very session, from the peer that got it, and the first.
func (s *session) sawAnswer(m map[string]any) {
	f := s.fleet
	name, _ := m["offer_id"].(string)
	o := f.proposals[name]
	switch {
	case o == nil || o.to == nil || o.hash != m["info_hash"] || o.to.person.peer != m["peer_id"] || o.answered == 0 ||
		sdp(m["answer"]) != "answer to "+o.sdp:
		f.failf("%v got an answer that nobody gave: %.200v", s, m)
		return
	case o.session != s:
		f.failf("%v got the answer to an offer of %v", s, o.session)
	case o.answers > 0:
		f.failf("%v got an answer twice", s)
	}
	o.answers++
	if o.to.node == s.node {
		f.res.AnswersHere++
	} else {
		f.res.AnswersAbroad++
	}
}

// sawReply checks a reply against what was asked. Replies of one torrent come in the order of the announces.
func (s *session) sawReply(m map[string]any) {
	f := s.fleet
	hash, isAnnounce := m["info_hash"].(string)
	files, _ := m["files"].(map[string]any)
	if m["failure reason"] != nil {
		f.failf("%v: failure %v", s, m)
		return
	}
	at := slices.IndexFunc(s.asked, func(q question) bool {
		if isAnnounce {
			return q.hashes == nil && q.hash == hash
		}
		return q.isFor(files)
	})
	if at < 0 {
		f.failf("%v got a reply to nothing: %v", s, m)
		return
	}
	q := s.asked[at]
	s.asked = slices.Delete(s.asked, at, at+1)
	q.reply.came = true
	if !isAnnounce {
		f.res.Scrapes++
		for k := range s.asked {
			if later := &s.asked[k]; later.isFor(files) {
				later.vague, q.vague = true, true // one may have overtaken the other: nobody can tell which this is
			}
		}
		if q.vague {
			return
		}
		for _, h := range q.hashes {
			file, _ := files[h].(map[string]any)
			s.sawCounts(&q, h, file)
		}
		return
	}
	if q.stopped {
		delete(s.in, hash)
	} else {
		s.in[hash] = q.seeder
	}
	s.sawCounts(&q, hash, m)
}

// isFor reports whether a question is the scrape of so many files.
func (q *question) isFor(files map[string]any) bool {
	return q.hashes != nil && len(files) == len(q.hashes) && !slices.ContainsFunc(q.hashes, func(h string) bool { return files[h] == nil })
}

// sawCounts notes the counts of a torrent, and checks that the peers of this node are among them: no other node can hide them.
func (s *session) sawCounts(q *question, hash string, m map[string]any) {
	number := func(name string) int {
		n, ok := m[name].(float64)
		if !ok && name != "downloaded" {
			s.fleet.failf("%v: a reply without %s: %v", s, name, m)
		}
		return int(n)
	}
	q.reply.complete[hash], q.reply.incomplete[hash], q.reply.downloaded[hash] = number("complete"), number("incomplete"), number("downloaded")
	least := q.least[hash] - (s.node.gone[hash] - q.gone[hash])
	if got := q.reply.complete[hash] + q.reply.incomplete[hash]; got < least && !s.node.leaving {
		s.fleet.failf("%v: a reply with %d peers of %q, this node alone has %d", s, got, hash, least)
	}
}
