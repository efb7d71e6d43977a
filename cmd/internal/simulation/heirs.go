package simulation

import (
	"encoding/binary"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/ring"
	"millrace/swarm"
)

// This file owns the shards that take over: everything comes to them as the records of package handover.

// takeover is one hand-over.
type takeover struct {
	world  *world
	fails  step
	frozen bool // the shards that serve stand still

	loops     []*loop // those that take over
	second    uint32  // in which they begin
	secrets   secrets
	addresses *guard.Table
	batches   [][]shard.Heir // by shard
	places    map[handover.Name]shard.Inherited
	left      map[handover.Name]bool // connections that have no place
	pending   int                    // connections that a shard is to adopt
	mayLose   bool                   // some may find no place
}

// start starts the heirs: as many shards as it comes, with other rings and tables.
func (t *takeover) start() {
	w := t.world
	live := 0
	for _, l := range w.loops {
		live += l.open()
	}
	t.takeState()
	t.addresses, t.places, t.left = w.newAddresses(), map[handover.Name]shard.Inherited{}, map[handover.Name]bool{}
	p := &process{
		rng: w.hand.Rand, shards: 1 + w.hand.IntN(3), follow: w.hand.IntN(4) > 0, connections: max(w.maxConnections(), live+8),
		secrets: t.secrets, addresses: t.addresses, awake: time.Duration(t.second-1) * time.Second,
	}
	shrinks := w.hand.shrinks && !w.attacked && w.phase == "faults"
	if t.mayLose = w.tight || shrinks; shrinks {
		p.connections = fewConnections
	}
	p.listeners = t.listeners(p.shards)
	t.batches = make([][]shard.Heir, p.shards)
	t.loops = w.start(p)
	w.hand.heirs = t.loops
	for _, l := range t.loops {
		w.step(l) // as their threads do, before anything comes
	}
}

// fewConnections is how many connections a shard may have where the heirs have less room: enough for the service.
const fewConnections = 18

// takeState takes what holds for the whole process, as it arrives.
func (t *takeover) takeState() {
	put := func(b []byte, words [2]uint64) {
		binary.LittleEndian.PutUint64(b, words[0])
		binary.LittleEndian.PutUint64(b[8:], words[1])
	}
	st, from := handover.State{Source: t.world.secrets.source}, &t.world.secrets
	put(st.Owner[:], from.owner)
	put(st.Table[:], from.table)
	for _, l := range t.world.loops {
		st.Second = max(st.Second, l.shard.Second())
	}
	got := &handover.State{}
	if err := handover.Read(handover.Append(nil, &st), got); err != nil {
		t.world.failf("cannot read the state: %v", err)
	}
	words := func(b []byte) [2]uint64 {
		return [2]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	}
	t.second = got.Second
	t.secrets = secrets{owner: words(got.Owner[:]), table: words(got.Table[:]), source: got.Source}
}

// listeners gives each heir some of the listening sockets: all of them have one, and each has an heir.
func (t *takeover) listeners(shards int) [][]int32 {
	var all []int32
	for _, l := range t.world.loops {
		for n := range ring.MaxListeners {
			for _, fd := range l.ring.ListenerFDs(n) {
				all = append(all, int32(fd))
			}
		}
	}
	lists := make([][]int32, shards)
	for k := range max(shards, len(all)) {
		lists[k%shards] = append(lists[k%shards], t.world.k.Duplicate(all[k%len(all)]))
	}
	return lists
}

// takeConnections starts the heirs and gives them the connections. It reports false if that fails.
func (t *takeover) takeConnections() bool {
	w := t.world
	t.start()
	for _, l := range w.loops {
		err := l.shard.SaveConnections(t.second, l.ring.FD, t.takeConnection)
		if err != nil {
			w.failf("cannot save connections: %v", err)
		}
	}
	for t.flush() {
		t.someTurns()
		if t.fails == adopting && w.hand.IntN(3) == 0 {
			break
		}
	}
	for n := 0; t.pending > 0; n++ {
		if n > patience {
			w.failf("the connections do not find their places")
			return false
		}
		t.someActs()
	}
	for _, list := range t.batches { // those that no shard has been given
		for _, h := range list {
			w.k.CloseFD(h.FD)
		}
	}
	return t.fails != adopting
}

