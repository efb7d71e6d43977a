// Package cluster makes several nodes one tracker. Each node serves its own clients; what they have in common is told by records on a bus
// (package record): which nodes have peers of a torrent, and offers and answers for peers of another node. All of it heals by itself.
//
// This package decides. It is plain data in and plain data out: no goroutine, no clock, and no bus but the one that it is given. A [Core]
// belongs to one goroutine, the bridge, which to the shards of its node is one more neighbour with a mailbox pair. Shards never wait for it.
//
// Each torrent has a home (home.go), one of the live nodes (view.go), which keeps its entry in a directory (directory.go): the counts of
// peers on each node that has some. Nodes report to the home (FromShard), and it tells all that have peers about the others. The offers of
// a torrent's first peer on a node wait until the home has answered (hold.go); all later ones, and answers, go straight from node to node.
// Scrapes of torrents without peers here ask their homes (asks.go). Records for one node leave together (batch.go), in fewer bytes
// (packed.go) and sealed (seal.go).
package cluster

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file owns the core: its options, its clock, and the greetings that it sends.

// Options are the settings of a core. All but Address and Limits are needed.
type Options struct {
	Cluster string // its name: several can share a bus
	Node    string // the id of this one, which no other node has
	Address string // for people: where this node is
	Secret  []byte // that all nodes of the cluster have
	Shards  int
	Timeout time.Duration // of silence, after which a node is not live
	Refresh time.Duration // within which everything heals
	Swarms  record.Swarms // of this node
	Random  io.Reader
	Owner   func(hash *swarm.ID) int // the shard that is to have mail about a torrent
	Mail    Shards
	Bus     Bus
	Limits  Limits
}

// Shards are the mailboxes to the shards. A record is not kept. Mail reports false if a box is full. It does not call the core.
type Shards interface {
	Mail(shard int, rec []byte) bool
}

// Bus takes messages to other nodes. A message is not kept. Publish reports false if it cannot be taken now. It does not call the core.
type Bus interface {
	Publish(subject string, msg []byte) bool
}

// Core is the part of a node that speaks with the other nodes.
type Core struct {
	o         Options
	all, here string // subjects: of what is for all nodes, and for this one
	seal      seal
	opener    opener
	compass   compass
	rng       *rand.Rand
	view      view
	settling  settling
	directory directory
	holds     holds
	asks      asks
	batches   batches
	packing   packing
	news      news
	stats     Stats
	boxes     []box
	clock     clock
	speaks    uint16 // the latest version of the protocol that it speaks
	connected bool
	closed    bool // it has said goodbye
	err       error

	connections, torrents uint32 // see Load
	scratch               scratch
}

// clock is what happens at certain times.
type clock struct {
	started   bool
	began     time.Duration
	now       time.Duration // of the call under way
	ticked    time.Duration // the last Tick
	helloed   time.Duration // the last greeting
	hello     time.Duration // the next one
	resend    time.Duration // the shards are asked to tell all anew
	resendFor time.Duration // and are to be done after so long
	askUntil  time.Duration // counts that are told before it are to be answered, see takenBack
	view      uint32        // counts the changes of the view, from 1
	echoed    time.Duration // the bus last brought our own greeting, or was connected
	strange   time.Duration // somebody with another secret greeted; 0: never
}

// New returns a core that has no connection yet.
func New(o Options) (*Core, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Limits = o.Limits.orDefault()
	c := &Core{o: o, speaks: mostProtocol, boxes: make([]box, o.Shards)}
	var seed [32]byte
	for _, b := range [][]byte{c.seal.from[:], seed[:]} {
		if _, err := io.ReadFull(o.Random, b); err != nil {
			return nil, fmt.Errorf("cannot draw the name of this life of the node: %w", err)
		}
	}
	c.rng = rand.New(rand.NewChaCha8(seed))
	var err error
	if c.seal.key, err = keyFor(o.Secret, c.seal.from); err != nil {
		return nil, err
	}
	if c.compass, err = newCompass(o.Secret); err != nil {
		return nil, err
	}
	c.all, c.here = c.subject("hello"), c.subjectOf(o.Node)
	c.view = newView(c.compass.lot(o.Node))
	c.directory = newDirectory(&c.o, c.view.isLive, c.tell)
	c.holds.byKey, c.asks.byNumber = make(map[swarm.Key]*held), make(map[uint64]*ask)
	c.batches.limits = &c.o.Limits
	c.clock.resend = o.resendEvery()
	c.clock.resendFor, c.clock.view = o.resendWithin(), 1
	return c, nil
}

