package shard

import (
	"hash/maphash"
	"net/netip"

	"millrace/swarm"
	"millrace/wsproto"
)

// This file is the only one in which messages of the protocol meet the swarm tables. A request is first brought to the
// shard that owns its torrent (a call when that is this shard, a record of mail otherwise) and served there by the same
// function, so one shard and many give clients the same answers.

// announceAsk is an announce on its way to the shard that owns the torrent. Its slices are views of the message or of
// the record.
type announceAsk struct {
	swarm.Announce
	offers []wsproto.Offer
}

// answerAsk is an answer on its way to the shard that owns the torrent.
type answerAsk struct {
	swarm.Answer
	sdp []byte
}

// source returns the fingerprint of a client's address.
func (s *Shard) source(ip netip.Addr) uint64 {
	b := ip.As16()
	return maphash.Bytes(s.opt.SourceSeed, b[:])
}

// message handles one text or binary message of an open connection.
func (s *Shard) message(i uint32, c *conn, kind wsproto.Kind, text []byte) {
	bad := s.dec.Decode(text, &s.msg)
	if bad == wsproto.RejectNotJSON && kind == wsproto.Text {
		if broken := wsproto.CheckText(text); broken != nil {
			s.protocolError(i, c, broken)
			return
		}
	}
	if bad == wsproto.RejectNone && s.msg.Action == wsproto.ActionAnnounce && s.follow(i, c) {
		return
	}
	s.stats.BadOffers += uint64(s.msg.BadOffers)
	if bad != wsproto.RejectNone {
		s.reject(i, c, bad)
		return
	}
	c.bad = 0
	s.stats.ByIP[c.version].MessagesIn[s.msg.Action]++
	switch s.msg.Action {
	case wsproto.ActionAnnounce:
		s.announce(i, c)
	case wsproto.ActionAnswer:
		s.answer(i, c)
	case wsproto.ActionScrape:
		s.scrape(i, c)
	}
}

// reject deals with a message that cannot be served. A failure that carries no info hash of its own makes clients drop
// their socket, so such messages get silence; a connection that sends nothing else is closed.
func (s *Shard) reject(i uint32, c *conn, why wsproto.Reject) {
	s.stats.Rejected[why]++
	if !why.Silent() {
		s.fail(s.address(i), s.msg.Action, s.failedHash(), why.String())
		return
	}
	c.bad++
	if int(c.bad) > s.opt.MaxBadMessages {
		s.closeWith(i, c, ReasonBadMessages, wsproto.StatusPolicy, "too many unusable messages")
	}
}

// failedHash returns the info hash for a failure about the current message, or nil.
func (s *Shard) failedHash() *swarm.ID {
	if s.msg.HasInfoHash {
		return &s.msg.InfoHash
	}
	return nil
}

// fail sends a failure to a connection of any shard.
func (s *Shard) fail(to swarm.Addr, action wsproto.Action, hash *swarm.ID, reason string) {
	if dst := s.roomAt(to, wsproto.FailureSize, frameFailure); dst != nil {
		s.commit(wsproto.AppendFailure(dst, action, hash, reason))
	}
}

// busyReason is the failure of a request that found the mailbox of the owner full.
const busyReason = "tracker is overloaded, try again later"

// forbiddenReason is the failure about a torrent that the access list does not allow, in the words of aquatic_ws.
const forbiddenReason = "Info hash not allowed"

// owner returns the shard that owns the torrent.
func (s *Shard) owner(hash *swarm.ID) int {
	if s.opt.Shards == 1 {
		return 0
	}
	return swarm.Owner(s.opt.OwnerSeed, hash, s.opt.Shards)
}

