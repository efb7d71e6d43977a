package cluster

import (
	"encoding/binary"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file reads the mail of the shards.

// scratch has the records of the call under way, whose memory is used again.
type scratch struct {
	mail      []byte
	presence  record.Presence
	seek      record.Seek
	relay     record.Relay
	visit     record.Routed
	scrape    record.Scrape
	arrived   record.Arrived
	nodes     record.Nodes
	known     record.Known
	held      record.Relay
	dealt     []record.Offer
	hello     record.Hello
	othersIn  record.Others
	othersOut record.Others
	answer    record.Answer
	ask       record.Ask
	told      record.Told
	toldOut   record.Told
}

// FromShard takes a record of mail. It keeps nothing of it.
func (c *Core) FromShard(now time.Duration, shard int, rec []byte) {
	c.at(now)
	if len(rec) == 0 || !c.fromShard(record.MailKind(rec[0]), rec[1:]) {
		c.stats.MailRefused++
		return
	}
	c.stats.MailIn[record.MailKind(rec[0])-record.FirstMail]++
}

// fromShard reports false for mail that means nothing.
func (c *Core) fromShard(kind record.MailKind, rec []byte) bool {
	s := &c.scratch
	switch kind {
	case record.MailPresence:
		if !s.presence.Read(rec) {
			return false
		}
		c.presence(&s.presence)
	case record.MailSeek:
		if !s.seek.Read(rec) {
			return false
		}
		c.seek(&s.seek)
	case record.MailRelay:
		return c.relay(rec)
	case record.MailAnswer:
		if len(rec) < 2 {
			return false
		}
		c.send(c.view.byNumber[binary.LittleEndian.Uint16(rec)], record.KindAnswer, raw(rec[2:]))
	case record.MailScrape:
		if !s.scrape.Read(rec) || int(s.scrape.From.Shard) >= c.o.Shards {
			return false
		}
		c.scrape(&s.scrape)
	case record.MailArrived:
		if !s.arrived.Read(rec) {
			return false
		}
		c.arrived(&s.arrived)
	default:
		return false
	}
	return true
}

// presence takes the counts of a torrent here to its home.
func (c *Core) presence(p *record.Presence) {
	if home := c.homeOf(&p.Key.Hash); home != nil {
		within := newsTime
		if p.First {
			within = batchTime
		}
		p.First = p.First || c.clock.now < c.clock.askUntil
		c.sendWithin(home, record.KindPresence, p, within)
		return
	}
	c.report(0, p)
}

// report enters what a node says into the directory.
func (c *Core) report(node uint16, p *record.Presence) {
	if !c.directory.report(c.clock.now, node, p) {
		c.stats.StaysFull++
	}
}

// seek is presence, and holds the offers of the first peer until the home has answered.
func (c *Core) seek(r *record.Seek) {
	r.Presence.First = true
	reachable := c.connected && !c.closed && len(c.view.live) > 0
	if reachable && len(r.Relay.Offers) > 0 && !c.holds.add(c.clock.now, &r.Relay, c.o.Limits.HeldBytes) {
		c.stats.HeldFull++
	}
	c.presence(&r.Presence)
}

// relay takes offers to another node, as they are but for those that are too long for one message.
func (c *Core) relay(rec []byte) bool {
	if len(rec) < 2 {
		return false
	}
	to, rec := c.view.byNumber[binary.LittleEndian.Uint16(rec)], rec[2:]
	if record.FrameSize+len(rec) <= maxMessage {
		c.send(to, record.KindRelay, raw(rec))
		return true
	}
	if !c.scratch.relay.Read(rec) {
		return false
	}
	c.sendRelay(to, &c.scratch.relay)
	return true
}

// scrape answers a scrape at once, as far as this node is the home of its torrents, and asks the other homes before that.
func (c *Core) scrape(r *record.Scrape) {
	a := newAsk(c.clock.now, r)
	for k := range a.hashes {
		home := c.homeToAsk(&a.hashes[k])
		if home != nil {
			a.await(k, home.number)
		} else if f, ok := c.directory.sum(swarm.Key{Hash: a.hashes[k], Family: r.Family}, 0); ok {
			a.files[k] = f
		}
	}
	if len(a.waiting) == 0 {
		c.answerScrape(a)
		return
	}
	if !c.asks.add(a, &c.o.Limits) {
		c.askIsOver(a)
		return
	}
	sent := 0
	for _, home := range a.waiting {
		q := &c.scratch.ask
		q.Number, q.Family, q.Hashes = a.number, r.Family, a.appendHashes(q.Hashes[:0], home)
		if c.send(c.view.byNumber[home], record.KindAsk, q) {
			sent++
		}
	}
	if sent == 0 {
		c.asks.end(a)
		c.askIsOver(a)
	}
}

// appendSum appends the counts of a torrent on all nodes but one, if there are any.
func (c *Core) appendSum(files []record.File, hash swarm.ID, family uint8, but uint16) []record.File {
	if f, ok := c.directory.sum(swarm.Key{Hash: hash, Family: family}, but); ok {
		files = append(files, f)
	}
	return files
}

// arrived takes the news of a new peer to the other nodes that have its torrent, by way of its home, which knows them.
func (c *Core) arrived(r *record.Arrived) {
	if home := c.homeOf(&r.Key.Hash); home != nil {
		r.Onward = true
		c.sendNews(home, record.KindArrived, r)
		return
	}
	c.passOn(r, 0)
}

// passOn tells all nodes that have a torrent but one of a new peer.
func (c *Core) passOn(r *record.Arrived, by uint16) {
	r.Onward = false
	c.directory.others(c.directory.index[r.Key], by, func(s *stay) {
		if s.node == 0 {
			c.mail(c.o.Owner(&r.Key.Hash), record.MailArrived, r)
		} else {
			c.sendNews(c.view.byNumber[s.node], record.KindArrived, r)
		}
	})
}
