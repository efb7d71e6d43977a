package cluster

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file reads the messages of other nodes, as if they were hostile. The seal keeps out those without the secret; the checks behind it
// keep a faulty node from harming this one.

// FromBus takes a message that was published under one of the Subjects. It keeps nothing of it.
func (c *Core) FromBus(now time.Duration, subject string, msg []byte) {
	c.at(now)
	if c.closed {
		return
	}
	c.stats.MessagesIn++
	c.stats.BytesIn += uint64(len(msg))
	e := envelope{subject: subject}
	stream := streamAll
	switch {
	case !e.Header.Read(msg) || subject != c.all && subject != c.here || len(msg) > LargestMessage:
		c.stats.Flaws[FlawForm]++
		return
	case e.Version != record.Version:
		c.stats.Flaws[FlawVersion]++
		return
	case e.From == c.seal.from:
		c.clock.echoed = now
		return
	case subject == c.here:
		stream, e.to = streamHere, c.seal.from
	}
	n := c.view.byFrom[e.From]
	last := c.view.last(e.From)
	if e.Number <= last[stream] {
		c.stats.Flaws[FlawStale]++
		return
	}
	key, err := c.keyOf(n, e.From)
	records, ok := []byte(nil), false
	if err == nil {
		records, ok = c.opener.open(key, &e, msg)
	}
	if !ok && stream == streamAll {
		c.stats.Flaws[FlawSecret]++
		c.clock.strange = now
		c.news.add(now, OtherSecret, "unknown", "")
		return
	} else if !ok {
		c.stats.Flaws[FlawSeal]++
		return
	}
	last[stream] = e.Number
	if n != nil {
		n.last, n.heard = last, now
	}
	switch {
	case stream == streamAll:
		c.forAll(n, &sender{e.From, key, last}, records)
	case n == nil:
		c.fromStranger(&e, records)
	default:
		c.forUs(n, records)
	}
}

// keyOf returns the key of a life of a node, which may be unknown.
func (c *Core) keyOf(n *node, from record.Incarnation) (cipher.AEAD, error) {
	if n != nil {
		return n.key, nil
	}
	return keyFor(c.o.Secret, from)
}

// sender is what is known of a node that may not be in the view.
type sender struct {
	from record.Incarnation
	key  cipher.AEAD
	last [streams]uint64
}

// each calls f with the records of a message. f reports false for one that means nothing.
func (c *Core) each(records []byte, f func(kind record.Kind, fields []byte) bool) {
	for len(records) > 0 {
		kind, fields, rest, ok := record.Next(records)
		if !ok {
			c.stats.BadRecords++
			return
		}
		records = rest
		switch {
		case kind == 0 || kind >= record.Kinds:
			c.stats.NewRecords++
		case f(kind, fields):
			c.stats.In[kind]++
		default:
			c.stats.BadRecords++
		}
	}
}

// forAll reads a message that went to all nodes.
func (c *Core) forAll(n *node, from *sender, records []byte) {
	c.each(records, func(kind record.Kind, b []byte) bool {
		switch kind {
		case record.KindHello:
			h := &c.scratch.hello
			return h.Read(b) && c.greeted(n, from, h)
		case record.KindBye:
			if n != nil && c.view.byFrom[from.from] == n {
				c.left(n, NodeBye)
			} else {
				c.view.end(from.from, from.last)
			}
			return true
		}
		return false
	})
}

// greeted takes a greeting. It reports false for one that means nothing.
func (c *Core) greeted(n *node, from *sender, h *record.Hello) bool {
	now := c.clock.now
	switch {
	case h.Node == c.o.Node:
		// Another node with our id: one of the two has to stop, and this is how it learns that the other one lives. The answer is for this
		// life of it alone. So what a life before ours has sent, which may still be under way, is no proof.
		if c.connected {
			c.greet(c.here, from.from)
		}
		return true
	case n != nil && n.id != h.Node:
		return false
	case n != nil:
		n.greet(now, h)
		return true
	}
	began := beginOf(now, h)
	what, before := c.view.judge(h, began)
	if what != joins {
		c.stats.Refused++
		if e, ok := refusals[what]; ok {
			c.news.add(now, e, h.Node, h.Address)
		}
		return true
	}
	if before != nil {
		c.left(before, NodeRestarted)
	}
	n = &node{
		id: h.Node, from: from.from, key: from.key, subject: c.subjectOf(h.Node), lot: c.compass.lot(h.Node), joined: now, began: began,
	}
	n.greet(now, h)
	isBack := c.view.wasHere(n.from)
	c.unsettle()
	c.view.join(n)
	n.last = from.last
	c.stats.Joined++
	c.news.add(now, NodeJoined, n.id, n.address)
	if n.isUnlike(c.o.Swarms) {
		c.news.add(now, NodeUnlike, n.id, n.address)
	}
	c.clock.hello = min(c.clock.hello, max(now, c.clock.helloed+helloSoon)) // so that it meets us soon
	c.viewChanged()
	if isBack {
		c.takenBack(n)
	}
	return true
}

