package simulation

// This file owns the proof that shards which have come through faults serve new clients without a failure.

// serviceHash is the info hash that only the new clients announce.
var serviceHash = id("service")

const (
	newPerShard = 2  // new clients of each shard
	oldClients  = 12 // clients that stay, of all shards: there is room for the new ones whichever shard they go to
)

// playService connects new clients to each shard. Each announces, gives an offer to every one that came before it, gets
// an answer from each, and scrapes.
func (w *world) playService() {
	w.thinOut(oldClients)
	var fresh []*client
	for k := range w.loops {
		for range newPerShard {
			c := w.dial(k)
			c.Write([]byte(upgrade))
			fresh = append(fresh, c)
		}
	}
	w.settle()
	for before, c := range fresh {
		if !c.upgraded {
			w.failf("new client %d is not connected", c.n)
			return
		}
		c.announce(serviceHash, "", 1, make([]int, before))
		c.scrape()
		if w.hand != nil && w.hand.IntN(4) == 0 {
			w.handOverUnread()
		}
		w.settle()
	}
	for _, c := range fresh {
		if !c.up() || len(c.asked) > 0 || !c.present[serviceHash] {
			w.failf("new client %d was not served: connected %t, in the swarm %t, without a reply to %+v",
				c.n, c.up(), c.present[serviceHash], c.asked)
		}
	}
	w.checkExchange(len(fresh))
	w.checkRest()
	w.checkPeers()
}

// thinOut has old clients leave until only so many stay that there is room for new ones.
func (w *world) thinOut(stay int) {
	up := 0
	for _, k := range w.rng.Perm(len(w.clients)) {
		c := w.clients[k]
		if !c.up() {
			continue
		}
		if up++; up > stay {
			c.leave()
		}
	}
	w.settle()
	w.pass(restTime)
}

// checkExchange proves that each of n new clients gave an offer to each that came before it, and got one answer.
func (w *world) checkExchange(n int) {
	made := 0
	reached := map[[2]string]bool{} // from a peer to another
	for _, o := range w.offers {
		if o.hash != serviceHash {
			continue
		}
		made++
		if reached[[2]string{o.from, o.to}] || o.to == "" || o.answers != 1 {
			w.failf("an offer of %q went to %q and came back as %d answers, want another peer and 1",
				o.from, o.to, o.answers)
		}
		reached[[2]string{o.from, o.to}] = true
	}
	if made != n*(n-1)/2 {
		w.failf("%d new clients made %d offers", n, made)
	}
}

// handOverUnread hands over while nobody reads, so that the offers of before are answered behind it.
func (w *world) handOverUnread() {
	for _, c := range w.clients {
		c.deaf = true
	}
	for range w.hand.IntN(20) {
		w.turn()
	}
	w.handOver(never)
}