// announce brings the current message, an announce, to its owner.
func (s *Shard) announce(i uint32, c *conn) {
	m := &s.msg
	offers := m.Offers[:min(len(m.Offers), s.opt.MaxOffers)]
	if m.NumWant > 0 && m.NumWant < len(offers) {
		offers = offers[:m.NumWant]
	}
	ask := announceAsk{offers: offers, Announce: swarm.Announce{
		Key:    swarm.Key{Hash: m.InfoHash, Family: c.family},
		Peer:   m.PeerID,
		From:   s.address(i),
		Source: c.source,
		Left:   leftOf[m.Left],
		Event:  eventOf[m.Event],
	}}
	k := s.owner(&m.InfoHash)
	switch {
	case k == s.opt.ID:
		c.owners |= 1 << (k % 64)
		s.stats.ServedHere++
		s.serveAnnounce(&ask)
	case s.mailAnnounce(k, &ask):
		c.owners |= 1 << (k % 64)
		s.stats.ServedElsewhere++
		c.asked()
	default:
		s.stats.Overloaded[wsproto.ActionAnnounce]++
		s.fail(ask.From, wsproto.ActionAnnounce, &m.InfoHash, busyReason)
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

// serveAnnounce changes the swarm, replies, and relays the offers: at the owner of the torrent.
func (s *Shard) serveAnnounce(a *announceAsk) {
	s.offerIDs = s.offerIDs[:0]
	for k := range a.offers {
		s.offerIDs = append(s.offerIDs, a.offers[k].ID)
	}
	a.Offers = s.offerIDs
	var res swarm.Result
	res, s.targets = s.table.Announce(s.now, &a.Announce, s.targets[:0])
	s.stats.Announces[res.Status]++
	switch res.Status {
	case swarm.StatusConnectionFull:
		s.fail(a.From, wsproto.ActionAnnounce, &a.Key.Hash, "too many torrents on one connection")
		return
	case swarm.StatusTableFull:
		s.fail(a.From, wsproto.ActionAnnounce, &a.Key.Hash, "tracker is full, try again later")
		return
	case swarm.StatusForbidden:
		s.fail(a.From, wsproto.ActionAnnounce, &a.Key.Hash, forbiddenReason)
		return
	}
	if dst := s.roomAt(a.From, wsproto.AnnounceReplySize, frameReply); dst != nil {
		s.commit(wsproto.AppendAnnounceReply(dst, &a.Key.Hash, res.Complete, res.Incomplete, s.opt.Interval))
	}
	for k := range s.targets {
		o := &a.offers[k]
		if dst := s.roomAt(s.targets[k].To, wsproto.OfferSize(len(o.SDP)), frameOffer); dst != nil {
			s.commit(wsproto.AppendOffer(dst, &a.Key.Hash, &a.Peer, &o.ID, o.SDP))
		}
	}
}

// answer brings the current message, an answer, to its owner.
func (s *Shard) answer(i uint32, c *conn) {
	m := &s.msg
	ask := answerAsk{sdp: m.SDP, Answer: swarm.Answer{
		Key:   swarm.Key{Hash: m.InfoHash, Family: c.family},
		Peer:  m.PeerID,
		From:  s.address(i),
		To:    m.ToPeerID,
		Offer: m.OfferID,
	}}
	k := s.owner(&m.InfoHash)
	switch {
	case k == s.opt.ID:
		s.stats.ServedHere++
		s.serveAnswer(&ask)
	case !s.mailAnswer(k, &ask):
		s.stats.Overloaded[wsproto.ActionAnswer]++
	default:
		s.stats.ServedElsewhere++
		if s.opt.ReplyToAnswers {
			c.asked()
		}
	}
}

// serveAnswer relays an answer to the peer whose offer it answers: at the owner of the torrent.
func (s *Shard) serveAnswer(a *answerAsk) {
	to, status := s.table.Answer(s.now, &a.Answer)
	s.stats.Answers[status]++
	if status == swarm.AnswerForbidden {
		s.fail(a.From, wsproto.ActionAnnounce, &a.Key.Hash, forbiddenReason)
		return
	}
	if s.opt.ReplyToAnswers {
		complete, incomplete, _ := s.table.Scrape(a.Key)
		if dst := s.roomAt(a.From, wsproto.AnnounceReplySize, frameReply); dst != nil {
			s.commit(wsproto.AppendAnnounceReply(dst, &a.Key.Hash, complete, incomplete, s.opt.Interval))
		}
	}
	if status != swarm.AnswerRelay {
		return
	}
	if dst := s.roomAt(to, wsproto.AnswerSize(len(a.sdp)), frameAnswer); dst != nil {
		s.commit(wsproto.AppendAnswer(dst, &a.Key.Hash, &a.Peer, &a.Offer, a.sdp))
	}
}

// scrapeRecord is a scrape on its way through the shards that own its torrents: each fills in what it knows and passes
// it on, and the last one sends it home. So nobody has to remember that a scrape is under way.
type scrapeRecord struct {
	from   swarm.Addr
	family uint8
	files  []wsproto.ScrapeFile
	filled []bool
}

// scrape starts the current message, a scrape, on its way. A torrent that is not served gets a failure where it is the
// only one asked for, and zeros among others, since a reply has to name every hash that was asked.
func (s *Shard) scrape(i uint32, c *conn) {
	if len(s.msg.Hashes) == 1 && !s.table.Allowed(&s.msg.Hashes[0]) {
		s.stats.ScrapesForbidden++
		s.fail(s.address(i), wsproto.ActionScrape, &s.msg.Hashes[0], forbiddenReason)
		return
	}
	r := &s.scraped
	r.from, r.family = s.address(i), c.family
	r.files, r.filled = r.files[:0], r.filled[:0]
	for k := range s.msg.Hashes {
		r.files = append(r.files, wsproto.ScrapeFile{Hash: s.msg.Hashes[k]})
		r.filled = append(r.filled, false)
	}
	s.serveScrape(r)
	if s.scrapeMailed {
		c.asked()
	}
}

// serveScrape fills in the torrents that this shard owns and sends the record where it has to go next.
func (s *Shard) serveScrape(r *scrapeRecord) {
	s.scrapeMailed = false
	next := int(r.from.Shard)
	for k := range r.files {
		if r.filled[k] {
			continue
		}
		f := &r.files[k]
		if owner := s.owner(&f.Hash); owner != s.opt.ID {
			next = owner
			continue
		}
		f.Complete, f.Incomplete, f.Downloaded = s.table.Scrape(swarm.Key{Hash: f.Hash, Family: r.family})
		r.filled[k] = true
	}
	if next == s.opt.ID {
		if dst := s.roomAt(r.from, wsproto.ScrapeReplySize(len(r.files)), frameScrape); dst != nil {
			s.commit(wsproto.AppendScrapeReply(dst, r.files))
		}
	} else if s.scrapeMailed = s.mailScrape(next, r); !s.scrapeMailed {
		s.stats.Overloaded[wsproto.ActionScrape]++
		s.fail(r.from, wsproto.ActionScrape, nil, busyReason)
	}
}
