package shard

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"millrace/swarm"
)

// This file tests two connections with one peer id: which of them has the peer, gets which answers, and is pinged. Each
// test runs on one shard and on two, for torrents of each and connections on each.

// clash is a torrent with a receiver, and two connections that announce one other peer id: first the one, then the other.
type clash struct {
	w                    *world
	hash                 string
	receiver, one, other *client
	offers               int             // made so far
	pinged               map[*client]int // pings that nobody has asked for yet
}

// eachClash calls f with clashes of clients at the two addresses. The first one has announced, with an offer.
func eachClash(t *testing.T, oneIP, otherIP string, f func(c *clash)) {
	for _, shards := range []int{1, 2} {
		for k := range 6 {
			w := newWorld(t, shards, func(o *Options) { o.FollowTorrents = false })
			c := &clash{w: w, hash: id("torrent %d", k), pinged: map[*client]int{}}
			c.receiver, c.one, c.other = w.dial(0, "192.0.2.9"), w.dial(k%shards, oneIP), w.dial(k/2%shards, otherIP)
			c.announce(c.receiver, "receiver", 0)
			c.announce(c.one, "same", 1)
			f(c)
			for _, x := range []*client{c.receiver, c.one, c.other} {
				x.hangUp(0)
			}
			w.run()
			w.checkEmpty()
		}
	}
}

// announce has a client announce with so many offers, each of an id of its own, and returns the reply. It drops the rest
// of the client's inbox.
func (c *clash) announce(x *client, peer string, offers int) map[string]any {
	c.w.t.Helper()
	m := announce(c.hash, id("%s", peer), offers, nil)
	for _, o := range m["offers"].([]any) {
		c.offers++
		o.(map[string]any)["offer_id"] = id("offer %d", c.offers)
	}
	x.text(m)
	c.w.run()
	for _, m := range c.messages(x) {
		if m["complete"] != nil {
			return m
		}
	}
	c.w.t.Fatal("an announce brought no reply")
	return nil
}

// messages takes the messages out of a client's inbox, and notes the pings among them.
func (c *clash) messages(x *client) (all []map[string]any) {
	c.w.t.Helper()
	for _, f := range x.frames() {
		if f.op == 0x89 {
			c.pinged[x]++
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(f.payload), &m); err != nil || f.op != 0x81 {
			c.w.t.Fatalf("got %+v, want a message or a ping", f)
		}
		all = append(all, m)
	}
	return all
}

// pings returns how many pings a client has got since the last call.
func (c *clash) pings(x *client) int {
	c.w.t.Helper()
	if got := c.messages(x); len(got) > 0 {
		c.w.t.Fatalf("got %v, want nothing but pings", got)
	}
	defer func() { c.pinged[x] = 0 }()
	return c.pinged[x]
}

// has fails unless the peer is counted once and an offer to it goes to the wanted client.
func (c *clash) has(want, not *client) {
	c.w.t.Helper()
	reply := c.announce(c.receiver, "receiver", 1)
	if reply["incomplete"] != 2.0 {
		c.w.t.Fatalf("the swarm has %v leechers, want 2", reply["incomplete"])
	}
	if len(c.messages(want)) != 1 || len(c.messages(not)) != 0 {
		c.w.t.Fatal("the offer to the peer goes to the wrong connection")
	}
}

// A client that has changed its address gets a normal reply, its offers are relayed, and the answers come back to it. Its
// old connection is pinged at once and has the peer for the seconds in which it may answer, and no longer. When it ends
// at last, the peer stays.
func TestAddressChange(t *testing.T) {
	eachClash(t, "192.0.2.1", "198.51.100.1", func(c *clash) {
		c.messages(c.receiver)
		if reply := c.announce(c.other, "same", 1); reply["incomplete"] != 2.0 {
			t.Fatalf("the reply is %v", reply)
		}
		offers := c.messages(c.receiver)
		if len(offers) != 1 || c.pings(c.one) != 1 {
			t.Fatalf("%d offers are relayed", len(offers))
		}
		c.receiver.text(answer(id("receiver"), offers[0]))
		c.w.run()
		if len(c.messages(c.other)) != 1 || len(c.messages(c.one)) != 0 {
			t.Fatal("the answer went to the wrong connection")
		}
		c.w.advance(challengePatience*time.Second - time.Second)
		c.has(c.one, c.other)
		c.w.advance(4 * time.Second)
		c.has(c.other, c.one)
		c.one.hangUp(104)
		c.w.run()
		c.has(c.other, c.one)
	})
}

