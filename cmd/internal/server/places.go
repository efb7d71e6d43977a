package server

import (
	"bytes"
	"errors"
	"sync"
	"syscall"

	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/mover"
	"millrace/ring"
	"millrace/swarm"
)

// This file owns the places of connections that come from a predecessor. None is lost while any shard has a place for it.

// places are those of all shards. The loops give some back.
type places struct {
	mu      sync.Mutex
	most    int   // connections that a shard may have
	counts  []int // by shard
	found   map[handover.Name]shard.Inherited
	refused []refused
	tries   map[handover.Name]int // shards that had no room for a connection that has not found its place yet
	left    []handover.Name       // those that have no place here
}

// refused is a connection that a shard could not take in.
type refused struct {
	shard.Inherited
	by int
}

func (p *places) start(shards, most int) {
	p.most, p.counts = most, make([]int, shards)
	p.found, p.tries = map[handover.Name]shard.Inherited{}, map[handover.Name]int{}
}

// take takes a place for a connection: on its home, unless that is full or has its fair share of so many, else on the shard that has least.
// It reports false if all are full.
func (p *places) take(home, share int) (k int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k = home; k < 0 || p.counts[k] >= min(share, p.most) {
		k = 0
		for j, n := range p.counts {
			if n < p.counts[k] {
				k = j
			}
		}
	}
	if p.counts[k] >= p.most {
		return 0, false
	}
	p.counts[k]++
	return k, true
}

// decided notes what a shard has made of a connection that it was given.
func (p *places) decided(k int, h shard.Inherited) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.Err == nil {
		p.found[h.Old] = h
		return
	}
	p.counts[k]--
	p.refused = append(p.refused, refused{h, k})
}

// next takes a place for a connection that a shard has refused on one that it has not tried. It reports false if there is none.
func (p *places) next(r *refused) (k int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k = r.by; r.Elsewhere && r.Heir.FD >= 0; {
		if p.tries[r.Old]++; p.tries[r.Old] == len(p.counts) {
			break
		}
		if k = (k + 1) % len(p.counts); p.counts[k] < p.most {
			p.counts[k]++
			return k, true
		}
	}
	return 0, false
}

// leave leaves a connection to the predecessor.
func (p *places) leave(h shard.Heir) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = append(p.left, h.Record.Name)
	clear(h.Record.TLS)
	if h.FD >= 0 {
		_ = syscall.Close(int(h.FD)) // the predecessor has its own
	}
}

// takeRefused returns those that were refused since the last call.
func (p *places) takeRefused() []refused {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.refused
	p.refused = nil
	return list
}

// known returns of how many connections it is clear what becomes of them.
func (p *places) known() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.found) + len(p.left)
}

// inheritConnection gives a connection to a shard, or leaves it to the predecessor.
func (s *Server) inheritConnection(in *inheritance, r *handover.Received) error {
	c := &handover.Connection{}
	fields := bytes.Clone(r.Fields) // the shard has it longer
	if err := handover.Read(fields, c); err != nil {
		return err
	}
	if r.FD < 0 {
		return errors.New("a connection has come without its socket")
	}
	h := shard.Heir{Record: c, FD: int32(r.FD)}
	if len(c.TLS) > 0 && s.tls == nil { // no shard could take it in
		in.got.Connections++
		in.places.leave(h)
		return nil
	}
	home := -1
	if c.HasTorrent {
		hash := swarm.ID(c.Torrent)
		home = swarm.Owner(s.secrets.owner, &hash, in.shards)
	}
	share := mover.FairShare(int(max(in.state.Connections, in.got.Connections)), in.shards)
	k, ok := in.places.take(home, share)
	if !ok { // unless some that have a place cannot be taken in
		if err := s.flushHeirs(in); err != nil {
			return err
		}
		k, ok = in.places.take(home, share)
	}
	in.got.Connections++
	if !ok {
		in.places.leave(h)
		return nil
	}
	return s.giveHeir(in, k, h)
}

// giveHeir gives a shard a connection, together with others.
func (s *Server) giveHeir(in *inheritance, k int, h shard.Heir) error {
	in.batches[k] = append(in.batches[k], h)
	if len(in.batches[k]) == heirsAtOnce {
		return s.flushShard(in, k)
	}
	return nil
}

// flushShard gives a shard the connections that wait for it.
func (s *Server) flushShard(in *inheritance, k int) error {
	list := in.batches[k]
	in.batches[k] = nil
	in.wait.Add(len(list))
	done := func(h shard.Inherited) {
		in.places.decided(k, h)
		in.wait.Done()
	}
	return s.controls[k].Do(in.context(), func(sh *shard.Shard, r *ring.Ring) { r.Submit(sh.Inherit(list, done)) })
}

// flushHeirs gives the shards all connections that wait for them, and waits until all are taken in. One that a shard has no room for
// goes to another one.
func (s *Server) flushHeirs(in *inheritance) error {
	for in.places.known() < int(in.got.Connections) {
		for k := range in.batches {
			if len(in.batches[k]) > 0 {
				if err := s.flushShard(in, k); err != nil {
					return err
				}
			}
		}
		taken := make(chan struct{})
		go func() {
			in.wait.Wait()
			close(taken)
		}()
		select {
		case <-taken:
		case <-in.context().Done():
			return errors.New("the shards have not taken the connections in")
		}
		for _, r := range in.places.takeRefused() {
			k, ok := in.places.next(&r)
			if !ok {
				in.places.leave(r.Heir)
			} else if err := s.giveHeir(in, k, r.Heir); err != nil {
				return err
			}
		}
	}
	return nil
}
