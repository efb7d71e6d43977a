package cluster

import (
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file owns the two ways out: mail to the shards of this node, and records to other nodes. Both may have no room, and nothing waits
// for it but what a shard must know in the end: which nodes are live, and that it is to tell all anew.

// box is what a shard has still to be told.
type box struct {
	nodes   bool // which nodes are live
	resends bool // resend
	resend  record.Resend
}

func (b *box) due() bool { return b.nodes || b.resends }

// push tells a shard what it must know. It reports whether it knows which nodes are live.
func (c *Core) push(shard int) bool {
	b := &c.boxes[shard]
	if b.nodes {
		c.scratch.nodes.Live = c.view.appendNumbers(c.scratch.nodes.Live[:0])
		b.nodes = !c.post(shard, record.MailNodes, &c.scratch.nodes)
	}
	if b.resends {
		b.resends = !c.post(shard, record.MailResend, &b.resend)
	}
	return !b.nodes
}

// mail puts a record into the mailbox of a shard, if there is room. The numbers of nodes in it are known there by then.
func (c *Core) mail(shard int, kind record.MailKind, r fields) bool {
	ok := c.push(shard) && c.post(shard, kind, r)
	if !ok {
		c.stats.MailDropped[kind-record.FirstMail]++
	}
	return ok
}

func (c *Core) post(shard int, kind record.MailKind, r fields) bool {
	c.scratch.mail = r.Append(append(c.scratch.mail[:0], byte(kind)))
	if !c.o.Mail.Mail(shard, c.scratch.mail) {
		return false
	}
	c.stats.MailOut[kind-record.FirstMail]++
	return true
}

// send gathers a record for another node. It reports whether there was room.
func (c *Core) send(to *node, kind record.Kind, r fields) bool {
	return c.sendWithin(to, kind, r, batchTime)
}

// sendNews gathers a record that nobody waits for.
func (c *Core) sendNews(to *node, kind record.Kind, r fields) {
	c.sendWithin(to, kind, r, newsTime)
}

func (c *Core) sendWithin(to *node, kind record.Kind, r fields, within time.Duration) bool {
	if to == nil || !c.connected || c.closed || !c.batches.add(to, kind, r, within) {
		c.stats.Dropped[kind]++
		return false
	}
	c.stats.Out[kind]++
	return true
}

// raw are the fields of a record that are passed on as they came.
type raw []byte

func (r raw) Size() int                { return len(r) }
func (r raw) Append(dst []byte) []byte { return append(dst, r...) }

// sendRelay sends offers to a node: in several records if they are too long for one.
func (c *Core) sendRelay(to *node, r *record.Relay) {
	offers := r.Offers
	for len(offers) > 0 {
		r.Offers = offers[:0]
		size := record.FrameSize + r.Size()
		n := 0
		for n < len(offers) && (n == 0 || size+offerSize(&offers[n]) <= maxMessage) {
			size += offerSize(&offers[n])
			n++
		}
		r.Offers, offers = offers[:n], offers[n:]
		c.send(to, record.KindRelay, r)
	}
}

// offerSize is what an offer takes in a relay.
func offerSize(o *record.Offer) int { return len(o.ID) + 4 + len(o.SDP) }

// tell tells a node, this one or another, who else has a torrent. If it is quiet it need not hear that nobody has.
func (c *Core) tell(e *entry, to *stay, quiet bool) {
	if c.isPartial(&e.key.Hash, to.node) {
		c.directory.postpone(e)
		if !quiet || len(e.stays) < 2 {
			return
		}
	}
	if to.node == 0 {
		if !c.isHome(&e.key.Hash) {
			return // what was told here as long as this was the home may be wrong by now
		}
		known := &c.scratch.known
		known.Key, known.Others = e.key, known.Others[:0]
		c.directory.others(e, 0, func(s *stay) {
			known.Others = append(known.Others, record.Other{Node: s.node, Counts: s.Counts})
		})
		// Most torrents are on one node only. Its shard hears of that once.
		nothing := len(known.Others) == 0
		if c.hear(known, nothing && (quiet || to.alone == c.clock.view)) && nothing {
			to.alone = c.clock.view
		} else {
			to.alone = 0
		}
		return
	}
	others := &c.scratch.othersOut
	others.Key, others.Nodes = e.key, others.Nodes[:0]
	c.directory.others(e, to.node, func(s *stay) {
		from := c.seal.from
		if s.node != 0 {
			from = c.view.byNumber[s.node].from
		}
		others.Nodes = append(others.Nodes, record.Elsewhere{Incarnation: from, Counts: s.Counts})
	})
	within := newsTime
	if quiet && len(others.Nodes) > 0 {
		within = batchTime // offers wait for it
	}
	c.sendWithin(c.view.byNumber[to.node], record.KindOthers, others, within)
}

// hear takes what the home of a torrent says about the others: the shard is told unless it knows, and offers that have waited for it go
// there. It reports whether the shard knows.
func (c *Core) hear(known *record.Known, knows bool) bool {
	knows = knows || c.mail(c.o.Owner(&known.Key.Hash), record.MailOthers, known)
	c.holds.take(known.Key, func(relay []byte) {
		r := &c.scratch.held
		if r.Read(relay) {
			c.deal(r, known.Others)
		}
	})
	return knows
}

// deal sends each offer of a first peer to a peer elsewhere that is drawn for it.
func (c *Core) deal(r *record.Relay, others []record.Other) {
	offers := r.Offers
	nodes := draw(c.rng, r.Seeder, others, len(offers))
	for k := range others {
		r.Offers = c.scratch.dealt[:0]
		for i, number := range nodes {
			if number == others[k].Node {
				r.Offers = append(r.Offers, offers[i])
			}
		}
		c.scratch.dealt = r.Offers
		c.sendRelay(c.view.byNumber[others[k].Node], r)
	}
	clear(c.scratch.dealt)
	r.Offers = offers
}

// askIsOver answers a scrape with what is known by now.
func (c *Core) askIsOver(a *ask) {
	c.stats.AsksOver++
	c.answerScrape(a)
}

// answerScrape sends the reply to a scrape. It names no nodes, so it waits for nothing: the shard has room for it.
func (c *Core) answerScrape(a *ask) {
	if !c.post(int(a.from.Shard), record.MailTold, &record.Scraped{From: a.from, Files: a.known(), Kept: a.kept}) {
		c.stats.MailDropped[record.MailTold-record.FirstMail]++
	}
}
