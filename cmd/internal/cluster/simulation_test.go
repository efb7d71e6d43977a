package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/bustest"
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/stats"
	"millrace/swarm"
)

// This file plays seeds: 2 to 5 nodes of 1 to 3 shards on a bus that loses, delays, reorders and duplicates messages, and is parted; nodes
// die and come back, lose their connection, and stand still. When all of that has ended, everybody must know the truth in time.

// SEED=n plays one seed, SEEDS=n so many.

// simRun plays one seed.
func simRun(seed uint64, plant func(phase string, w *simWorld)) (res simResult, problems []string) {
	rng := rand.New(rand.NewPCG(seed, 17))
	p := func(most float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return rng.Float64() * most
	}
	w := &simWorld{
		seed: seed, rng: rng, tight: rng.IntN(8) == 0, bus: bustest.New[*simNode](rng),
		homes: make(map[swarm.ID]*simNode), offers: make(map[swarm.ID]*simOffer), scrapes: make(map[uint32]*simScrape),
	}
	for k := range 2 + rng.IntN(4) {
		id := fmt.Sprintf("node-%d.x", k)
		w.bus.Parts[id] = 0
		w.start(id, 1+rng.IntN(3))
	}
	faults := simFaults{bus: bustest.Faults{Loss: p(0.3), Twice: p(0.3), Refuse: p(0.5), Late: p(0.3), Delay: 3 * time.Second}, full: p(0.3), acts: p(0.1)}
	for _, phase := range simPhases {
		w.faults, w.faulty = simFaults{}, phase.name == "faults"
		if w.faulty {
			w.faults = faults
		}
		w.bus.Faults = w.faults.bus
		if plant != nil {
			plant(phase.name, w)
		}
		if phase.play(w); len(w.problems) > 0 {
			for k := range w.problems {
				w.problems[k] = fmt.Sprintf("seed %d, phase %s, %s", seed, phase.name, w.problems[k])
			}
			break
		}
	}
	for _, n := range w.nodes {
		w.keepStats(n)
	}
	return w.res, w.problems
}

// simPhases are the parts of a run.
var simPhases = []struct {
	name string
	play func(*simWorld)
}{
	{"faults", (*simWorld).playFaults},
	{"rest", (*simWorld).playRest},
	{"service", (*simWorld).playService},
	{"rival", (*simWorld).playRival},
}

func (w *simWorld) playFaults() {
	w.pass(time.Duration(3+w.rng.IntN(12))*time.Second, func() {
		for range w.rng.IntN(4) {
			w.clients()
		}
		w.misfortune()
	})
}

// playRest ends the faults. Within a timeout and a refresh all must know the truth.
func (w *simWorld) playRest() {
	w.bus.Join()
	for _, n := range w.nodes {
		n.paused, n.upAt = min(n.paused, w.now), w.now
	}
	for k := range w.dead {
		w.dead[k].at = w.now
	}
	if len(w.dead) > 0 && w.rng.IntN(2) == 0 && len(w.nodes) > 0 {
		w.dead = w.dead[1:]
	}
	w.pass(simTimeout+simRefresh, nil)
	w.checkTruth()
}

// playService lets clients go on, without faults. All is true in a moment then, and every offer that has a receiver reaches it.
func (w *simWorld) playService() {
	w.pass(2*time.Second, w.clients)
	w.pass(simQuiet, nil)
	w.checkTruth()
	if w.tight || len(w.problems) > 0 {
		return
	}
	w.checkScrapes()
	for k := range simTorrents {
		for _, n := range slices.Clone(w.nodes) {
			w.checkFirst(n, k)
		}
	}
}

// playRival starts a second node with the id of one that is there: it must learn that it is the second, and nobody else may stop.
func (w *simWorld) playRival() {
	old := w.node()
	if old == nil || w.rng.IntN(4) > 0 {
		return
	}
	w.rivalry = old.id
	w.res.Conflicts++
	rival := w.start(old.id, len(old.shards))
	w.pass(simQuiet, nil)
	if rival.core.Err() == nil || old.core.Err() != nil {
		w.failf("of two nodes with the id %s the first says %v, the second %v", old.id, old.core.Err(), rival.core.Err())
	}
	w.nodes = slices.DeleteFunc(w.nodes, func(n *simNode) bool { return n == rival })
	w.pass(simTimeout+simRefresh, nil)
	w.checkTruth()
}

