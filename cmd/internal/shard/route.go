package shard

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/post"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file takes each message to the shard that holds its torrent: by a call of serve.go where that is this shard, by a
// record of mail otherwise. Both ways lead to the same function, so one shard and many give clients the same answers.
// route.go and serve.go are the only files in which messages of the protocol meet the swarm tables.

// message handles one text or binary message of an open connection. The message lies in buf.
func (s *Shard) message(i uint32, c *conn.Conn, kind wsproto.Kind, text, buf []byte) {
	m := &s.scratch.msg
	bad := s.scratch.dec.Decode(text, m)
	if bad == wsproto.RejectNotJSON && kind == wsproto.Text {
		if broken := wsproto.CheckText(text); broken != nil {
			s.endProtocol(i, c, broken)
			return
		}
	}
	if bad == wsproto.RejectNone && m.Action == wsproto.ActionAnnounce && !c.Flags.Has(conn.Settled) &&
		s.mover.Begin(i, c, s.torrents.Loans.Holder(&m.InfoHash), func() bool { return c.Reader.Unread(buf) }) {
		c.Messages-- // it is read, and counted, again
		return
	}
	s.countExpanded(m.Action, bad, len(text))
	s.stats.BadOffers += uint64(m.BadOffers)
	if bad != wsproto.RejectNone {
		s.reject(i, c, m, bad)
		return
	}
	c.Bad = 0
	s.stats.ByIP[c.Version].MessagesIn[m.Action]++
	switch m.Action {
	case wsproto.ActionAnnounce:
		s.announce(i, c, m)
	case wsproto.ActionAnswer:
		s.answer(i, c, m)
	case wsproto.ActionScrape:
		s.scrape(i, c, m)
	}
}

// countExpanded counts a message of n bytes, if it came compressed.
func (s *Shard) countExpanded(action wsproto.Action, bad wsproto.Reject, n int) {
	if s.scratch.packed == 0 {
		return
	}
	if bad != wsproto.RejectNone {
		action = 0
	}
	st := &s.stats.Expanded[action]
	st.Messages++
	st.Plain += uint64(n)
	st.Packed += uint64(s.scratch.packed)
}

// reject deals with a message that cannot be served. A failure that carries no info hash of its own makes clients drop
// their socket, so such messages get silence; a connection that sends nothing else is closed, except for keepalives.
func (s *Shard) reject(i uint32, c *conn.Conn, m *wsproto.Message, why wsproto.Reject) {
	s.stats.Rejected[why]++
	r := s.turn.Note(i, c, trace.Message)
	r.Decision, r.Why = trace.Ignored, nameReject+trace.Name(why)
	if !why.Silent() {
		r.Decision = trace.Refused
		var hash *swarm.ID
		if m.HasInfoHash {
			hash = &m.InfoHash
		}
		s.deliverFailure(s.table.Address(i), m.Action, hash, why.Failure())
		return
	}
	if why == wsproto.RejectKeepalive && s.scratch.packed <= maxPackedKeepalive {
		return
	}
	c.Bad++
	if int(c.Bad) > s.opt.MaxBadMessages {
		s.endSaying(i, c, conn.ReasonBadMessages, wsproto.StatusPolicy, "too many unusable messages")
	}
}

// maxPackedKeepalive is how many bytes a keepalive may have that came compressed: one needs a byte or two, and more is work for nothing.
const maxPackedKeepalive = 16

// nameReject is the name of wsproto.RejectNone in traces; those of the other reasons follow.
var nameReject = conn.Names.Add(rejectNames()...)

func rejectNames() (names []string) {
	for why := range wsproto.Rejects {
		names = append(names, why.String())
	}
	return names
}

