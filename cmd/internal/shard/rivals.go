package shard

import "millrace/swarm"

// This file remembers peers whose ids have come to other nodes, until their connections have answered or not: see challenge.go.

// rival is a peer here whose id has come to another node. Its connection was asked whether it is still there.
type rival struct {
	key  swarm.Key
	peer swarm.ID
	at   uint32 // second
}

// Bounds of rivals: connections that are remembered, and seconds for which.
const (
	maxRivals   = 4096
	rivalMemory = 4 * challengePatience
)

// noteRival remembers a peer of a connection that is being asked.
func (s *Shard) noteRival(owner swarm.Addr, r rival) {
	ab := s.chores.abroad
	if list, known := ab.rivals[owner]; (known || len(ab.rivals) < maxRivals) && len(list) < maxRivals {
		ab.rivals[owner] = append(list, r)
	}
	s.stats.Abroad.Rivals++
}

// removeRivals removes the peers of a connection that does not answer, as far as their ids have come to other nodes.
func (s *Shard) removeRivals(addr swarm.Addr) {
	ab := s.chores.abroad
	if ab == nil {
		return
	}
	for _, r := range ab.rivals[addr] {
		res, _ := s.torrents.Announce(s.turn.Now, &swarm.Announce{Key: r.key, Peer: r.peer, From: addr, Event: swarm.EventStopped}, nil)
		if res.Status == swarm.StatusRemoved {
			s.stats.Abroad.RivalsGone++
		}
	}
	delete(ab.rivals, addr)
}

// forgetRivals forgets those whose connections have answered, or have not been asked.
func (s *Shard) forgetRivals() {
	ab := s.chores.abroad
	for addr, list := range ab.rivals {
		if s.turn.Now-list[len(list)-1].at >= rivalMemory {
			delete(ab.rivals, addr)
		}
	}
}
