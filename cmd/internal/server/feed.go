package server

import (
	"context"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/ring"
)

// This file gives shards the peers of a predecessor: each shard takes some in while the next ones are being read for it and for others. It
// also lets them go on, some connections at a time.

// thawAtOnce bounds the connections of a shard that go on in one turn. The longest announces of so many go into a mailbox.
const thawAtOnce = 64

// thaw lets all shards go on, in turns.
func (s *Server) thaw(ctx context.Context) (err error) {
	for more := true; more && err == nil; {
		more = false
		for _, c := range s.controls {
			err = c.Do(ctx, func(sh *shard.Shard, r *ring.Ring) {
				ops, left := sh.Thaw(thawAtOnce)
				r.Submit(ops)
				more = more || left
			})
			if err != nil {
				return err
			}
		}
	}
	return err
}

const (
	peersAtOnce = 2048 // bounds the peers that a shard takes in between two turns: some milliseconds
	listsAtOnce = 4    // of a shard: one that is being filled, one that it takes in, and others between
)

// feed is the way of peers to a shard.
type feed struct {
	list  []shard.HeirPeer      // being filled
	full  chan []shard.HeirPeer // on the way to the shard
	empty chan []shard.HeirPeer // used again
	over  chan struct{}         // closed when all are in: lost and err are set then
	lost  int
	err   error
}

// startFeeds lets the shards take in peers, until endFeeds.
func (s *Server) startFeeds(in *inheritance) {
	expected := int(in.state.Peers) / in.shards
	for _, c := range s.controls {
		f := &feed{full: make(chan []shard.HeirPeer, listsAtOnce), empty: make(chan []shard.HeirPeer, listsAtOnce), over: make(chan struct{})}
		for range listsAtOnce - 1 {
			f.empty <- nil
		}
		in.feeds = append(in.feeds, f)
		go func() {
			defer close(f.over)
			for list := range f.full {
				if f.err == nil {
					f.err = c.Do(in.context(), func(sh *shard.Shard, _ *ring.Ring) { f.lost += sh.InheritPeers(list, expected) })
				}
				f.empty <- list[:0]
			}
		}()
	}
}

// add gives the shard a peer, of a connection that has its place now.
func (f *feed) add(p *handover.Peer, place *shard.Inherited) {
	f.list = shard.AppendHeir(f.list, p, place)
	if len(f.list) >= peersAtOnce {
		f.full <- f.list
		f.list = <-f.empty
	}
}

// endFeeds waits until the shards have all peers. A second call does nothing.
func (in *inheritance) endFeeds() (err error) {
	for _, f := range in.feeds {
		f.full <- f.list
		close(f.full)
	}
	for _, f := range in.feeds {
		<-f.over
		in.lostPeers += f.lost
		if err == nil {
			err = f.err
		}
	}
	in.feeds = nil
	return err
}