// announce takes an announce to the shard that holds its torrent, or to its home.
func (s *Shard) announce(i uint32, c *conn.Conn, m *wsproto.Message) {
	offers := m.Offers[:min(len(m.Offers), s.opt.MaxOffers)]
	if m.NumWant > 0 && m.NumWant < len(offers) {
		offers = offers[:m.NumWant]
	}
	offers = offers[:s.meter.Relay(c, len(offers))]
	ask := post.Announce{SDPs: offers, Came: s.stats.replies.came, Announce: swarm.Announce{
		Key:    swarm.Key{Hash: m.InfoHash, Family: c.Family},
		Peer:   m.PeerID,
		From:   s.table.Address(i),
		Source: c.Source,
		Origin: c.Guard.Origin(),
		Full:   s.door.Full(c),
		Left:   leftOf[m.Left],
		Event:  eventOf[m.Event],
	}}
	k := s.shardFor(c, &m.InfoHash)
	ask.Hold = s.wants(c, &ask, k)
	r := s.turn.Note(i, c, trace.Announce)
	r.N, r.Hash = uint32(len(offers)), [8]byte(m.InfoHash[:])
	switch {
	case k == s.opt.ID:
		c.Owners |= 1 << (k % 64)
		s.stats.ServedHere++
		s.serveAnnounce(&ask, r)
	case s.mailAnnounce(k, &ask):
		c.Owners |= 1 << (k % 64)
		s.stats.ServedElsewhere++
		r.Decision, r.To = trace.Mailed, uint32(k)
		s.asked(c)
	default:
		s.stats.Overloaded[wsproto.ActionAnnounce]++
		r.Decision, r.To = trace.MailFull, uint32(k)
		s.deliverFailure(ask.From, wsproto.ActionAnnounce, &m.InfoHash, wsproto.FailureOverloaded)
	}
}

// The two packages do not know each other; these tables translate.
var (
	leftOf = [...]swarm.Left{
		wsproto.LeftUnknown: swarm.LeftUnknown, wsproto.LeftZero: swarm.LeftZero, wsproto.LeftMore: swarm.LeftMore,
	}
	eventOf = [...]swarm.Event{
		wsproto.EventUpdate:    swarm.EventUpdate,
		wsproto.EventStopped:   swarm.EventStopped,
		wsproto.EventCompleted: swarm.EventCompleted,
	}
)

// answer takes an answer the same way.
func (s *Shard) answer(i uint32, c *conn.Conn, m *wsproto.Message) {
	ask := post.Answer{SDP: m.SDP, Answer: swarm.Answer{
		Key:   swarm.Key{Hash: m.InfoHash, Family: c.Family},
		Peer:  m.PeerID,
		From:  s.table.Address(i),
		To:    m.ToPeerID,
		Offer: m.OfferID,
	}}
	k := s.shardFor(c, &m.InfoHash)
	r := s.turn.Note(i, c, trace.Answer)
	r.Hash = [8]byte(m.InfoHash[:])
	switch {
	case k == s.opt.ID:
		s.stats.ServedHere++
		s.serveAnswer(&ask, r)
	case !s.post.Answer(k, &ask):
		s.stats.Overloaded[wsproto.ActionAnswer]++
		r.Decision, r.To = trace.MailFull, uint32(k)
	default:
		s.stats.ServedElsewhere++
		r.Decision, r.To = trace.Mailed, uint32(k)
		if s.opt.ReplyToAnswers {
			s.asked(c)
		}
	}
}

// scrape starts a scrape on its way. A torrent that is not served gets a failure where it is the only one asked for, and
// zeros among others, since a reply has to name every hash that was asked.
func (s *Shard) scrape(i uint32, c *conn.Conn, m *wsproto.Message) {
	note := s.turn.Note(i, c, trace.Scrape)
	note.N = uint32(len(m.Hashes))
	if len(m.Hashes) == 1 && !s.torrents.Allowed(&m.Hashes[0]) {
		s.stats.ScrapesForbidden++
		note.Decision, note.Why = trace.Refused, nameFailure+trace.Name(wsproto.FailureForbidden)
		s.deliverFailure(s.table.Address(i), wsproto.ActionScrape, &m.Hashes[0], wsproto.FailureForbidden)
		return
	}
	r := &s.scratch.scrape
	r.From, r.Family = s.table.Address(i), c.Family
	r.Files, r.Filled = r.Files[:0], r.Filled[:0]
	for k := range m.Hashes {
		r.Files = append(r.Files, wsproto.ScrapeFile{Hash: m.Hashes[k]})
		r.Filled = append(r.Filled, false)
	}
	if s.serveScrape(r, note) {
		s.asked(c)
	}
}

// asked remembers that a reply to the connection will come by mail.
func (s *Shard) asked(c *conn.Conn) {
	if c.Asks < 1<<16-1 {
		c.Asks++
	}
}

// replied ends a connection that has ended its own side and was only waiting for this reply.
func (s *Shard) replied(to swarm.Addr) {
	c := s.table.Find(to.Index, to.Gen)
	if c == nil || c.Asks == 0 {
		return
	}
	c.Asks--
	if c.Asks == 0 && c.State() == conn.Open && c.Flags.Has(conn.HungUp) {
		s.end(to.Index, c, conn.ReasonEOF)
	}
}