// checkTruth compares what each shard knows of the others with what they have.
func (w *simWorld) checkTruth() {
	// What is told anew all the time may just be under way.
	waits := func(n *simNode) bool {
		st := n.core.Stats()
		return n.core.Waiting() || st.HeldBytes > 0 || st.Asks > 0 || st.Waiting > 0
	}
	for k := 0; k < 200 && (!w.bus.Empty() || slices.ContainsFunc(w.nodes, waits)); k++ {
		w.pass(simTick, nil)
	}
	for _, n := range w.nodes {
		ids := make(map[string]uint16)
		for _, o := range n.core.Nodes() {
			ids[o.ID] = o.Number
		}
		if len(ids) != len(w.nodes)-1 {
			w.failf("node %s knows %d other nodes, there are %d", n.id, len(ids), len(w.nodes)-1)
		}
		for k := range simTorrents {
			s := n.shardOf(k)
			want := make(map[uint16]record.Counts)
			for _, o := range w.nodes {
				if c := o.shardOf(k).torrents[k].counts(); o != n && c.Peers() > 0 {
					want[ids[o.id]] = c
				}
			}
			if got := s.known(k); len(s.torrents[k].peers) > 0 && !w.tight && !reflect.DeepEqual(got, want) {
				w.failf("node %s knows of torrent %d: %v, the truth is %v", n.id, k, got, want)
			}
		}
		st := n.core.Stats()
		if st.HeldBytes != 0 || st.Asks != 0 || st.AskBytes != 0 || st.Waiting != 0 || st.Dirty != 0 {
			w.failf("node %s is at rest and still has something to do: %+v", n.id, st)
		}
		stays := 0
		for _, e := range n.core.directory.entries {
			stays += len(e.stays)
		}
		if stays != st.Stays || len(n.core.directory.index) != st.Torrents {
			w.failf("node %s has %d stays and counts %d", n.id, stays, st.Stays)
		}
	}
}

// checkFirst lets a peer come to a node, if nobody is in a torrent there: its offers must go to peers elsewhere, as many as there are.
func (w *simWorld) checkFirst(n *simNode, k int) {
	s := n.shardOf(k)
	if len(s.torrents[k].peers) > 0 {
		return
	}
	elsewhere := 0
	for _, o := range w.nodes {
		elsewhere += len(o.shardOf(k).torrents[k].peers)
	}
	before, made := w.res.Offers, len(w.offers)
	s.join(k)
	made = len(w.offers) - made
	w.pass(50*time.Millisecond, nil)
	if got, want := w.res.Offers-before, min(made, elsewhere); got != want {
		w.failf("%d offers of the first peer in torrent %d on node %s reached others, there are %d peers and %d offers", got, k, n.id, elsewhere, made)
	}
}

// checkScrapes proves that scrapes on each node have the true sums.
func (w *simWorld) checkScrapes() {
	for _, n := range w.nodes {
		q := n.shards[0].scrape()
		w.pass(50*time.Millisecond, nil)
		if !q.answered {
			w.failf("node %s: a scrape got no answer", n.id)
		}
		for _, k := range q.torrents {
			want := record.File{Hash: simKey(k).Hash}
			for _, o := range w.nodes {
				c := o.shardOf(k).torrents[k].counts()
				want.Seeders += c.Seeders
				want.Leechers += c.Leechers
				want.Downloaded += c.Downloaded
			}
			has := slices.Contains(q.files, want)
			if nobody := want.Seeders+want.Leechers == 0; has == nobody {
				w.failf("node %s: a scrape tells %v of torrent %d, the truth is %v", n.id, q.files, k, want)
			}
		}
	}
}

// TestSimulation proves that no seed of a fixed set finds anything wrong, and that the seeds lead to all rare paths.
func TestSimulation(t *testing.T) {
	from, to := uint64(0), uint64(1000)
	if testing.Short() || raceEnabled {
		to = 60
	}
	if v := os.Getenv("SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		from, to = seed, seed+1
	}
	if v, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		to = v
	}
	var all simResult
	for seed := from; seed < to; seed++ {
		res, problems := simRun(seed, nil)
		if len(problems) > 0 {
			t.Fatalf("%s\nreplay it with SEED=%d", strings.Join(problems, "\n"), seed)
		}
		stats.Add(&all, &res)
	}
	paths := all.paths()
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		n := paths[name]
		t.Logf("%8d × %s", n, name)
		if n == 0 && to-from >= 1000 {
			t.Errorf("no seed led to this: %s", name)
		}
	}
}

