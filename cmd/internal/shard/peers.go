package shard

import (
	"millrace/cmd/internal/handover"
	"millrace/swarm"
)

// This file takes the peers of a frozen shard to another process, and takes in those of one.

// peersPerRecord is about how many bytes of peers go in one record.
const peersPerRecord = 48 << 10

// SavePeers calls send with all peers of a frozen shard: the fields of a handover.KindPeers, good until it returns, and how many peers
// they are.
func (s *Shard) SavePeers(send func(fields []byte, peers int) error) error {
	var b []byte
	var one handover.Peer
	peers, next := 0, uint32(0)
	for more := true; more; more = next != 0 {
		next = s.torrents.Save(next, 64, s.turn.Now, func(p *swarm.SavedPeer) {
			if !p.More {
				peers++
			}
			fillPeer(&one, p)
			b = handover.AppendPeer(b, &one)
		})
		if len(b) > peersPerRecord || next == 0 {
			if err := send(b, peers); err != nil {
				return err
			}
			b, peers = b[:0], 0
		}
	}
	return nil
}

// fillPeer writes a peer down.
func fillPeer(to *handover.Peer, p *swarm.SavedPeer) {
	offers := to.Offers[:0]
	for _, o := range p.Offers {
		offers = append(offers, handover.Offer{Fingerprint: o.Fingerprint, Age: o.Age})
	}
	*to = handover.Peer{
		Hash: p.Key.Hash, Family: p.Key.Family, Downloaded: p.Downloaded, ID: p.Peer,
		From: handover.Name{Shard: p.From.Shard, Index: p.From.Index, Gen: p.From.Gen},
		Age:  p.Age, Seeder: p.Seeder, Line: p.Line, More: p.More, Offers: offers,
	}
}

// HeirPeer is a peer of another process, whose connection has been taken in.
type HeirPeer struct {
	Peer   swarm.SavedPeer
	Source uint64
	Origin uint32
}

// AppendHeir appends a peer that was written down, of a connection that has its place now. It keeps nothing of p, and uses again what the
// list has behind its end.
func AppendHeir(list []HeirPeer, p *handover.Peer, place *Inherited) []HeirPeer {
	var offers []swarm.SavedOffer
	if n := len(list); n < cap(list) {
		offers = list[:n+1][n].Peer.Offers[:0]
	}
	for _, o := range p.Offers {
		offers = append(offers, swarm.SavedOffer{Fingerprint: o.Fingerprint, Age: o.Age})
	}
	return append(list, HeirPeer{Source: place.Source, Origin: place.Origin, Peer: swarm.SavedPeer{
		Key: swarm.Key{Hash: p.Hash, Family: place.Family}, Downloaded: p.Downloaded, Peer: p.ID, From: place.Addr, Age: p.Age,
		Seeder: p.Seeder, Line: p.Line, More: p.More, Offers: offers,
	}})
}

// InheritPeers puts peers into the swarm table of a shard that is their home, and returns how many have no place in it. About so many
// are expected in all. It is called between two Steps, by the loop's thread, and ends with Thaw.
func (s *Shard) InheritPeers(list []HeirPeer, expected int) (lost int) {
	if s.chores.freeze.restoring == nil {
		s.chores.freeze.restoring = s.torrents.Restore(s.turn.Now, expected, 0)
	}
	for k := range list {
		h := &list[k]
		switch status := s.chores.freeze.restoring.Peer(&h.Peer, h.Source, h.Origin); {
		case status == swarm.StatusAdded:
			s.torrents.Inherited(&h.Peer.Peer)
		case status > swarm.StatusAdded && status != swarm.StatusSuccessor:
			lost++
		}
	}
	return lost
}

// EndPeers says that there are no more peers to take in, so that all can be told of them.
func (s *Shard) EndPeers() { s.torrents.Inherited(nil) }
