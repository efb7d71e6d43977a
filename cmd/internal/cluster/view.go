package cluster

import (
	"crypto/cipher"
	"slices"
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file owns the view: the other nodes that are live, and their numbers. A node that was silent for too long, or has said goodbye, is
// not live; if it is heard again it gets another number, so that what is known by the old one stays dead.

// node is another node.
type node struct {
	id      string
	from    record.Incarnation
	number  uint16
	key     cipher.AEAD
	subject string
	lot     uint64

	speaks                uint16 // the latest version of the protocol that it speaks
	swarms                record.Swarms
	address               string
	connections, torrents uint32
	joined, heard, sent   time.Duration // sent: the last message to it
	began                 time.Duration // of its life, on our clock; can be negative
	last                  [streams]uint64
}

// The streams of messages of one node that come here, each with growing numbers.
const (
	streamAll  = iota // to all nodes
	streamHere        // to this one
	streams
)

// past is the life of a node that has ended, or was thought to.
type past struct {
	from record.Incarnation
	last [streams]uint64
}

// view is what this node knows of the others.
type view struct {
	own      uint64  // our own lot
	live     []*node // in the order of their numbers
	byNumber map[uint16]*node
	byFrom   map[record.Incarnation]*node
	byID     map[string]*node
	past     []past // the oldest first
	given    int    // numbers that were given out
}

func newView(own uint64) view {
	return view{own: own, byNumber: make(map[uint16]*node), byFrom: make(map[record.Incarnation]*node), byID: make(map[string]*node)}
}

// home returns the node that is the home of what has the sum; nil: this one.
func (v *view) home(sum uint64) (home *node) {
	best := score(sum, v.own)
	for _, n := range v.live {
		if s := score(sum, n.lot); s > best {
			home, best = n, s
		}
	}
	return home
}

// isLive reports whether the number is that of a live node. 0 is this one.
func (v *view) isLive(number uint16) bool { return number == 0 || v.byNumber[number] != nil }

// last returns the numbers of the last messages of a life, live or past.
func (v *view) last(from record.Incarnation) [streams]uint64 {
	if n := v.byFrom[from]; n != nil {
		return n.last
	}
	if k := slices.IndexFunc(v.past, func(p past) bool { return p.from == from }); k >= 0 {
		return v.past[k].last
	}
	return [streams]uint64{}
}

// wasHere reports whether a life has ended here, or was thought to.
func (v *view) wasHere(from record.Incarnation) bool {
	return slices.ContainsFunc(v.past, func(p past) bool { return p.from == from })
}

// join takes a node in, and gives it its number. The caller has made sure that it is not there, and that there is room.
func (v *view) join(n *node) {
	v.past = slices.DeleteFunc(v.past, func(p past) bool { return p.from == n.from })
	v.given++
	n.number = uint16(v.given)
	v.live = append(v.live, n)
	v.byNumber[n.number], v.byFrom[n.from], v.byID[n.id] = n, n, n
}

// leave takes a node out.
func (v *view) leave(n *node) {
	v.live = slices.DeleteFunc(v.live, func(o *node) bool { return o == n })
	delete(v.byNumber, n.number)
	delete(v.byFrom, n.from)
	delete(v.byID, n.id)
	v.end(n.from, n.last)
}

// end remembers a life that is over, or the end of one that was not known.
func (v *view) end(from record.Incarnation, last [streams]uint64) {
	v.past = slices.DeleteFunc(v.past, func(p past) bool { return p.from == from })
	if len(v.past) >= maxPast {
		v.past = slices.Delete(v.past, 0, 1)
	}
	v.past = append(v.past, past{from, last})
}

// verdict says whether a node may join.
type verdict uint8

const (
	joins     verdict = iota
	isPast            // a later life of the same node is live
	isForeign         // we have no version of the protocol in common
	isMore            // there are as many nodes as there may be
	noNumber          // all numbers are used up
)

// The versions of the protocol that this node speaks.
const (
	leastProtocol  = 1
	protocolPacked = 2 // messages may be packed, with the first dictionary
	mostProtocol   = protocolPacked
)

// judge says whether the node of a hello may join, and which earlier life of it has to leave for that.
func (v *view) judge(h *record.Hello, began time.Duration) (verdict, *node) {
	before := v.byID[h.Node]
	switch {
	case h.Least > mostProtocol || h.Most < leastProtocol:
		return isForeign, nil
	case before != nil && began <= before.began:
		return isPast, nil
	case before == nil && len(v.live) >= maxOtherNodes:
		return isMore, nil
	case v.given >= maxNumbers:
		return noNumber, nil
	}
	return joins, before
}

// beginOf returns when the life began in which a hello was said.
func beginOf(now time.Duration, h *record.Hello) time.Duration {
	const longest = 1 << 40 // milliseconds
	return now - time.Duration(min(h.Age, longest))*time.Millisecond
}

// greet notes a hello of a live node.
func (n *node) greet(now time.Duration, h *record.Hello) {
	n.speaks, n.swarms, n.address, n.connections, n.torrents = h.Most, h.Swarms, h.Address, h.Connections, h.Torrents
	n.heard, n.began = now, min(n.began, beginOf(now, h))
}

// unlike returns how many nodes say that other clients meet in their swarms than here.
func (v *view) unlike(own record.Swarms) (n int) {
	for _, o := range v.live {
		if o.isUnlike(own) {
			n++
		}
	}
	return n
}

func (n *node) isUnlike(own record.Swarms) bool {
	return own != record.SwarmsUnsaid && n.swarms != record.SwarmsUnsaid && n.swarms != own
}

// silent returns a live node that was silent for too long, or nil.
func (v *view) silent(now, timeout time.Duration) *node {
	for _, n := range v.live {
		if now-n.heard > timeout {
			return n
		}
	}
	return nil
}

// forgive lets a time in which this node itself stood still count for no silence.
func (v *view) forgive(d time.Duration) {
	for _, n := range v.live {
		n.heard += d
	}
}

// appendNumbers appends the numbers of all live nodes.
func (v *view) appendNumbers(dst []uint16) []uint16 {
	for _, n := range v.live {
		dst = append(dst, n.number)
	}
	return dst
}
