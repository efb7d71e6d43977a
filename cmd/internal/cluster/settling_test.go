package cluster

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/bustest"
	"millrace/swarm"
)

// This file proves that nodes which come and go take nothing from what the others know of each other.

// settled returns a world of nodes with a peer in each torrent on each, whose nodes all know all.
func settled(t *testing.T, ids ...string) *simWorld {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	w := &simWorld{
		rng: rng, bus: bustest.New[*simNode](rng), homes: make(map[swarm.ID]*simNode), offers: make(map[swarm.ID]*simOffer),
		scrapes: make(map[uint32]*simScrape),
	}
	for _, id := range ids {
		w.begin(id)
	}
	w.pass(simTimeout, nil)
	for _, n := range w.nodes {
		for k := range simTorrents {
			n.shardOf(k).join(k)
		}
	}
	w.pass(simTimeout+simRefresh, nil)
	w.checkTruth()
	return w
}

// begin starts a node that is of this version.
func (w *simWorld) begin(id string) *simNode {
	w.bus.Parts[id] = 0
	n := w.start(id, 2)
	n.core.speaks = mostProtocol
	return n
}

// TestChangesHideNobody proves that each node knows all peers of the others at each moment in which other nodes without peers join, say
// goodbye, restart and die, though each of them is the home of some torrents; and that scrapes that ask homes find all.
func TestChangesHideNobody(t *testing.T) {
	w := settled(t, "a", "b", "c")
	stay := append([]*simNode{}, w.nodes...)
	watch := func(what string, d time.Duration) {
		t.Helper()
		for end := w.now + d; w.now < end && !t.Failed(); {
			w.pass(20*time.Millisecond, nil)
			for _, n := range stay {
				for k := range simTorrents {
					if known := n.shardOf(k).known(k); len(known) != len(stay)-1 {
						t.Errorf("%v after %s: node %s knows of torrent %d: %v", w.now, what, n.id, k, known)
					}
				}
			}
		}
		for _, p := range w.problems {
			t.Error(p)
		}
	}
	d := w.begin("d")
	watch("a node has joined", simTimeout+simRefresh)
	e := w.begin("e")
	watch("another one has joined", time.Second/2)
	w.begin("f")
	watch("one more has joined soon after", simTimeout+simRefresh)
	d.core.Bye(w.now)
	w.kill(d, time.Hour)
	watch("a node has said goodbye", simTimeout+simRefresh)
	e.core.Bye(w.now)
	w.kill(e, time.Hour)
	w.begin("e")
	watch("a node was restarted", simTimeout+simRefresh)
	w.kill(w.nodes[len(w.nodes)-1], time.Hour)
	watch("a node has died", 2*(simTimeout+simRefresh))
	w.checkTruth()
	for _, p := range w.problems {
		t.Error(p)
	}
}

// TestSettlingEnds proves that changes of the nodes, however many, keep a home from telling what it knows for four times the time of one; and
// that a change after that begins another time.
func TestSettlingEnds(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	r.pass(time.Second)
	a.Load(1, 1<<20)
	d := settleTime + a.o.Timeout + settleSlack
	began := r.now
	for r.now < began+maxSettling*d-time.Second {
		a.unsettle()
		if r.pass(time.Second); a.isSettled() {
			t.Fatalf("it is settled after %v", r.now-began)
		}
	}
	a.unsettle()
	r.pass(2 * time.Second)
	if !a.isSettled() {
		t.Errorf("it is not settled after %v", r.now-began)
	}
	if a.unsettle(); a.isSettled() {
		t.Error("it is settled at once")
	}
	a.Load(1, 1)
	r.pass(settleTime + leastRetell)
	if a.isSettled() {
		t.Error("it is settled before what was told has arrived")
	}
	if r.pass(settleSlack); !a.isSettled() {
		t.Error("with one torrent it is not settled soon")
	}
}

// TestLateAreToldInTheEnd proves that torrents whose changes wait until all is settled are told then, those too for which the queue had no
// room; and that the queue is bounded.
func TestLateAreToldInTheEnd(t *testing.T) {
	s := newScript(t, Limits{Dirty: 1})
	for torrent := range byte(3) {
		s.report(1, torrent, peers(1, 0), false)
		s.report(2, torrent, peers(1, 0), false)
	}
	s.pass(time.Second)
	for _, e := range s.entries {
		s.directory.postpone(e)
		s.directory.postpone(e)
	}
	if len(s.late) != 1 {
		t.Errorf("%d wait in the queue", len(s.late))
	}
	s.want("1: 2=1+0; 2: 1=1+0", s.pass(10*time.Millisecond))
	if got := s.pass(s.o.scanTime()); strings.Count(got, "1: 2=1+0") != 2 || strings.Count(got, "2: 1=1+0") != 2 {
		t.Errorf("of the others was said: %s", got)
	}
	if s.pass(s.o.scanTime()) != "" {
		t.Error("they are told again")
	}
}

// TestHomeBefore proves which home is asked about a torrent, and which nodes are told at once, while nodes settle.
func TestHomeBefore(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	r.join("b")
	r.pass(2 * a.o.Timeout)
	c := r.join("c")
	moved := swarm.Key{Family: 4}
	for n := uint16(0); moved.Hash == (swarm.ID{}); n++ { // from b to c
		k := swarm.Key{Hash: swarm.ID{byte(n), byte(n >> 8), 1}, Family: 4}
		sum := a.compass.sum(&k.Hash)
		if home := a.homeOf(&k.Hash); home != nil && score(sum, c.view.own) > score(sum, home.lot) {
			moved = k
		}
	}
	r.pass(time.Second)
	if home := a.homeOf(&moved.Hash); home == nil || home.id != "c" {
		t.Fatalf("the home is %v", home)
	}
	if home := a.homeToAsk(&moved.Hash); home == nil || home.id != "b" {
		t.Errorf("asked is %v", home)
	}
	if !c.isPartial(&moved.Hash, c.numberOf("a")) || c.isPartial(&moved.Hash, 0) {
		t.Error("a new node tells what it does not know yet, or not what is new to itself")
	}
	own := a.keyAt("a")
	if a.isPartial(&own.Hash, a.numberOf("b")) || !a.isPartial(&own.Hash, a.numberOf("c")) {
		t.Error("a home that stays tells a node too little, or a new one too much")
	}
	r.pass(3 * a.o.Timeout)
	if home := a.homeToAsk(&moved.Hash); home == nil || home.id != "c" || c.isPartial(&moved.Hash, c.numberOf("a")) {
		t.Error("it is not settled in the end")
	}
}