// paths returns how often the rare paths were gone.
func (r *simResult) paths() map[string]uint64 {
	st := &r.Stats
	count := func(n int) uint64 { return uint64(n) }
	return map[string]uint64{
		"a peer came": count(r.Joins), "an offer reached another node": count(r.Offers), "an answer came back": count(r.Answers),
		"a new peer was heard of": count(r.Arrivals), "a scrape was answered": count(r.Scrapes), "a node died": count(r.Deaths),
		"a node said goodbye": count(r.Byes), "a node lost its connection": count(r.Cuts), "a node stood still": count(r.Pauses),
		"the bus was parted": count(r.Partitions), "two nodes had one id": count(r.Conflicts),
		"a message came twice or late": st.Flaws[FlawStale], "a message was for an earlier life": st.Flaws[FlawSeal],
		"a message came from a stranger": st.Flaws[FlawStranger], "a relay was dropped": st.Dropped[record.KindRelay],
		"a presence was dropped": st.Dropped[record.KindPresence], "counts came from a former home": st.Strayed,
		"an answer to a scrape came late": st.Late, "a hold was over": st.HeldOver, "a hold found no room": st.HeldFull,
		"a scrape was answered without others": st.AsksOver, "the directory was full": st.StaysFull,
		"a node forgave its own pause": st.Forgiven, "the bus took no message": st.Unpublished, "a batch was lost": st.BytesLost,
		"a message was packed": st.PackPlain, "a node was of the version before": count(r.Olds),
		"a mailbox was full": st.MailDropped[record.MailOthers-record.FirstMail],
	}
}

// TestSameSeedSameRun proves that a failure can be replayed.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(10) {
		a, _ := simRun(seed, nil)
		if b, _ := simRun(seed, nil); !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d gave %+v and then %+v", seed, a, b)
		}
	}
}

// TestPlantedFaults proves that the simulation can fail: each check finds the fault that is planted for it.
func TestPlantedFaults(t *testing.T) {
	f := func(phase, want string, plant func(w *simWorld)) {
		t.Helper()
		found := false
		for seed := uint64(0); seed < 30 && !found; seed++ {
			_, problems := simRun(seed, func(at string, w *simWorld) {
				if at == phase {
					plant(w)
				}
			})
			found = slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, want) })
		}
		if !found {
			t.Errorf("%q was found in no run", want)
		}
	}
	each := func(plant func(n *simNode)) func(*simWorld) {
		return func(w *simWorld) {
			for _, n := range w.nodes {
				plant(n)
			}
		}
	}
	f("rest", "the truth is", each(func(n *simNode) { n.core.o.Refresh *= 10 }))
	f("rest", "other nodes, there are", func(w *simWorld) { w.bus.Faults.Loss = 1 })
	f("service", "of the first peer in torrent", func(w *simWorld) {
		for _, n := range w.nodes {
			n.core.o.Limits.HeldBytes = 1
		}
	})
	f("service", "a scrape tells", func(w *simWorld) {
		for _, n := range w.nodes {
			n.core.o.Limits.AskBytes = 1
		}
	})
	f("service", "was delivered before", func(w *simWorld) {
		for _, o := range w.offers {
			o.delivered = true
		}
		for _, n := range w.nodes {
			n.shards[0].mail(record.MailRelay, &record.Routed{Node: n.core.view.live[0].number, Relay: w.madeOffer(n)})
		}
	})
	f("service", "has the id", func(w *simWorld) { w.start(w.nodes[0].id, 1) })
	f("service", "something malformed", each(func(n *simNode) { n.core.FromShard(n.w.now, 0, []byte{1}) }))
	f("service", "held bytes", each(func(n *simNode) { n.core.holds.bytes = 1 << 40 }))
	f("service", "still has something to do", each(func(n *simNode) { n.core.asks.bytes++ }))
}

// madeOffer returns a relay with an offer that a peer of a node has made before.
func (w *simWorld) madeOffer(n *simNode) record.Relay {
	var r record.Relay
	for id, o := range w.offers {
		if w.homes[o.peer.id] == n {
			r = record.Relay{Key: simKey(o.torrent), Peer: o.peer.id, From: o.peer.from, Offers: []record.Offer{{ID: id, SDP: []byte(`""`)}}}
		}
	}
	return r
}
