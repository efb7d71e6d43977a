package server

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring/host"
)

// This file begins the start of a tracker that takes over from another process: what it needs before it has shards. inherit.go goes on.

// inheritance is what has come from the predecessor.
type inheritance struct {
	link      *handover.Link
	listeners map[string][]host.Handed // sockets by what they are for
	unused    []host.Handed            // that the configuration has no more
	born      handover.Listeners       // what the predecessor has become
	state     handover.State
	tickets   []byte

	shards    int
	batches   [][]shard.Heir // by shard, not yet given to it
	feeds     []*feed        // by shard
	totals    []*shard.Totals
	got       handover.End
	lostPeers int

	places places
	wait   sync.WaitGroup // connections that a shard has been given and not taken in

	ctx    context.Context
	cancel context.CancelFunc
}

// context returns one that ends when taking over has lasted too long. inherit begins with it: later, any goroutine may ask.
func (in *inheritance) context() context.Context {
	if in.ctx == nil {
		in.ctx, in.cancel = context.WithTimeout(context.Background(), carryPatience)
	}
	return in.ctx
}

// heirsAtOnce bounds the connections that a shard adopts between two turns.
const heirsAtOnce = 256

// greet tells the predecessor that this process has started, and takes the listening sockets.
func greet(link *handover.Link, version string) (*inheritance, error) {
	in := &inheritance{link: link, listeners: map[string][]host.Handed{}}
	link.SetDeadline(time.Now().Add(startPatience))
	if err := link.Send(handover.KindHello, &handover.Hello{Format: handover.Version, Program: version, Answers: true}, -1); err != nil {
		return nil, err
	}
	for {
		r, err := link.Receive()
		if err != nil {
			return nil, fmt.Errorf("cannot take over the listening sockets: %w", err)
		}
		if r.Kind == handover.KindListeners {
			return in, r.As(handover.KindListeners, &in.born)
		}
		var l handover.Listener
		if err := r.As(handover.KindListener, &l); err != nil {
			return nil, err
		}
		if r.FD >= 0 {
			in.listeners[l.Name] = append(in.listeners[l.Name], host.Handed{Address: l.Address, FD: r.FD, Kept: l.Kept})
		}
	}
}

// passed returns the sockets of clients as if a service manager had passed them, but for those that the configuration has no more.
func (in *inheritance) passed(cfg *config.Config) (*host.Passed, error) {
	wanted := map[string]bool{}
	for _, l := range cfg.Listeners() {
		wanted[l.Address] = true
	}
	var kept []host.Handed
	for _, h := range in.listeners[listenerTracker] {
		if wanted[h.Address] {
			kept = append(kept, h)
		} else {
			in.unused = append(in.unused, h)
		}
	}
	delete(in.listeners, listenerTracker)
	return host.HandedSockets(kept)
}

// take returns the predecessor's socket for operators with a name, if it is at an address; nil: there is none.
func (in *inheritance) take(name, address string) ([]*host.Listener, error) {
	if in == nil || len(in.listeners[name]) == 0 {
		return nil, nil
	}
	h := in.listeners[name][0]
	delete(in.listeners, name)
	if h.Address != address {
		in.unused = append(in.unused, h)
		return nil, nil
	}
	p, err := host.HandedSockets([]host.Handed{h})
	if err != nil {
		return nil, err
	}
	return p.Listen(address, 1)
}

// ready tells the predecessor that this process could serve, and waits for the state of the process.
func (in *inheritance) ready() error {
	if err := in.link.Send(handover.KindReady, nil, -1); err != nil {
		return err
	}
	in.link.SetDeadline(time.Now().Add(startPatience + carryPatience))
	if _, err := in.link.Want(handover.KindState, &in.state); err != nil {
		return fmt.Errorf("cannot take over: %w", err)
	}
	in.tickets = bytes.Clone(in.state.Tickets)
	clear(in.state.Tickets)
	in.state.Tickets = nil
	return nil
}

// clockStart returns when the clock of the loops was zero, so that it goes on where the predecessor's is.
func (in *inheritance) clockStart() time.Time {
	since := host.Monotonic() - time.Duration(in.state.ClockAt)
	return time.Now().Add(-time.Duration(in.state.Clock) - since)
}

// awake returns the time that the shards have been awake.
func (in *inheritance) awake() time.Duration { return seconds(int(in.state.Second) - 1) }
