package load

// This file tests the check of where offers go: its arithmetic, what it counts, and that it sees a small bias.

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestMembership proves which share of a peer's offers goes to other nodes, and how much that varies: nothing where all others get an
// offer, and that a client which has a torrent twice is one peer of it.
func TestMembership(t *testing.T) {
	m := &membership{2, []uint32{1, 0, 3, 2, 4, 0, 1, 1}}
	f := func(torrent uint32, node uint8, offers int, wantShare, wantVariance float64) {
		t.Helper()
		if share, variance := m.share(torrent, node, offers); math.Abs(share-wantShare) > 1e-9 || math.Abs(variance-wantVariance) > 1e-9 {
			t.Errorf("torrent %d, node %d, %d offers: %v, %v, want %v, %v", torrent, node, offers, share, variance, wantShare, wantVariance)
		}
	}
	f(0, 0, 10, 0, 0) // alone
	f(1, 0, 1, 2.0/4, 0.25)
	f(1, 0, 2, 2.0/4, 0.25*2/3) // without replacement
	f(1, 0, 4, 2.0/4, 0)
	f(1, 1, 10, 3.0/4, 0)
	f(2, 0, 2, 0, 0)
	f(3, 1, 1, 1, 0)
	places := &placement{perConnection: 3, torrents: 3, table: []uint32{0, 1, 0, 2, 2, 2, 1, 0, 2}}
	m = newMembership(places, []uint8{0, 1, 1}, 2)
	for torrent, want := range [][2]uint32{{1, 1}, {1, 1}, {0, 2}} {
		if got := [2]uint32(m.table[2*torrent:]); got != want {
			t.Errorf("torrent %d has %v peers, want %v", torrent, got, want)
		}
	}
}

// spreadOf plays announces, whose receivers are drawn evenly, until a bias of 5 % can be seen. Then a receiver on the node of the
// sender gives way to one on another node with the probability more, and one on another node with the probability fewer.
func spreadOf(nodes int, seed uint64, more, fewer func(share float64) float64) Cluster {
	c := testConfig()
	c.Connections, c.Torrents, c.Seed, c.URL = 400, 8, seed, many("ws://a%d", nodes)
	l := newLedger(&c)
	random := rand.New(rand.NewPCG(seed, 1))
	swarms := make([][]uint32, c.Torrents)
	for i := range uint32(c.Connections) {
		torrent := l.places.torrent(i, 0)
		swarms[torrent] = append(swarms[torrent], i)
	}
	const offers = 10
	var n nodeTally
	for {
		for sender := range uint32(c.Connections) {
			torrent := l.places.torrent(sender, 0)
			share, variance := l.members.share(torrent, l.homes[sender], offers)
			drawn := 0
			for _, k := range random.Perm(len(swarms[torrent])) {
				receiver := swarms[torrent][k]
				if receiver == sender || drawn == offers {
					continue
				}
				drawn++
				isOther, turn := l.homes[receiver] != l.homes[sender], random.Float64()
				if isOther && turn < fewer(share) || !isOther && turn < more(share) {
					isOther = !isOther
				}
				n.add(isOther, share, variance)
			}
		}
		out := n.figures(nodes)
		if _, remark := out.judge(); remark == "" {
			return out
		}
	}
}

// TestBias proves that a bias of 5 % for or against peers on other nodes is seen, and that a fair tracker passes, always.
func TestBias(t *testing.T) {
	none := func(float64) float64 { return 0 }
	fewer := func(float64) float64 { return 0.05 }
	more := func(share float64) float64 { return 0.05 * share / (1 - share) }
	for nodes := 2; nodes <= 4; nodes++ {
		for seed := range uint64(20) {
			f := func(name string, more, fewer func(float64) float64, isSeen bool) {
				t.Helper()
				c := spreadOf(nodes, seed, more, fewer)
				if problem, _ := c.judge(); (problem != "") != isSeen {
					t.Errorf("%d nodes, seed %d, %s: %+v, %q", nodes, seed, name, c, problem)
				}
			}
			f("fair", none, none, false)
			f("for others", more, none, true)
			f("against others", none, fewer, true)
		}
	}
}

