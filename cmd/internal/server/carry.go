package server

import (
	"encoding/json"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/ring"
	"millrace/ring/host"
)

// This file writes all that the tracker has down for its successor.

// carry sends everything.
func (h *handOver) carry() error {
	h.wait()
	s := h.server
	state := s.state(h.secondOfAll())
	err := h.link.Send(handover.KindState, state, -1)
	clear(state.Tickets)
	send := func(send func(sh *shard.Shard, r *ring.Ring) error) {
		h.each(func(_ int, sh *shard.Shard, r *ring.Ring) {
			if err == nil {
				err = send(sh, r)
			}
		})
	}
	send(func(sh *shard.Shard, r *ring.Ring) error {
		return sh.SaveConnections(state.Second, r.FD, func(c *handover.Connection, fd int32) error {
			h.wait()
			h.sent.Connections++
			return h.link.Send(handover.KindConnection, c, int(fd))
		})
	})
	if err == nil {
		err = h.sendAddresses()
	}
	send(func(sh *shard.Shard, _ *ring.Ring) error {
		return sh.SavePeers(func(fields []byte, peers int) error {
			h.wait()
			h.sent.Peers += uint64(peers)
			return h.link.SendRaw(handover.KindPeers, fields)
		})
	})
	if err == nil {
		err = h.sendCounters()
	}
	if err == nil {
		err = h.sendProcessTotals()
	}
	if err == nil {
		err = h.sendHour()
	}
	if err == nil {
		err = h.link.Send(handover.KindEnd, &h.sent, -1)
	}
	return err
}

// sendAddresses sends what is remembered of client addresses.
func (h *handOver) sendAddresses() (err error) {
	h.server.addresses.Save(h.server.clock(), func(a *guard.Saved) {
		if err != nil {
			return
		}
		h.wait()
		h.sent.Addresses++
		err = h.link.Send(handover.KindAddress, &handover.Address{
			Key: a.Key, Banned: int64(a.Banned), OffenceAge: int64(a.OffenceAge), Arrivals: int64(a.Arrivals), Handshakes: int64(a.Handshakes),
			Offences: a.Offences,
		}, -1)
	})
	return err
}

// secondOfAll returns the second in which the successor begins: the last one that a shard is in.
func (h *handOver) secondOfAll() (second uint32) {
	h.each(func(_ int, sh *shard.Shard, _ *ring.Ring) { second = max(second, sh.Second()) })
	return second
}

// state returns what holds for the whole process.
func (s *Server) state(second uint32) *handover.State {
	connections, peers := s.Clients()
	st := &handover.State{
		Program: s.process.Version, Clock: int64(s.clock()), ClockAt: int64(host.Monotonic()), Second: second,
		Shards: uint16(len(s.controls)), Reloaded: s.reloadCounts.at.Load(), Done: s.upgrades.done, Peers: uint64(peers),
		Failed: s.upgrades.failed.Load(), Connections: uint64(connections),
	}
	s.secrets.save(st)
	if s.tls != nil {
		keys := s.tls.certificates.TicketKeys()
		st.Tickets = appendTicketKeys(nil, keys)
		clear(keys)
	}
	return st
}

// sendCounters sends the totals of all shards.
func (h *handOver) sendCounters() error {
	for _, p := range h.server.Snapshot(h.ctx) {
		text, err := json.Marshal(p.Totals())
		if err != nil {
			panic("BUG: counters cannot be written as JSON: " + err.Error())
		}
		if err := h.link.SendRaw(handover.KindCounters, text); err != nil {
			return err
		}
	}
	return nil
}
