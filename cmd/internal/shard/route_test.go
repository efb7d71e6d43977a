package shard

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millrace/wsproto"
)

// This file tests which messages are served, relayed and refused, on one shard and on several.

// A peer's offer reaches the other one, its answer comes back, and each is exactly what clients expect to read: with
// one shard, and when torrent and peers are on different ones.
func TestOfferAndAnswer(t *testing.T) {
	for _, shards := range []int{1, 2, 5} {
		w := newWorld(t, shards, nil)
		for torrent := range 20 { // some of them belong to each shard
			hash := id("torrent %d", torrent)
			a, b := w.dial(0, "192.0.2.1"), w.dial(shards-1, "192.0.2.2")
			a.text(announce(hash, id("a"), 0, map[string]any{"left": 0}))
			w.run()
			expect(t, a, fmt.Sprintf(`{"action":"announce","info_hash":"%s","complete":1,"incomplete":0,"interval":120}`, hash))
			b.text(announce(hash, id("b"), 3, nil))
			w.run()
			expect(t, b, fmt.Sprintf(`{"action":"announce","info_hash":"%s","complete":1,"incomplete":1,"interval":120}`, hash))
			offers := a.messages()
			if len(offers) != 1 {
				t.Fatalf("%d shards: one other peer got %d offers", shards, len(offers))
			}
			a.text(answer(id("a"), offers[0]))
			w.run()
			expect(t, b, fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s",`+
				`"answer":{"type":"answer","sdp":"v=0 answer of %s"},"offer_id":"%s"}`, hash, id("a"), id("a"), offers[0]["offer_id"]))
			a.text(answer(id("a"), offers[0]))
			w.run()
			expect(t, a)
			expect(t, b) // an offer is answered once
			a.hangUp(0)
			b.hangUp(104)
			w.run()
		}
		w.checkEmpty()
	}
}