// TestJudge proves that few offers show a large bias only, which is said, and that nothing is held against swarms that are
// on one node.
func TestJudge(t *testing.T) {
	f := func(c Cluster, wantProblem, wantRemark string) {
		t.Helper()
		problem, remark := c.judge()
		if (problem == "") != (wantProblem == "") || (remark == "") != (wantRemark == "") || !strings.Contains(problem, wantProblem) ||
			!strings.Contains(remark, wantRemark) {
			t.Errorf("%+v: %q, %q", c, problem, remark)
		}
	}
	f(Cluster{Offers: 40_000, Other: 20_499, Even: 20_000, Deviation: 100}, "", "")
	f(Cluster{Offers: 40_000, Other: 20_501, Even: 20_000, Deviation: 100}, "51.3 % (50.0 % for an even spread)", "")
	f(Cluster{Offers: 40_000, Other: 19_499, Even: 20_000, Deviation: 100}, "48.7 %", "")
	f(Cluster{Offers: 4_000_000, Other: 2_049_000, Even: 2_000_000, Deviation: 1000}, "", "")
	f(Cluster{Offers: 400, Other: 240, Even: 200, Deviation: 10}, "", "400 offers are too few")
	f(Cluster{Offers: 400, Other: 251, Even: 200, Deviation: 10}, "62.8 %", "")
	f(Cluster{}, "", "0 offers are too few")
	f(Cluster{Offers: 10}, "", "")
	f(Cluster{Offers: 10, Other: 1}, "10.0 % (0.0 %", "")
}

// TestCountNodes proves which offers are counted: those of leechers whose announce was due when all nodes must have known
// the whole swarm.
func TestCountNodes(t *testing.T) {
	f := func(name string, isCounted bool, change func(w *worker, x *relayed)) {
		t.Helper()
		cfg := testConfig()
		cfg.URL = "ws://a,ws://b"
		w := newWorker(&site{config: &cfg, workers: 1, books: newLedger(&cfg)}, 0)
		l := w.books
		copy(l.homes, []uint8{0, 0, 0, 0, 0, 1, 0, 0}) // connections 1 and 5 are in torrent 1
		l.members = newMembership(l.places, l.homes, 2)
		l.steady.Store(int64(10 * time.Second))
		for range 2 {
			l.sizes[1].join(11 * time.Second)
		}
		x := &relayed{torrent: 1, offer: offerRef{connection: 1}, record: l.begin(1, 0, 0, 14*time.Second)}
		change(w, x)
		w.countNodes(5, x)
		want := nodeTally{}
		if isCounted {
			want = nodeTally{offers: 1, other: 1, even: 1}
		}
		if w.between != want {
			t.Errorf("%s: %+v, want %+v", name, w.between, want)
		}
	}
	due := func(at time.Duration) func(*worker, *relayed) {
		return func(_ *worker, x *relayed) { x.record.due.Store(int64(at)) }
	}
	f("whole", true, func(*worker, *relayed) {})
	f("too soon after a new peer", false, due(14*time.Second-1))
	f("too soon after the ramp", false, func(w *worker, _ *relayed) { w.books.steady.Store(int64(11*time.Second + 1)) })
	f("a peer is missing", false, func(w *worker, _ *relayed) { w.books.sizes[1].known.Store(1) })
	f("a peer has left", false, func(w *worker, _ *relayed) { w.books.gone(5, time.Second) })
	f("of a seeder", false, func(w *worker, _ *relayed) { w.config.Seeders = 1 })
	f("too old", false, func(_ *worker, x *relayed) { x.record = nil })
	f("one node", false, func(w *worker, _ *relayed) { w.books.members = nil })
	come := func(w *worker, _ *relayed) { w.books.sizes = nil }
	f("peers come and go", true, come)
	f("peers come and go in the ramp", false, func(w *worker, x *relayed) {
		come(w, x)
		due(13*time.Second-1)(w, x)
	})
}

// TestOffersBetweenNodes proves that the share of offers from other nodes is that of an even spread with a fair tracker, and
// that a run fails whose tracker prefers receivers on the sender's node.
func TestOffersBetweenNodes(t *testing.T) {
	f := func(server *tracker, spread string) Result {
		t.Helper()
		cfg := quick(t, server.startNodes(t, false, 2))
		cfg.Spread, cfg.Duration = spread, 4.2
		return drive(t, cfg)
	}
	r := f(&tracker{}, spreadClients)
	addUp(t, "fair", r)
	if c := &r.Cluster; c.Nodes != 2 || c.Offers < 100 || c.Even < 0.4*float64(c.Offers) || c.Even > 0.6*float64(c.Offers) ||
		c.Deviation == 0 || !strings.Contains(strings.Join(r.Remarks, "\n"), "offers are too few") {
		t.Errorf("%+v, %q", c, r.Remarks)
	}
	r = f(&tracker{near: true}, spreadClients)
	if all := strings.Join(r.Problems, "\n"); len(r.Problems) != 1 || !strings.Contains(all, "prefers some nodes' peers") {
		t.Errorf("%+v, %q", r.Cluster, all)
	}
	r = f(&tracker{near: true}, spreadTorrents)
	if c := &r.Cluster; len(r.Problems) > 0 || c.Offers < 100 || c.Other != 0 || c.Even != 0 {
		t.Errorf("%+v, %q", c, r.Problems)
	}
}
