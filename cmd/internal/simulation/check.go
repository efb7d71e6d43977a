package simulation

import (
	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/outbox"
)

// This file owns the checks of the shards' tables, their memory and their rings, against the knowledge of the clients.
// It and paths.go are the only files that read the shards' figures.

// lostReplies reports whether a shard has left replies out on purpose.
func lostReplies(st *shard.Stats) bool {
	lost := uint64(0)
	for _, k := range []outbox.Kind{outbox.Reply, outbox.Scrape, outbox.Failure} {
		lost += st.Outbox.DroppedFull[k] + st.Outbox.DroppedMemory[k] + st.Messages.DroppedMail[k]
	}
	return lost > 0
}

// underWay reports whether a shard has something in hand that it must have dealt with at rest.
func underWay(st *shard.Stats) bool {
	return st.Inbox.AssemblyMemory != 0 || st.Post.Backlog != 0 || st.Torrents.GoneWaiting != 0 || st.Post.MailDepth != 0
}

// checkRest proves that at rest every connection is one that its client knows, open and without any memory.
func (w *world) checkRest() {
	open, up := 0, 0
	for _, c := range w.clients {
		if c.up() {
			up++
		}
	}
	for k, l := range w.loops {
		st, rs := l.shard.Snapshot(), l.ring.Stats()
		open += st.Open()
		if st.Outbox.SendMemory != l.heldBytes() || underWay(&st) || st.Table.Conns[conn.Open] != st.Open() {
			w.failf("shard %d is at rest and still has something to do: %+v", k, st)
		}
		if rs.Connections != st.Open() || rs.Parked != 0 || rs.BuffersInUse != 0 || rs.StaleCompletions != 0 {
			w.failf("ring %d is at rest and still has something to do, or another number of connections than %d: %+v",
				k, st.Open(), rs)
		}
	}
	if open != up {
		w.failf("the shards have %d connections, the clients know of %d", open, up)
	}
	if err := w.k.Check(); err != nil {
		w.failf("the kernel found: %v", err)
	}
}

// heldBytes returns how much send memory is kept from the shard.
func (l *loop) heldBytes() int {
	if l.held == 0 {
		return 0
	}
	return tightHeld
}

// checkPeers compares the swarms with the knowledge of the clients, at rest. A client that was reset or has left is in
// no swarm; any other one is in those that its replies said. Two connections of one peer count as one.
func (w *world) checkPeers() {
	lost, got, want := w.tight || w.hand.lostReplies(), 0, make(map[[2]string]bool)
	for _, l := range w.loops {
		st := l.shard.Snapshot()
		lost = lost || lostReplies(&st)
		got += st.Torrents.Swarm.Peers
	}
	if lost {
		return // a client that missed a reply does not know its swarms
	}
	for _, c := range w.clients {
		if !c.up() {
			continue
		}
		if len(c.asked) > 0 {
			w.failf("client %d never got a reply to %+v", c.n, c.asked)
		}
		for hash, present := range c.present {
			if present {
				want[[2]string{c.peer, hash}] = true
			}
		}
	}
	if got != len(want) {
		w.failf("%d peers in the swarms, the clients know of %d", got, len(want))
	}
}

// checkEnd closes the rings of stopped shards and proves that nothing is left.
func (w *world) checkEnd() {
	for k, l := range w.loops {
		l.giveHeldBack()
		st := l.shard.Snapshot()
		if !l.isEmpty(&st) || underWay(&st) || st.Torrents.Swarm.Peers != 0 || st.Torrents.Swarm.Torrents != 0 ||
			st.Torrents.Swarm.Connections != 0 {
			w.failf("shard %d still holds something: %+v", k, st)
		}
		l.ended = true
	}
	for k, l := range w.loops {
		if err := l.ring.Close(); err != nil {
			w.failf("cannot close ring %d: %v", k, err)
		}
	}
	if err := w.k.Check(); err != nil {
		w.failf("the kernel found: %v", err)
	}
}

// giveHeldBack gives the send memory back that was kept from the shard.
func (l *loop) giveHeldBack() {
	if l.held != 0 {
		l.ring.Pool().Put(l.held)
		l.held = 0
	}
}

// isEmpty reports whether a shard has no connection and no memory of one, and has counted the way out of all that came in.
func (l *loop) isEmpty(st *shard.Stats) bool {
	out := uint64(l.given) + st.Mover.MovedOut
	for _, n := range st.Table.Closed {
		out += n
	}
	in := st.Door.Accepted + st.Mover.MovedIn + uint64(l.inherited)
	return st.Open() == 0 && st.Outbox.SendMemory == 0 && st.Inbox.AssemblyMemory == 0 && out == in
}
