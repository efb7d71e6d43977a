package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
	"millrace/swarm"
)

// This file owns the start of a tracker that takes over from another process: the successor's side of upgrade.go.

// save writes the keys of hashes down.
func (k *secrets) save(st *handover.State) {
	put := func(b *[16]byte, words [2]uint64) {
		binary.LittleEndian.PutUint64(b[:], words[0])
		binary.LittleEndian.PutUint64(b[8:], words[1])
	}
	put(&st.Owner, k.owner)
	put(&st.Table, k.table)
	st.Source = k.source
}

// secretsOf returns the keys of hashes that were written down.
func secretsOf(st *handover.State) secrets {
	words := func(b *[16]byte) [2]uint64 {
		return [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	}
	return secrets{owner: words(&st.Owner), table: words(&st.Table), source: st.Source}
}

// takeState tells the predecessor that this process could serve, and goes on with the state of that.
func (s *Server) takeState(in *inheritance) error {
	if err := in.ready(); err != nil {
		return err
	}
	s.upgrades.failed.Store(in.state.Failed)
	s.start, s.secrets, s.upgrades.done = in.clockStart(), secretsOf(&in.state), in.state.Done+1
	defer clear(in.tickets)
	if s.tls == nil || len(in.tickets) == 0 {
		return nil
	}
	keys, err := parseTicketKeys(in.tickets)
	if err != nil {
		return fmt.Errorf("cannot take over the keys of session tickets: %w", err)
	}
	s.tls.certificates.UseTicketKeys(keys, time.Now())
	clear(keys)
	return nil
}

// inherit takes in all that the predecessor has, and serves when that says so.
func (s *Server) inherit(in *inheritance) error {
	in.shards = len(s.controls)
	in.batches = make([][]shard.Heir, in.shards)
	in.places.start(in.shards, s.setup.connsPerShard)
	in.context()
	s.startFeeds(in)
	defer in.endFeeds() // after an error too
	in.link.SetDeadline(time.Now().Add(carryPatience))
	for {
		r, err := in.link.Receive()
		if err != nil {
			return fmt.Errorf("cannot take over: %w", err)
		}
		if r.Kind == handover.KindEnd {
			if err := s.inheritEnd(in, &r); err != nil {
				return err
			}
			break
		}
		if err := s.inheritRecord(in, &r); err != nil {
			return fmt.Errorf("cannot take over: %w", err)
		}
	}
	if err := s.showInherited(in); err != nil {
		return err
	}
	if err := in.link.Send(handover.KindMine, &handover.Mine{Left: in.places.left}, -1); err != nil {
		return err
	}
	if _, err := in.link.Want(handover.KindYours, nil); err != nil {
		return fmt.Errorf("cannot take over: %w", err)
	}
	_ = in.link.Send(handover.KindServing, nil, -1) // an older version does not wait for it, and is gone
	if s.bridge != nil {
		s.bridge.behind = in.link
	} else {
		in.link.Close()
	}
	in.cancel()
	ctx := context.Background() // the clients are this process's now, however long it takes
	err := s.thaw(ctx)
	for _, c := range s.controls {
		if err == nil {
			err = c.Do(ctx, func(_ *shard.Shard, r *ring.Ring) { r.Submit([]ring.Op{{Kind: ring.OpGoAccept}}) })
		}
		if err != nil {
			return fmt.Errorf("cannot go on after the hand-over: %w", err)
		}
	}
	s.log.Info("took over from another process", "version", in.state.Program, "shards", in.state.Shards,
		"connections", len(in.places.found), "connections_lost", len(in.places.left), "peers", in.got.Peers, "peers_lost", in.lostPeers)
	return nil
}

// inheritRecord takes one record in.
func (s *Server) inheritRecord(in *inheritance, r *handover.Received) error {
	switch r.Kind {
	case handover.KindConnection:
		return s.inheritConnection(in, r)
	case handover.KindAddress: // behind the connections, which must find their places
		if err := s.flushHeirs(in); err != nil {
			return err
		}
		return s.inheritAddress(in, r)
	case handover.KindPeers:
		if err := s.flushHeirs(in); err != nil {
			return err
		}
		return s.inheritPeers(in, r)
	case handover.KindCounters:
		return s.inheritCounters(in, r)
	case handover.KindProcessTotals:
		return s.inheritProcessTotals(r)
	case handover.KindHour:
		return s.inheritHour(r)
	}
	return r.As(handover.KindEnd, nil) // says what it is
}

// inheritAddress takes in what is remembered of an address. If there is no place for it, it is forgotten.
func (s *Server) inheritAddress(in *inheritance, r *handover.Received) error {
	var a handover.Address
	if err := r.As(handover.KindAddress, &a); err != nil {
		return err
	}
	in.got.Addresses++
	s.addresses.Restore(&guard.Saved{
		Key: a.Key, Banned: time.Duration(a.Banned), OffenceAge: time.Duration(a.OffenceAge), Arrivals: time.Duration(a.Arrivals),
		Handshakes: time.Duration(a.Handshakes), Offences: a.Offences,
	}, s.clock())
	return nil
}

// inheritPeers gives peers to the shards that are the homes of their torrents.
func (s *Server) inheritPeers(in *inheritance, r *handover.Received) error {
	return handover.EachPeer(r.Fields, func(p *handover.Peer) error {
		if !p.More {
			in.got.Peers++
		}
		place, ok := in.places.found[p.From]
		if !ok { // its connection could not be taken in
			in.lostPeers++
			return nil
		}
		hash := swarm.ID(p.Hash)
		in.feeds[swarm.Owner(s.secrets.owner, &hash, in.shards)].add(p, &place)
		return nil
	})
}

// inheritCounters has the figures of a shard go on. Those of shards that there are not any more go to the first.
func (s *Server) inheritCounters(in *inheritance, r *handover.Received) error {
	t := &shard.Totals{}
	if err := json.Unmarshal(r.Fields, t); err != nil {
		return fmt.Errorf("the counters of a shard: %w", err)
	}
	in.totals = append(in.totals, t)
	return nil
}

// inheritEnd checks that everything has come.
func (s *Server) inheritEnd(in *inheritance, r *handover.Received) error {
	var sent handover.End
	if err := r.As(handover.KindEnd, &sent); err != nil {
		return err
	}
	if err := s.flushHeirs(in); err != nil {
		return err
	}
	if err := in.endFeeds(); err != nil {
		return fmt.Errorf("the shards have not taken the peers in: %w", err)
	}
	if in.got != sent {
		return fmt.Errorf("cannot take over: %+v has come of %+v", in.got, sent)
	}
	in.countLeft()
	for k, t := range in.totals {
		if k >= in.shards {
			in.totals[0].Add(t)
		}
	}
	for k, t := range in.totals[:min(len(in.totals), in.shards)] {
		s.controls[k].GoOnFrom(t)
	}
	return nil
}

// showInherited has all that tell figures, to operators or to clients, know those of what has come: before anybody can ask.
func (s *Server) showInherited(in *inheritance) error {
	for _, c := range s.controls {
		if err := c.Do(in.context(), func(sh *shard.Shard, _ *ring.Ring) { sh.EndPeers() }); err != nil {
			return fmt.Errorf("cannot take over: %w", err)
		}
		select {
		case <-c.Publish():
		case <-in.context().Done():
			return errors.New("cannot take over: the shards do not tell their figures")
		}
	}
	if resident, err := s.memory.read(); err == nil && s.memory.limit.Load() > 0 {
		s.memory.resident.Store(resident)
	}
	s.makePages()
	return nil
}

// countLeft counts the connections that have no place here, which the predecessor cannot tell anybody of any more.
func (in *inheritance) countLeft() {
	for _, n := range in.places.left {
		if int(n.Shard) < len(in.totals) {
			in.totals[n.Shard].Shard.Table.Closed[conn.ReasonNoPlace]++
		}
	}
}