// takenBack makes good that this node has forgotten all of a life that it took for dead, which may not know. The other one tells anew what it
// has, since a greeting for this node alone says that it was taken back; and the homes of torrents, which have told already what this node
// knew of it, are asked once more.
func (c *Core) takenBack(n *node) {
	c.clock.askUntil = c.clock.resend + c.clock.resendFor + settleSlack
	if c.connected && c.greet(n.subject, n.from) {
		c.stats.Out[record.KindHello]++
	}
}

// refusals are the events of the verdicts that an operator should know.
var refusals = map[verdict]Event{isForeign: NodeForeign, isMore: TooManyNodes, noNumber: NumbersUsedUp}

// fromStranger reads a message for this node from one that is not in the view: it may be another one with our id, which has heard us.
func (c *Core) fromStranger(e *envelope, records []byte) {
	kind, b, _, ok := record.Next(records)
	h := &c.scratch.hello
	if !ok || kind != record.KindHello || !h.Read(b) {
		c.stats.Flaws[FlawStranger]++
		return
	}
	if h.Node != c.o.Node {
		return // it has taken us back, before we have met it again
	}
	if own := c.age(); h.Age < own || h.Age == own && bytes.Compare(e.From[:], c.seal.from[:]) > 0 {
		return // the other one is younger, and stops
	}
	c.err = fmt.Errorf("another node of the cluster %q has the id %q already (%s): give this one another id", c.o.Cluster, c.o.Node, h.Address)
	c.news.add(c.clock.now, SameNode, h.Node, h.Address)
	c.Bye(c.clock.now)
	c.standAlone()
}

// forUs reads a message of a live node for this one.
func (c *Core) forUs(n *node, records []byte) {
	c.each(c.unpacked(records), func(kind record.Kind, b []byte) bool {
		s := &c.scratch
		switch kind {
		case record.KindHello: // it has forgotten us, and taken us back
			if !s.hello.Read(b) || s.hello.Node != n.id {
				return false
			}
			c.resendSoon()
		case record.KindPresence:
			if !s.presence.Read(b) {
				return false
			}
			c.report(n.number, &s.presence)
		case record.KindOthers:
			if !s.othersIn.Read(b) {
				return false
			}
			c.others(n, &s.othersIn)
		case record.KindRelay:
			if !s.visit.Relay.Read(b) {
				return false
			}
			s.visit.Node = n.number
			c.mail(c.o.Owner(&s.visit.Key.Hash), record.MailVisit, &s.visit)
		case record.KindAnswer:
			if !s.answer.Read(b) || int(s.answer.To.Shard) >= c.o.Shards {
				return false
			}
			c.mail(int(s.answer.To.Shard), record.MailAnswered, &s.answer)
		case record.KindAsk:
			if !s.ask.Read(b) {
				return false
			}
			c.asked(n, &s.ask)
		case record.KindTold:
			if !s.told.Read(b) {
				return false
			}
			c.told(n, &s.told)
		case record.KindArrived:
			if !s.arrived.Read(b) {
				return false
			}
			c.heardOf(n, &s.arrived)
		default:
			return false
		}
		return true
	})
}

// others takes what a home says about the other nodes in a torrent. Only the node that this one holds for the home is believed: a former
// home may not know better.
func (c *Core) others(n *node, r *record.Others) {
	if c.homeOf(&r.Key.Hash) != n {
		c.stats.Strayed++
		return
	}
	known := &c.scratch.known
	known.Key, known.Others = r.Key, known.Others[:0]
	for k := range r.Nodes {
		o := &r.Nodes[k]
		if other := c.view.byFrom[o.Incarnation]; other != nil && o.Counts.Peers() > 0 {
			known.Others = append(known.Others, record.Other{Node: other.number, Counts: o.Counts})
		}
	}
	c.hear(known, false)
}

// asked answers the question of a node about torrents whose home this one should be.
func (c *Core) asked(n *node, r *record.Ask) {
	out := &c.scratch.toldOut
	out.Number, out.Family, out.Files = r.Number, r.Family, out.Files[:0]
	for k := range r.Hashes {
		out.Files = c.appendSum(out.Files, r.Hashes[k], r.Family, n.number)
	}
	c.send(n, record.KindTold, out)
}

// told takes the answer of a home to a scrape.
func (c *Core) told(n *node, r *record.Told) {
	done, ok := c.asks.told(n.number, r)
	if !ok {
		c.stats.Late++
	}
	if done != nil {
		c.answerScrape(done)
	}
}

// heardOf takes the news of a new peer: as the home of its torrent, or as a node that has the torrent.
func (c *Core) heardOf(n *node, r *record.Arrived) {
	if r.Onward {
		c.passOn(r, n.number)
		return
	}
	c.mail(c.o.Owner(&r.Key.Hash), record.MailArrived, r)
}
