package server

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/cluster"
	"millrace/cmd/internal/cluster/natsbus"
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/post"
	"millrace/config"
	"millrace/ring/host"
	"millrace/swarm"
)

// This file owns the bridge of a node: the goroutine between the shards, each with a mailbox pair, and the other nodes of the cluster. It
// decides nothing: that does cluster.Core.

// bridge is the part of a node that speaks with the others; nil: the tracker is alone.
type bridge struct {
	core     *cluster.Core
	secret   []byte
	warning  string // about the files; empty: none
	options  natsbus.Options
	bus      *natsbus.Bus // nil before the start
	boxes    post.Boxes
	self     int // its number in the boxes
	controls []*shard.Control
	clock    func() time.Duration
	log      *slog.Logger
	load     func() (connections, torrents int)
	failed   func(error)

	behind *handover.Link // ends when the predecessor has said goodbye; nil: there is none

	door  *host.Doorbell // rung by a shard that has sent mail while the bridge slept; nil before the shards run
	leave chan struct{}  // a token: the node is to say goodbye
	gone  chan struct{}  // closed when it has
	up    bool

	apart string // why this node has left the cluster while it serves its clients; empty: it is a part of it

	turned   time.Duration // the last turn began
	nextShow time.Duration
	shown    atomic.Pointer[bridgeState]
}

// Bounds of a turn of the bridge, and its times.
const (
	maxBridgeMail     = 1024                  // records that a turn takes from a shard
	maxBridgeMessages = 64                    // messages that a turn takes from the bus
	bridgeRest        = 10 * time.Millisecond // from the beginning of one turn to that of the next, unless there is much to do
	bridgeSoon        = time.Millisecond
	bridgeLater       = 100 * time.Millisecond
	bridgeShown       = time.Second

	goodbyePatience = 2 * time.Second // until a predecessor has said goodbye to the other nodes
)

// newCore makes the core, with the mailboxes of n shards.
func (s *Server) newCore(b *bridge, cfg *config.Config, n int) error {
	owner := s.secrets.owner
	var err error
	b.core, err = cluster.New(cluster.Options{
		Cluster: cfg.Cluster.Name, Node: nodeName(&cfg.Cluster), Address: s.addr.String(), Secret: b.secret, Shards: n,
		Timeout: seconds(cfg.Cluster.NodeTimeout), Refresh: seconds(cfg.Cleaning.MaxPeerAge), Random: rand.Reader,
		Swarms: swarmsOf(cfg), Owner: func(hash *swarm.ID) int { return swarm.Owner(owner, hash, n) }, Mail: b, Bus: b,
	})
	if err != nil {
		return fmt.Errorf("cannot be a node of a cluster: %w", err)
	}
	if b.door, err = host.NewDoorbell(); err != nil {
		return fmt.Errorf("cannot be a node of a cluster: %w", err)
	}
	b.self, b.controls, b.clock, b.log, b.failed = n, s.controls, s.clock, s.log, s.bridgeFailed
	b.load = func() (connections, torrents int) {
		for _, c := range s.controls {
			p := c.Last()
			connections += p.Shard.Open()
			torrents += p.Shard.Torrents.Swarm.Torrents
		}
		return connections, torrents
	}
	return nil
}

// swarmsOf returns who meets in the swarms of this node.
func swarmsOf(cfg *config.Config) record.Swarms {
	if cfg.Protocol.ShareSwarmsAcrossIPVersions {
		return record.SwarmsShared
	}
	return record.SwarmsApart
}

// bridgeFailed ends the tracker: another node has its name.
func (s *Server) bridgeFailed(err error) {
	s.failed(err)
	s.Stop()
}

// wakeUp is called by a shard that has sent mail while the bridge slept. It does not wait.
func (b *bridge) wakeUp() { b.door.Ring() }

// startBridge starts the bridge.
func (s *Server) startBridge() {
	if s.bridge == nil {
		return
	}
	if s.bridge.warning != "" {
		s.log.Warn(s.bridge.warning)
	}
	s.bridge.show()
	s.watchers.Go(func() { s.bridge.run(s.over) })
}

// start begins to connect to NATS, when a predecessor has said goodbye: of two nodes with one name the elder stays.
func (b *bridge) start() (err error) {
	if b.behind != nil {
		b.behind.SetDeadline(time.Now().Add(goodbyePatience))
		_, _ = b.behind.Receive() // nothing comes but the end
		b.behind.Close()
	}
	b.options.Subjects, b.options.Largest = b.core.Subjects(), cluster.LargestMessage
	b.options.Log = func(event string, err error) {
		if err != nil {
			b.log.Warn("cluster: "+event, "error", err)
			return
		}
		b.log.Info("cluster: " + event)
	}
	b.bus, err = natsbus.Open(b.options)
	return err
}

