package simulation

import (
	"time"

	"millrace/cmd/internal/shard"
)

// This file owns the proof that attackers cannot keep honest clients of other addresses from being served: whatever they do,
// an honest client gets in, is not closed, gets a reply within a bounded number of turns, and stays a peer.

// siegeHash is the info hash that the witnesses announce. The attackers know it.
var siegeHash = id("siege")

// Sizes of a siege.
const (
	siegeRounds      = 12
	witnesses        = 5
	oldAtSiege       = 4       // clients that stay from before, so that attackers find room
	maxAttackers     = 16      // connections at a time
	attackerLimit    = 4       // of them from one address
	siegeConnections = 64      // connections of a shard where there are attackers
	siegeTurn        = 1 << 10 // bytes of a connection that a Step reads
	siegePatience    = 400     // turns of all loops until a reply
	offersInSiege    = 10
	quarterOfThem    = max(1, offersInSiege/4) // offers that one address may get while others have peers
	leastDelivered   = offersInSiege - attackerAddresses*quarterOfThem
)

// siegeLimits are the limits of a run with attackers. They are small, so that attackers meet them all; no honest client does.
func siegeLimits() shard.Limits {
	return shard.Limits{
		Active:                true,
		ConnectionsPerAddress: attackerLimit, ConnectionsPerAddressRate: 20, ConnectionsPerAddressBurst: 40,
		PeersPerAddress: 64, PeerIDsPerTorrent: 4,
		AssemblyBytesPerAddress: 32 << 10, SendBytesPerAddress: 256 << 10,
		OffersToReceiverRate: 20, OffersToReceiverBurst: 100,
		MessagesPerConnectionRate: 50, MessagesPerConnectionBurst: 200,
		BytesPerConnectionTurn: siegeTurn, BytesPerConnectionRate: 32 << 10, BytesPerConnectionBurst: 64 << 10,
		ControlFramesPerConnectionRate: 10, ControlFramesPerConnectionBurst: 100,
		KeyUpdatesPerMinute: 32,
	}
}

// playSiege has witnesses announce and exchange offers amid attackers.
func (w *world) playSiege() {
	w.thinOut(oldAtSiege)
	w.drawLives()
	faults := w.faults
	faults.Reset, faults.AcceptError = 0, 0 // these are nobody's fault, and end connections
	faults.BusyCancel = 0                   // a cancel that is given again at a tick takes longer than the patience here
	w.k.SetFaults(faults)
	w.besieged = true
	for range siegeRounds {
		w.siegeRound()
		if len(w.problems) > 0 {
			return
		}
		w.maybeHandOver(siegeRounds / 2)
	}
	for _, c := range w.witnesses {
		if !c.up() {
			w.failf("witness %d was closed", c.n)
		}
	}
	w.besieged = false
	for _, a := range w.attackers {
		a.Reset()
	}
	w.attackers = nil
	w.k.SetFaults(w.noFaults())
	w.settle()
	w.pass(restTime)
	w.settle()
	w.checkRest()
	w.checkPeers()
}

// framesRead returns how many frames a shard has read so far; 0 if that is not wanted.
func (l *loop) framesRead(wanted bool) (n uint64) {
	if !wanted {
		return 0
	}
	st := l.shard.Snapshot()
	for _, v := range st.Messages.ByIP {
		for _, m := range v.MessagesIn {
			n += m
		}
	}
	return n + st.Messages.PingsIn + st.Messages.PongsIn
}

// checkStep proves that a Step reads no more frames of each connection than its turn allows, however many attackers send.
func (w *world) checkStep(l *loop, before uint64) {
	if !w.besieged {
		return
	}
	st := l.shard.Snapshot()
	if n := l.framesRead(true) - before; n > uint64(framesPerTurn*(st.Open()+1)) {
		w.failf("a shard read %d frames of %d connections in one Step", n, st.Open())
	}
}

// framesPerTurn is how many frames fit into the turn of a connection, and one that begins in it: each counts 256 bytes more
// than it has.
const framesPerTurn = siegeTurn/256 + 1

// drawLives draws which kinds of attack there are.
func (w *world) drawLives() {
	for range 1 + w.rng.IntN(4) {
		w.lives = append(w.lives, &lives[w.rng.IntN(len(lives))])
	}
}

// siegeRound has one more witness come, as long as there are too few, and one of them announce. Then time passes.
func (w *world) siegeRound() {
	if len(w.witnesses) < witnesses {
		c := w.dial(w.rng.IntN(len(w.loops)))
		w.witnesses = append(w.witnesses, c)
		c.Write([]byte(upgrade))
		if !w.await(func() bool { return c.upgraded }) {
			w.failf("witness %d did not get in", c.n)
			return
		}
		w.announceInSiege(c, 0)
		return
	}
	c := w.witnesses[w.rng.IntN(len(w.witnesses))]
	w.announceInSiege(c, offersInSiege)
	if w.rng.IntN(8) == 0 {
		w.sleep(w.rng.IntN(60))
	}
	w.pass(time.Duration(w.rng.IntN(500)) * time.Millisecond)
}

// announceInSiege has a witness announce, and waits for the reply and for the offers to arrive.
func (w *world) announceInSiege(c *client, offers int) {
	before := w.delivered
	c.announce(siegeHash, "", 1, make([]int, offers))
	if !w.await(func() bool { return len(c.asked) == 0 }) {
		w.failf("witness %d got no reply in %d turns: connected %t", c.n, siegePatience, c.up())
		return
	}
	if !c.up() || !c.present[siegeHash] {
		w.failf("witness %d was not served: connected %t, in the swarm %t", c.n, c.up(), c.present[siegeHash])
	}
	want := min(leastDelivered, len(w.witnesses)-1)
	if offers == 0 || w.junk() {
		return
	}
	if !w.await(func() bool { return w.delivered-before >= want }) {
		w.failf("of %d offers of witness %d, %d reached another one, want at least %d",
			offers, c.n, w.delivered-before, want)
	}
}

// junk reports whether attackers make offers, which may take the place of others at a receiver.
func (w *world) junk() bool {
	for _, l := range w.lives {
		if l.junk {
			return true
		}
	}
	return false
}

// await turns the loops until something is so. It reports false if that takes too long.
func (w *world) await(so func() bool) bool {
	for range siegePatience {
		if so() {
			return true
		}
		w.k.Advance(time.Millisecond)
		w.turn()
	}
	return so()
}