// expect fails unless the client's inbox holds exactly these text messages.
func expect(t *testing.T, c *client, want ...string) {
	t.Helper()
	var got []string
	for _, f := range c.frames() {
		if f.op != 0x81 {
			t.Fatalf("a frame of opcode %x among messages: %q", f.op, f.payload)
		}
		got = append(got, f.payload)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// Clients of IPv4 and IPv6 are in swarms of their own, a mapped address counts as IPv4, and the option puts all of them
// into one.
func TestIPVersions(t *testing.T) {
	f := func(shared bool, want []float64) {
		t.Helper()
		w := newWorld(t, 2, func(o *Options) { o.ShareFamilies = shared })
		for k, ip := range []string{"192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1", "2001:db8::2"} {
			c := w.dial(k%2, ip)
			c.text(announce(id("hash"), id("peer %d", k), 0, nil))
			w.run()
			if got := c.messages()[0]["incomplete"]; got != want[k] {
				t.Errorf("shared %v, %s: incomplete %v, want %v", shared, ip, got, want[k])
			}
		}
	}
	f(false, []float64{1, 2, 1, 2})
	f(true, []float64{1, 2, 3, 4})
}

// The number of offers relayed is the least of those sent, numwant where it says something, max_offers and the peers.
func TestOffersRelayed(t *testing.T) {
	f := func(others, sent int, numwant any, want int) {
		t.Helper()
		w := newWorld(t, 2, func(o *Options) { o.MaxOffers = 6 })
		var peers []*client
		for k := range others {
			c := w.dial(k%2, "192.0.2.1")
			c.text(announce(id("hash"), id("other %d", k), 0, nil))
			peers = append(peers, c)
		}
		w.run()
		for _, p := range peers {
			p.messages()
		}
		c := w.dial(0, "192.0.2.2")
		c.text(announce(id("hash"), id("me"), sent, map[string]any{"numwant": numwant}))
		w.run()
		got := 0
		for _, p := range peers {
			n := len(p.messages())
			if n > 1 {
				t.Errorf("one peer got %d offers of one announce", n)
			}
			got += n
		}
		if got != want || len(c.messages()) != 1 {
			t.Errorf("%d others, %d sent, numwant %v: relayed %d, want %d", others, sent, numwant, got, want)
		}
	}
	f(10, 5, nil, 5)
	f(10, 5, 3, 3)
	f(10, 5, 0, 5)
	f(10, 5, -1, 5)
	f(10, 5, "3", 5)
	f(10, 9, 50, 6)
	f(4, 6, 50, 4)
	f(0, 6, 50, 0)
}

// A failure names its action and info hash; what clients could not read is answered with silence, and who sends nothing
// else is closed with 1008, but not who also sends something useful.
func TestRejectedMessages(t *testing.T) {
	hash := id("hash")
	f := func(text, want string) {
		t.Helper()
		w := newWorld(t, 2, nil)
		c := w.dial(0, "192.0.2.1")
		c.text(text)
		w.run()
		if want == "" {
			expect(t, c)
		} else {
			expect(t, c, want)
		}
	}
	f(`{"action":"announce","info_hash":"`+hash+`","peer_id":"short"}`,
		`{"failure reason":"invalid peer_id","action":"announce","info_hash":"`+hash+`"}`)
	f(`{"action":"scrape"}`, `{"failure reason":"full scrape is not supported","action":"scrape"}`)
	f(`{"action":"announce","info_hash":"short","peer_id":"`+id("p")+`"}`, "")
	f(`{"action":"dance"}`, "")
	f(`hello`, "")

	w := newWorld(t, 1, nil) // MaxBadMessages is 3
	c := w.dial(0, "192.0.2.1")
	for range 3 {
		c.text("hello")
	}
	c.text(announce(hash, id("p"), 0, nil))
	for range 3 {
		c.text("hello")
	}
	w.run()
	if n := len(c.messages()); n != 1 {
		t.Fatalf("%d messages, want the one reply", n)
	}
	c.text("hello")
	w.run()
	if code := c.closeCode(); code != 1008 {
		t.Errorf("closed with %d, want 1008", code)
	}
	c.hangUp(0)
	w.run()
	w.checkEmpty()
}

// Text keepalives are counted by themselves. They do not close the connection, and they do not excuse messages that are
// unusable.
func TestKeepalives(t *testing.T) {
	w := newWorld(t, 1, nil) // MaxBadMessages is 3
	c := w.dial(0, "192.0.2.1")
	for range 3 {
		c.text("hello")
		for range 10 {
			c.text("")
			c.text("ping")
		}
	}
	w.run()
	expect(t, c)
	if st := w.shards[0].Snapshot().Messages; st.Rejected[wsproto.RejectKeepalive] != 60 || c.fin {
		t.Errorf("rejected: %v, ended: %v", st.Rejected, c.fin)
	}
	c.text("hello")
	w.run()
	if code := c.closeCode(); code != 1008 {
		t.Errorf("closed with %d, want 1008", code)
	}
}

// A scrape of torrents that belong to several shards comes back in one reply with every hash that was asked, in the
// order asked and each once.
func TestScrape(t *testing.T) {
	for _, shards := range []int{1, 3} {
		w := newWorld(t, shards, nil)
		for k := range 10 {
			c := w.dial(k%shards, "192.0.2.1")
			c.text(announce(id("torrent %d", k), id("peer"), 0, map[string]any{"left": k % 2}))
			w.run()
			c.messages()
		}
		c := w.dial(0, "192.0.2.2")
		hashes := []string{id("unknown")}
		want := fmt.Sprintf(`{"action":"scrape","files":{"%s":{"complete":0,"incomplete":0,"downloaded":0}`, id("unknown"))
		for k := range 10 {
			hashes = append(hashes, id("torrent %d", k), id("torrent %d", k))
			want += fmt.Sprintf(`,"%s":{"complete":%d,"incomplete":%d,"downloaded":0}`, id("torrent %d", k), 1-k%2, k%2)
		}
		c.text(map[string]any{"action": "scrape", "info_hash": hashes})
		w.run()
		expect(t, c, want+"}}")
		c.text(map[string]any{"action": "scrape", "info_hash": id("torrent 1")})
		w.run()
		expect(t, c, fmt.Sprintf(`{"action":"scrape","files":{"%s":{"complete":0,"incomplete":1,"downloaded":0}}}`, id("torrent 1")))
	}
}

// An answer gets a reply only where that is switched on.
func TestReplyToAnswers(t *testing.T) {
	for _, on := range []bool{false, true} {
		w := newWorld(t, 2, func(o *Options) { o.ReplyToAnswers = on })
		a, b := w.dial(0, "192.0.2.1"), w.dial(1, "192.0.2.2")
		a.text(announce(id("hash"), id("a"), 0, nil))
		w.run()
		b.text(announce(id("hash"), id("b"), 1, nil))
		w.run()
		a.text(answer(id("a"), a.messages()[1]))
		w.run()
		if got := len(a.messages()); got != map[bool]int{false: 0, true: 1}[on] {
			t.Errorf("reply_to_answers %v: %d replies", on, got)
		}
	}
}

// A peer belongs to the connection that announced it first: another one that uses the same peer id gets a reply, gets no
// offer in its place, and removes nothing when it closes.
func TestImpostor(t *testing.T) {
	for _, shards := range []int{1, 2} {
		w := newWorld(t, shards, nil)
		owner, other, third := w.dial(0, "192.0.2.1"), w.dial(shards-1, "192.0.2.2"), w.dial(0, "192.0.2.3")
		owner.text(announce(id("hash"), id("same"), 0, nil))
		w.run()
		other.text(announce(id("hash"), id("same"), 2, nil))
		w.run()
		if len(other.messages()) != 1 {
			t.Fatal("the impostor got no reply")
		}
		other.hangUp(0)
		w.run()
		third.text(announce(id("hash"), id("third"), 2, nil))
		w.run()
		if n := len(owner.frames()); n != 3 { // its own reply, the question whether it is there, and the offer
			t.Errorf("the owner got %d frames, want 3", n)
		}
	}
}

// One shard and several give the same answers. A random script of clients that announce, answer, scrape, stop and leave
// is played on both; every reply must be the same, and every offer must go to as many peers.
func TestOneShardAndManyGiveTheSameAnswers(t *testing.T) {
	for seed := range uint64(60) {
		one := playScript(t, 1, seed)
		for _, n := range []int{2, 3, 7} {
			many := playScript(t, n, seed)
			for k := range one {
				if k >= len(many) || one[k] != many[k] {
					t.Fatalf("seed %d, step %d: 1 shard says\n%s\n%d shards say\n%s", seed, k, one[k], n, many[k])
				}
			}
		}
	}
}

// playScript plays the script of a seed on n shards and returns what each step brought: replies word for word, offers
// without their receivers (the sample is random), sorted.
func playScript(t *testing.T, n int, seed uint64) []string {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, n, func(o *Options) { o.MaxOffers, o.FollowTorrents = 12, seed%3 > 0 })
	clients := make([]*client, 12)
	var transcript []string
	for range 120 {
		k := rng.IntN(len(clients))
		where, hash, peer := rng.IntN(1<<20), id("torrent %d", rng.IntN(4)), id("peer %d", k)
		if clients[k] == nil || clients[k].gone {
			clients[k] = w.dial(where%n, fmt.Sprintf("192.0.2.%d", k))
		}
		c := clients[k]
		switch rng.IntN(12) {
		case 0:
			c.text(announce(hash, peer, 0, map[string]any{"event": "stopped"}))
		case 1:
			c.text(announce(hash, peer, 12*rng.IntN(2), map[string]any{"event": "completed"}))
		case 2:
			c.text(map[string]any{"action": "scrape", "info_hash": []string{id("torrent 0"), id("torrent 3"), hash}})
		case 3:
			c.hangUp(0)
		case 4:
			c.text(`{"action":"announce","info_hash":"` + hash + `"}`)
		default:
			// As many offers as there can be peers, so that everybody is chosen, in whatever order.
			c.text(announce(hash, peer, 12, map[string]any{"left": rng.IntN(2)}))
		}
		w.run()
		transcript = append(transcript, describeStep(w, clients))
	}
	return transcript
}

// describeStep says what a step has brought to all clients, and answers every offer.
func describeStep(w *world, clients []*client) string {
	var lines []string
	for answered := true; answered; {
		answered = false
		for k, c := range clients {
			if c == nil {
				continue
			}
			for _, m := range c.messages() {
				if m["offer"] != nil {
					c.text(answer(id("peer %d", k), m))
					m["offer_id"], answered = "", true
				} else if m["answer"] != nil {
					m["offer_id"] = ""
				}
				text, _ := json.Marshal(m)
				lines = append(lines, fmt.Sprintf("%d: %s", k, text))
			}
		}
		w.run()
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