// subject returns a subject of the cluster. A dot in a name would divide it, so it is written as a sign that no name has.
func (c *Core) subject(last string) string {
	return "millrace." + strings.ReplaceAll(c.o.Cluster, ".", "=") + "." + last
}

func (c *Core) subjectOf(id string) string {
	return c.subject("node." + strings.ReplaceAll(id, ".", "="))
}

// Subjects returns the subjects whose messages are to come to FromBus.
func (c *Core) Subjects() []string { return []string{c.all, c.here} }

// Err returns why this node cannot be part of the cluster: another one has its id.
func (c *Core) Err() error { return c.err }

// Load says how many connections and torrents there are here, for the other nodes' operators.
func (c *Core) Load(connections, torrents uint32) { c.connections, c.torrents = connections, torrents }

// Waiting reports whether something waits that wants a Tick and a Flush each millisecond, not each 100: mail, or records. What others have to
// answer in time waits too, but an answer brings a turn by itself. News wait for the next turn, whatever brings it.
func (c *Core) Waiting() bool {
	for k := range c.boxes {
		if c.boxes[k].due() {
			return true
		}
	}
	return c.batches.isUrgent()
}

// at notes the time of a call.
func (c *Core) at(now time.Duration) {
	k := &c.clock
	if !k.started {
		k.started, k.began, k.ticked, k.hello = true, now, now, now
		k.helloed = now - helloEvery
		k.resend += now
		c.directory.scanned = now
	}
	k.now = now
}

// Connected says that there is a connection to the bus, or none any more. What was to leave is lost then; what the others missed is told
// anew with the next connection.
func (c *Core) Connected(now time.Duration, up bool) {
	c.at(now)
	if c.connected == up {
		return
	}
	c.connected = up
	if up {
		c.clock.echoed = now
		c.clock.hello = now
		c.resendSoon()
		return
	}
	c.abandon()
}

// abandon ends everything that waits for other nodes.
func (c *Core) abandon() {
	for len(c.batches.all) > 0 {
		c.stats.BytesLost += uint64(c.batches.drop(c.batches.all[0].to.number))
	}
	c.stats.HeldOver += c.holds.expire(c.clock.now)
	c.asks.expire(c.clock.now, c.askIsOver)
}

// Tick does what is due: each millisecond while Waiting, else each 100.
func (c *Core) Tick(now time.Duration) {
	c.at(now)
	if pause := now - c.clock.ticked; pause > c.o.Timeout/2 {
		// This node stood still, not the others. They may have taken it for dead.
		c.stats.Forgiven++
		c.view.forgive(pause)
		c.clock.echoed = now
		c.resendSoon()
	}
	c.clock.ticked = now
	if c.closed { // it hears nobody any more, and so can say of nobody that it is silent
		for k := range c.boxes {
			c.push(k)
		}
		return
	}
	for n := c.view.silent(now, c.o.Timeout); n != nil; n = c.view.silent(now, c.o.Timeout) {
		c.left(n, NodeSilent)
	}
	if now >= c.clock.hello {
		c.hello()
	}
	if now >= c.clock.resend {
		c.resend()
	}
	for k := range c.boxes {
		c.push(k)
	}
	c.settle()
	c.directory.tick(now, c.isSettled(), c.isHome)
	c.stats.HeldOver += c.holds.expire(now - holdTime)
	c.asks.expire(now-askTime, c.askIsOver)
}

// Flush lets the batches leave that have waited long enough or are full.
func (c *Core) Flush(now time.Duration) {
	c.at(now)
	c.flush(false)
}

func (c *Core) flush(all bool) {
	if c.connected && !c.closed {
		c.batches.flush(c.clock.now, all, func(to *node, records []byte) bool {
			return c.publish(to.subject, to.from, c.packed(to, records))
		})
	}
}

