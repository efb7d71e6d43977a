package cluster

import (
	"slices"
	"time"

	"millrace/swarm"
)

// This file owns the time after a change of the nodes. Torrents have new homes then, whose directories fill up while all torrents are told
// anew. What such a home knows by then is a part of the truth, and the nodes know more, from the home before. So it tells them only when the
// time is over. A node whose first peer asks is told at once: it knows nothing yet.

// settling is that time.
type settling struct {
	underWay       bool
	began, changed time.Duration // the first change, and the last one
	before         []before      // the other nodes that were live when it began
}

// before is a node that was live.
type before struct {
	lot    uint64
	number uint16
}

// unsettle begins the time, or makes it longer, before a node joins or leaves.
func (c *Core) unsettle() {
	s := &c.settling
	s.changed = c.clock.now
	if s.underWay {
		return
	}
	s.underWay, s.began, s.before = true, s.changed, s.before[:0]
	for _, n := range c.view.live {
		s.before = append(s.before, before{n.lot, n.number})
	}
}

// settle ends the time when all nodes have told all. Each says in its greetings how much that is.
func (c *Core) settle() {
	s := &c.settling
	if !s.underWay {
		return
	}
	most := c.torrents
	for _, n := range c.view.live {
		most = max(most, n.torrents)
	}
	d := settleTime + c.o.retellFor(most) + settleSlack
	s.underWay = c.clock.now < min(s.changed+d, s.began+maxSettling*d)
}

func (c *Core) isSettled() bool { return !c.settling.underWay }

// homeBefore returns the number of the home that a torrent had when the time began, 0: this node. ok is false where that home is not live
// any more, or this node was alone.
func (c *Core) homeBefore(hash *swarm.ID) (number uint16, ok bool) {
	s := &c.settling
	sum := c.compass.sum(hash)
	best := score(sum, c.view.own)
	for k := range s.before {
		if x := score(sum, s.before[k].lot); x > best {
			best, number = x, s.before[k].number
		}
	}
	return number, len(s.before) > 0 && c.view.isLive(number)
}

// isPartial reports whether a node may know more about a torrent than this one, its home, does by now.
func (c *Core) isPartial(hash *swarm.ID, node uint16) bool {
	if c.isSettled() {
		return false
	}
	if node != 0 && !c.settling.knew(node) {
		return true
	}
	number, _ := c.homeBefore(hash)
	return number != 0
}

// knew reports whether a node was live when the time began. One that has come back since has another number.
func (s *settling) knew(number uint16) bool {
	return slices.ContainsFunc(s.before, func(b before) bool { return b.number == number })
}

// homeToAsk returns the home that is asked about a torrent, nil: this node. While nodes settle, the one before knows more.
func (c *Core) homeToAsk(hash *swarm.ID) *node {
	if !c.isSettled() {
		if number, ok := c.homeBefore(hash); ok {
			return c.view.byNumber[number]
		}
	}
	return c.homeOf(hash)
}