// takeConnection gives a connection to an heir, as it arrives.
func (t *takeover) takeConnection(r *handover.Connection, fd int32) error {
	w := t.world
	w.hand.noteConnection(r)
	c := &handover.Connection{}
	if err := handover.Read(handover.Append(nil, r), c); err != nil {
		return err
	}
	k := w.hand.IntN(len(t.loops))
	if hash := swarm.ID(c.Torrent); c.HasTorrent && w.hand.IntN(4) > 0 {
		k = swarm.Owner(t.secrets.owner, &hash, len(t.loops))
	}
	t.batches[k] = append(t.batches[k], shard.Heir{Record: c, FD: w.k.Duplicate(fd)})
	return nil
}

// mostAtOnce is how many connections an heir is given between two turns.
const mostAtOnce = 8

// flush gives an heir some connections. It reports false when there are no more.
func (t *takeover) flush() bool {
	for k, list := range t.batches {
		if len(list) == 0 {
			continue
		}
		n := 1 + t.world.hand.IntN(min(len(list), mostAtOnce))
		t.batches[k] = list[n:]
		t.pending += n
		l := t.loops[k]
		t.world.do(l, func() []ring.Op {
			return l.shard.Inherit(list[:n], func(in shard.Inherited) {
				t.pending--
				t.found(l, in)
			})
		})
		return true
	}
	return false
}

// found notes where a connection is now.
func (t *takeover) found(l *loop, in shard.Inherited) {
	w := t.world
	switch {
	case in.Err == nil:
		t.places[in.Old] = in
	case !t.mayLose:
		w.failf("a connection could not be taken in: %v", in.Err)
	default:
		w.hand.Lost++
		t.left[in.Old] = true
	}
	switch {
	case in.Err == nil:
		l.inherited++
	case in.Heir.FD >= 0:
		w.k.CloseFD(in.Heir.FD)
	}
}

// takeAddresses gives the heirs what is remembered of addresses.
func (t *takeover) takeAddresses() bool {
	w := t.world
	if w.addresses == nil {
		return true
	}
	w.addresses.Save(w.now(), func(a *guard.Saved) {
		got := &handover.Address{}
		err := handover.Read(handover.Append(nil, &handover.Address{
			Key: a.Key, Banned: int64(a.Banned), OffenceAge: int64(a.OffenceAge), Arrivals: int64(a.Arrivals), Handshakes: int64(a.Handshakes),
			Offences: a.Offences,
		}), got)
		if err != nil {
			w.failf("cannot read an address: %v", err)
		}
		t.addresses.Restore(&guard.Saved{
			Key: got.Key, Banned: time.Duration(got.Banned), OffenceAge: time.Duration(got.OffenceAge), Arrivals: time.Duration(got.Arrivals),
			Handshakes: time.Duration(got.Handshakes), Offences: got.Offences,
		}, w.now())
	})
	return true
}

// takePeers gives the heirs the peers. It reports false if that fails.
func (t *takeover) takePeers() bool {
	w := t.world
	lists := make([][]shard.HeirPeer, len(t.loops))
	for _, l := range w.loops {
		err := l.shard.SavePeers(func(fields []byte, _ int) error {
			return handover.EachPeer(fields, func(p *handover.Peer) error {
				if place, ok := t.places[p.From]; ok { // else its connection has ended, or found no place
					hash := swarm.ID(p.Hash)
					k := swarm.Owner(t.secrets.owner, &hash, len(t.loops))
					lists[k] = shard.AppendHeir(lists[k], p, &place)
				}
				return nil
			})
		})
		if err != nil {
			w.failf("cannot read peers: %v", err)
		}
	}
	for k, list := range lists {
		// A limit for one connection counts on each shard, and where there are fewer shards attackers are over it.
		if lost := t.loops[k].shard.InheritPeers(list, len(list)); lost > 0 && !w.besieged {
			w.failf("%d peers could not be taken in", lost)
		}
		t.someTurns()
	}
	return t.fails != ending
}
