package simulation

import (
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"millrace/ring"
)

// This file plays fixed seeds, and proves that the simulation finds what is wrong.

// TestSimulation proves that no seed of a fixed set finds anything wrong, and that the seeds lead to all rare paths.
func TestSimulation(t *testing.T) {
	seeds := uint64(2500)
	if raceEnabled || testing.Short() {
		seeds = 300
	}
	playSeeds(t, seeds, 300, play, Paths)
}

// playSeeds plays seeds from 0 on, or the one that SEED in the environment names. More than few of them must lead to all paths.
func playSeeds(t *testing.T, seeds, few uint64, play func(*testing.T, uint64) Result, paths func(*Result) []Path) {
	t.Helper()
	if v := os.Getenv("SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		play(t, seed)
		return
	}
	var all Result
	for seed := range seeds {
		res := play(t, seed)
		all.Add(&res)
	}
	for _, p := range paths(&all) {
		t.Logf("%8d × %s", p.Count, p.Name)
		if p.Count == 0 && seeds > few {
			t.Errorf("no seed led to this: %s", p.Name)
		}
	}
}

// play runs one seed, which must not fail.
func play(t *testing.T, seed uint64) Result {
	t.Helper()
	res, err := Run(seed)
	var failure *Failure
	if errors.As(err, &failure) {
		t.Fatalf("%v\n%sreplay it with SEED=%d", failure, failure.Trace, seed)
	}
	return res
}

// TestSameSeedSameRun proves that a failure can be replayed: a seed gives the same counters each time.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := play(t, seed), play(t, seed); !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d gave %+v and then %+v", seed, a, b)
		}
	}
}

// TestPlantedFaults proves that the simulation can fail: each check finds the fault that is planted for it, and tells
// it with the seed, the phase, and the last events of the shards.
func TestPlantedFaults(t *testing.T) {
	// plant reports whether it could plant its fault in this run, which has hand-overs or not.
	in := func(handsOver bool, phase, want string, plant func(w *world) bool) {
		t.Helper()
		planted := false
		for seed := uint64(1); seed < 100 && !planted; seed++ {
			_, err := run(seed, func(w *world) {
				if w.phase == phase && !w.tight && handsOver == (w.hand != nil) {
					planted = plant(w)
				}
			})
			if !planted {
				continue
			}
			var failure *Failure
			if !errors.As(err, &failure) || failure.Seed != seed || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), "phase "+phase) && phase != "faults" ||
				!strings.Contains(failure.Trace, "s shard 0 ") {
				t.Errorf("want %q, got %v", want, err)
			}
		}
		if !planted {
			t.Errorf("%q was planted in no run", want)
		}
	}
	f := func(phase, want string, plant func(w *world) bool) {
		t.Helper()
		in(false, phase, want, plant)
	}
	// with plants a fault in a client that is connected.
	with := func(plant func(c *client)) func(*world) bool {
		return func(w *world) bool {
			for _, c := range w.clients {
				if c.up() && len(c.inbox) == 0 {
					plant(c)
					return true
				}
			}
			return false
		}
	}
	// arrive is a short frame that the tracker has not sent.
	arrive := func(c *client, op byte, payload string) { c.inbox = append([]byte{op, byte(len(payload))}, payload...) }
	sent := func(op byte, payload string) func(*world) bool {
		return with(func(c *client) { arrive(c, op, payload) })
	}

	f("rest", "was sent a frame that begins with 0x82", sent(0x82, "binary"))
	f("rest", "did nothing wrong and was closed with 1002", sent(opClose, "\x03\xea"))
	f("rest", "was sent \"{\"", sent(opText, "{"))
	f("rest", "got a reply to nothing", sent(opText, `{"action":"scrape"}`))
	f("rest", "got an offer that nobody made", sent(opText, `{"offer":{"sdp":"v=0"},"offer_id":"x"}`))
	f("rest", "got an answer that nobody gave", sent(opText, `{"answer":{"sdp":"v=0"},"offer_id":"x"}`))
	f("rest", "failure", with(func(c *client) {
		c.asked = append(c.asked, ask{hash: "x"})
		arrive(c, opText, `{"info_hash":"x","failure reason":"no"}`)
	}))
	f("rest", "never got a reply to", with(func(c *client) { c.asked = append(c.asked, ask{hash: "x"}) }))
	f("rest", "peers in the swarms, the clients know of", with(func(c *client) { c.present["x"] = true }))
	f("rest", "connections, the clients know of", with(func(c *client) { c.ending = true }))
	f("rest", "has got already", with(func(c *client) {
		c.world.offers["x"] = &offer{hash: "h", from: "a", sdp: "v=0", to: "b"}
		arrive(c, opText, `{"offer":{"sdp":"v=0"},"offer_id":"x","info_hash":"h","peer_id":"a"}`)
	}))
	f("rest", "got 2 answers to one offer", with(func(c *client) {
		c.world.offers["x"] = &offer{hash: "h", from: c.peer, by: c, to: "b", answered: true, answers: 1}
		arrive(c, opText, `{"answer":{"sdp":"answer to "},"offer_id":"x","info_hash":"h","peer_id":"b"}`)
	}))
	f("service", "came back as 0 answers, want another peer and 1", func(w *world) bool {
		w.offers["x"] = &offer{hash: serviceHash}
		return true
	})
	leak := func(w *world) bool { return w.loops[0].ring.Pool().Get(64) != 0 }
	f("faults", "is at rest and still has something to do", leak)
	f("stop", "still holds something", leak)
	in(true, "faults", "that has given everything away still holds something", leak)
	f("service", "is not connected", func(w *world) bool { w.loops[0].ended = true; return true })
	f("siege", "do not come to rest", func(w *world) bool { w.loops[len(w.loops)-1].ended = true; return true })
	// Its own announce gets no reply, or no offer of another witness reaches it: that depends on the seed.
	f("siege", "witness ", with(func(c *client) {
		c.world.witnesses = append(c.world.witnesses, c)
		c.Reset()
	}))
	f("stop", "the stop does not end", func(w *world) bool { w.loops[0].ended = true; return true })
	f("stop", "panic: ", func(w *world) bool {
		w.loops[0].ring.Submit([]ring.Op{{Kind: ring.OpAdopt, FD: 1, Tag: 1000}}) // the shard knows no such tag
		return true
	})
}