// Somebody behind the same address who knows a peer id gets neither its offers nor the answers to its own, as long as its
// client answers pings, and also not the peer of a client that was asleep for a moment once that one is back.
func TestTakeoverNeedsASilentOwner(t *testing.T) {
	eachClash(t, "192.0.2.1", "192.0.2.1", func(c *clash) {
		offers := c.messages(c.receiver)
		for range 5 {
			c.announce(c.other, "same", 0)
			if c.pings(c.one) != 1 {
				t.Fatal("the owner was not pinged")
			}
			c.one.send(clientFrame(0x8a, ""))
			c.w.advance(2 * challengePatience * time.Second)
		}
		c.receiver.text(answer(id("receiver"), offers[0]))
		c.w.run()
		if len(c.messages(c.one)) != 1 || len(c.messages(c.other)) != 0 {
			t.Fatal("the answer went to the wrong connection")
		}
		c.has(c.one, c.other)
		c.announce(c.other, "same", 0)
		c.w.advance(2 * challengePatience * time.Second)
		c.pings(c.one)
		c.has(c.other, c.one)
		c.other.hangUp(0)
		c.w.run()
		c.has(c.one, c.other)
	})
}

// Two sockets of one client under one peer id: each gets the answers to its own offers, the other one keeps the peer when
// one closes, and a stopped of the second one takes nothing from the first.
func TestTwoSocketsOfOneClient(t *testing.T) {
	eachClash(t, "192.0.2.1", "192.0.2.1", func(c *clash) {
		c.announce(c.other, "same", 1)
		c.pings(c.one)
		c.one.send(clientFrame(0x8a, ""))
		for _, offer := range c.messages(c.receiver) {
			c.receiver.text(answer(id("receiver"), offer))
		}
		c.w.run()
		if one, other := len(c.messages(c.one)), len(c.messages(c.other)); one != 1 || other != 1 {
			t.Fatalf("%d and %d answers, want one each", one, other)
		}
		c.other.text(announce(c.hash, id("same"), 0, map[string]any{"event": "stopped"}))
		c.w.run()
		c.messages(c.other)
		c.has(c.one, c.other)
		c.announce(c.other, "same", 0)
		c.one.hangUp(0)
		c.w.run()
		c.one.frames()
		c.has(c.other, c.one)
	})
}

// However many connections announce the peer id of another one, that one gets a ping in five seconds at most.
func TestChallengesAreRare(t *testing.T) {
	eachClash(t, "192.0.2.1", "192.0.2.1", func(c *clash) {
		pings := 0
		for range 4 * challengePatience {
			for range 5 {
				c.announce(c.other, "same", 0)
			}
			if n := c.pings(c.one); n > 0 {
				pings += n
				c.one.send(clientFrame(0x8a, ""))
			}
			c.w.advance(time.Second)
		}
		if pings < 3 || pings > 4 {
			t.Fatalf("%d pings in %d seconds", pings, 4*challengePatience)
		}
		c.has(c.one, c.other)
	})
}

// While the loop stands still a client's answer lies in its socket. A challenge is not lost by that.
func TestChallengeWaitsForAStandingLoop(t *testing.T) {
	for _, steps := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			eachClash(t, "192.0.2.1", "192.0.2.1", func(c *clash) {
				c.announce(c.other, "same", 0)
				c.pings(c.one)
				c.w.now += 30 * time.Second
				for range steps {
					c.w.turn()
				}
				c.one.send(clientFrame(0x8a, ""))
				c.w.advance(2 * challengePatience * time.Second)
				c.has(c.one, c.other)
			})
		})
	}
}

// A challenge, or the news that it was not answered, may find a mailbox full. Then the next clash brings it up again.
func TestLostChallenge(t *testing.T) {
	eachClash(t, "192.0.2.1", "198.51.100.1", func(c *clash) {
		if len(c.w.shards) == 1 {
			return
		}
		lost := func() (n uint64) {
			for _, s := range c.w.shards {
				n += s.Snapshot().Messages.ChallengesLost
			}
			return n
		}
		owner := c.w.shards[0].torrents.Loans.Home((*swarm.ID)([]byte(c.hash)))
		home := c.one.shard
		if owner == home {
			return
		}
		c.w.run()
		c.w.fillBox(owner, home, 11, c.w.wiring[owner].Boxes.Out[home].Size()/4)
		c.other.text(announce(c.hash, id("same"), 0, nil))
		c.w.step(c.other.shard)
		c.w.step(owner)
		c.w.run()
		if lost() == 0 {
			t.Fatal("the challenge was not lost")
		}
		c.other.frames()
		c.announce(c.other, "same", 0)
		c.w.advance(2 * challengePatience * time.Second)
		c.pings(c.one)
		c.has(c.other, c.one)
	})
}