// publish sends a message.
func (c *Core) publish(subject string, to record.Incarnation, records []byte) bool {
	msg := c.seal.close(subject, to, records)
	if !c.o.Bus.Publish(subject, msg) {
		c.stats.Unpublished++
		return false
	}
	c.stats.MessagesOut++
	c.stats.BytesOut += uint64(len(msg))
	return true
}

// Bye says goodbye, with everything that waits before it. The core says and hears nothing after that.
func (c *Core) Bye(now time.Duration) {
	c.at(now)
	if c.closed {
		return
	}
	c.flush(true)
	if c.connected {
		c.stats.Out[record.KindBye]++
		c.publish(c.all, record.Incarnation{}, record.AppendFrame(nil, record.KindBye, 0))
	}
	c.closed = true
	c.abandon()
}

// helloEvery returns how often this node greets.
func (o *Options) helloEvery() time.Duration { return min(helloEvery, o.Timeout/4) }

// hello greets all.
func (c *Core) hello() {
	c.clock.hello = c.clock.now + c.o.helloEvery()
	if !c.connected || c.closed {
		return
	}
	c.clock.helloed = c.clock.now
	if c.greet(c.all, record.Incarnation{}) {
		c.stats.Out[record.KindHello]++
	} else {
		c.clock.hello = c.clock.now + c.o.helloEvery()/4
	}
}

// standAlone makes this node a tracker of its own, after the goodbye: shards are told that no other node is live.
func (c *Core) standAlone() {
	for len(c.view.live) > 0 {
		c.view.leave(c.view.live[0])
	}
	for k := range c.boxes {
		c.boxes[k].nodes = true
		c.push(k)
	}
}

// greet sends a greeting to all, or to one.
func (c *Core) greet(subject string, to record.Incarnation) bool {
	h := record.Hello{
		Node: c.o.Node, Least: leastProtocol, Most: c.speaks, Address: c.o.Address,
		Connections: c.connections, Torrents: c.torrents, Age: c.age(), Swarms: c.o.Swarms,
	}
	return c.publish(subject, to, h.Append(record.AppendFrame(nil, record.KindHello, h.Size())))
}

// age returns how long this node has been there, in milliseconds.
func (c *Core) age() uint64 { return uint64((c.clock.now - c.clock.began) / time.Millisecond) }

// homeOf returns the home of a torrent; nil: this node.
func (c *Core) homeOf(hash *swarm.ID) *node {
	if len(c.view.live) == 0 {
		return nil
	}
	return c.view.home(c.compass.sum(hash))
}

func (c *Core) isHome(hash *swarm.ID) bool { return c.homeOf(hash) == nil }

// left takes a node out of the view.
func (c *Core) left(n *node, why Event) {
	c.unsettle()
	c.view.leave(n)
	c.stats.Left++
	if why == NodeSilent {
		c.stats.Silent++
	}
	c.stats.BytesLost += uint64(c.batches.drop(n.number))
	c.news.add(c.clock.now, why, n.id, n.address)
	c.viewChanged()
}

// viewChanged tells the shards that other nodes are live than before. Some torrents have another home now, and are told anew.
func (c *Core) viewChanged() {
	c.clock.view++
	for k := range c.boxes {
		c.boxes[k].nodes = true
		c.push(k)
	}
	c.resendSoon()
}

// resendSoon has all torrents told anew in a moment: more changes of the nodes may follow.
func (c *Core) resendSoon() {
	c.clock.resend = min(c.clock.resend, c.clock.now+settleTime)
	c.clock.resendFor = c.o.retellFor(c.torrents)
}

// resend asks the shards to tell all torrents anew.
func (c *Core) resend() {
	c.stats.Resends++
	for k := range c.boxes {
		c.boxes[k].resend = record.Resend{Within: uint32(c.clock.resendFor / time.Millisecond)}
		c.boxes[k].resends = true
	}
	c.clock.resend = c.clock.now + c.o.resendEvery()
	c.clock.resendFor = c.o.resendWithin()
}