// run is the bridge's goroutine, until over is closed: when all shards have ended, so that none rings the bell any more.
func (b *bridge) run(over <-chan struct{}) {
	defer b.door.Close()
	if err := b.start(); err != nil {
		b.failed(err)
		<-over
		return
	}
	defer b.bus.Close()
	timer := time.NewTimer(bridgeLater)
	defer timer.Stop()
	for {
		select {
		case <-b.leave:
			b.sayGoodbye()
		default:
		}
		more := b.turn()
		if err := b.core.Err(); err != nil && b.apart == "" {
			if connections, _ := b.load(); connections == 0 && b.behind == nil {
				b.failed(fmt.Errorf("%w: give each node a name of its own (cluster.node)", err))
				<-over
				return
			}
			b.apart = err.Error()
			b.log.Error("cluster: this node has left it, and serves its clients alone until it is restarted with a name of its own (cluster.node)",
				"error", err)
		}
		if more {
			select {
			case <-over:
				b.sayGoodbye()
				return
			default:
				continue
			}
		}
		if b.wait(timer, over) || b.rest(timer, over) {
			b.sayGoodbye()
			return
		}
	}
}

// sayGoodbye does that, once.
func (b *bridge) sayGoodbye() {
	select {
	case <-b.gone:
		return
	default:
	}
	b.core.Bye(b.clock())
	b.bus.Flush()
	close(b.gone)
}

// wait sleeps until there is something to do, and reports whether that is the end.
func (b *bridge) wait(timer *time.Timer, over <-chan struct{}) (end bool) {
	bell := &b.boxes.Bells[b.self]
	bell.Sleep()
	defer bell.Awake()
	for _, box := range b.boxes.In {
		if box != nil && !box.Empty() {
			return false
		}
	}
	pause := bridgeLater
	if b.core.Waiting() {
		pause = bridgeSoon
	}
	timer.Reset(pause)
	select {
	case <-b.door.Rung:
	case m := <-b.bus.In:
		b.core.FromBus(b.clock(), m.Subject, m.Data)
	case <-timer.C:
	case <-b.leave:
		b.say() // for the next turn
	case <-over:
		return true
	}
	return false
}

// rest lets what comes soon after a turn gather for the next one, and reports whether the end comes first. Each turn wakes threads, here and
// on other nodes, and they cost more than all that it does. What comes after a longer silence does not wait, and a shard whose mailbox fills
// ends the rest.
func (b *bridge) rest(timer *time.Timer, over <-chan struct{}) (end bool) {
	left := b.turned + bridgeRest - b.clock()
	if left <= 0 {
		return false
	}
	timer.Reset(left)
	select {
	case <-timer.C:
	case <-b.door.Rung:
	case <-b.leave:
		b.say() // for the next turn
	case <-over:
		return true
	}
	return false
}

// turn moves mail and messages, and reports whether there are more.
func (b *bridge) turn() (more bool) {
	now := b.clock()
	b.turned = now
	if up := b.bus.Connected(); up != b.up {
		b.up = up
		b.core.Connected(now, up)
	}
	for k, box := range b.boxes.In {
		if box == nil {
			continue
		}
		n := 0
		for rec := box.Next(); rec != nil; rec = box.Next() {
			b.core.FromShard(now, k, rec)
			if n++; n == maxBridgeMail {
				more = true
				break
			}
		}
		box.Release()
	}
	more = b.receive(now) || more
	b.core.Tick(now)
	b.core.Flush(now)
	for k, box := range b.boxes.Out {
		if box != nil && box.Publish() && b.boxes.Bells[k].Ring() {
			b.controls[k].Knock()
		}
	}
	if now >= b.nextShow {
		b.nextShow = now + bridgeShown
		b.show()
	}
	return more
}

// receive takes messages from the bus.
func (b *bridge) receive(now time.Duration) (more bool) {
	for range maxBridgeMessages {
		select {
		case m := <-b.bus.In:
			b.core.FromBus(now, m.Subject, m.Data)
		default:
			return false
		}
	}
	return true
}

// Mail implements cluster.Shards.
func (b *bridge) Mail(k int, rec []byte) bool { return post.ToShard(b.boxes.Out[k], rec) }

// Publish implements cluster.Bus.
func (b *bridge) Publish(subject string, msg []byte) bool { return b.bus.Publish(subject, msg) }

// say has the node say goodbye to the others.
func (b *bridge) say() {
	if b == nil {
		return
	}
	select {
	case b.leave <- struct{}{}:
	default:
	}
}

// goodbye has the node say goodbye, and waits until it has.
func (b *bridge) goodbye() {
	if b == nil {
		return
	}
	b.say()
	select {
	case <-b.gone:
	case <-time.After(goodbyePatience):
		b.log.Warn("cluster: other nodes could not be told that another process goes on")
	}
}
