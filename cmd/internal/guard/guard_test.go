package guard

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"time"
)

// This file tests the limits of addresses, against a model and from many threads.

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestConnections proves that an address has as many connections as it may and no more, that IPv6 addresses count by /64
// and /48, that IPv4-mapped addresses are IPv4, and that exempt ones have no limit.
func TestConnections(t *testing.T) {
	table := New(Options{
		Limits: Limits{Connections: 3}, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Entries: 1024,
	})
	f := func(want int, addr func(k int) string) []Ref {
		t.Helper()
		var refs []Ref
		for k := range 100 {
			if r, v := table.Enter(ip(addr(k)), 0); v == Admitted {
				refs = append(refs, r)
			} else if v != TooMany {
				t.Errorf("%s: %v", addr(k), v)
			}
		}
		if len(refs) != want {
			t.Errorf("%s: %d admitted, want %d", addr(0), len(refs), want)
		}
		return refs
	}
	one := func(s string) func(int) string { return func(int) string { return s } }
	four := f(3, one("192.0.2.1"))
	f(0, one("::ffff:192.0.2.1"))
	f(100, func(k int) string { return fmt.Sprintf("198.51.100.%d", k) })
	f(3, func(k int) string { return fmt.Sprintf("2001:db8::%x", k+1) })
	f(netFactor*3-3, func(k int) string { return fmt.Sprintf("2001:db8:0:%x::1", k+1) })
	f(3, one("2001:db8:1::1"))
	f(100, one("127.0.0.1"))
	for _, r := range four {
		table.Leave(r)
	}
	f(3, one("192.0.2.1"))
}

// TestArrivals proves that a burst of connections may come at once, and then as many as the rate says, whether or not the
// connections before have ended.
func TestArrivals(t *testing.T) {
	table := New(Options{Limits: Limits{Arrivals: Rate{PerSecond: 10, Burst: 5}}})
	enter := func(now time.Duration) (admitted int) {
		for range 100 {
			if r, v := table.Enter(ip("192.0.2.1"), now); v == Admitted {
				admitted++
				table.Leave(r)
			} else if v != TooFast {
				t.Fatal(v)
			}
		}
		return admitted
	}
	for _, c := range []struct {
		now  time.Duration
		want int
	}{{0, 5}, {time.Second / 10, 1}, {time.Second / 2, 4}, {time.Minute, 5}} {
		if got := enter(c.now); got != c.want {
			t.Errorf("at %v: %d admitted, want %d", c.now, got, c.want)
		}
	}
}

// TestBan proves that an address that keeps breaking limits is refused for a time, others are not, and that few offences
// are forgotten.
func TestBan(t *testing.T) {
	table := New(Options{Limits: Limits{Connections: 1, Offences: 3, Ban: time.Minute}})
	bad, good := ip("192.0.2.1"), ip("192.0.2.2")
	kept, _ := table.Enter(bad, 0)
	f := func(now time.Duration, addr netip.Addr, want Verdict) {
		t.Helper()
		r, v := table.Enter(addr, now)
		if v != want {
			t.Errorf("at %v: %v is %v, want %v", now, addr, v, want)
		}
		if v == Admitted {
			table.Leave(r)
		}
	}
	for k := range 3 {
		f(time.Duration(k)*(offenceMemory+2)*time.Second, bad, TooMany) // each in a minute of its own
	}
	now := 1000 * time.Second
	for range 4 {
		f(now, bad, TooMany)
	}
	table.Leave(kept)
	f(now, bad, Banned)
	f(now, good, Admitted)
	f(now+30*time.Second, bad, Banned)
	f(now+62*time.Second, bad, Admitted)
}

// TestShare proves that over the limit of bytes the connections with most of them lose first, and that others go on.
func TestShare(t *testing.T) {
	table := New(Options{Limits: Limits{HalfBuilt: 1000}})
	var refs []Ref
	for range 4 {
		r, _ := table.Enter(ip("192.0.2.1"), 0)
		refs = append(refs, r)
	}
	if table.HalfBuilt(refs[0], 900, 900) {
		t.Error("900 of 1000 bytes are too many")
	}
	if table.HalfBuilt(refs[1], 200, 200) {
		t.Error("a connection with less than its share loses")
	}
	if !table.HalfBuilt(refs[0], 100, 1000) {
		t.Error("the connection with most does not lose")
	}
	if table.HalfBuilt(refs[0], -1000, 0) || table.HalfBuilt(refs[2], 300, 300) {
		t.Error("the bytes were not given back")
	}
}

// TestModel proves against a model that counts are exact while fewer addresses are in use than there are entries, and that
// entries are used again.
func TestModel(t *testing.T) {
	table := New(Options{Limits: Limits{Connections: 5, Peers: 7}, Entries: 2048})
	rng := rand.New(rand.NewPCG(1, 2))
	type live struct {
		ref  Ref
		addr int
	}
	var all []live
	conns, peers := map[int]int{}, map[int]int{}
	for step := range 20_000 {
		now := time.Duration(step) * time.Second
		if len(all) < 20 && rng.IntN(2) == 0 {
			addr := rng.IntN(1 << 16)
			if rng.IntN(2) == 0 && len(all) > 0 {
				addr = all[rng.IntN(len(all))].addr
			}
			r, v := table.Enter(netip.AddrFrom4([4]byte{10, 0, byte(addr >> 8), byte(addr)}), now)
			if want := conns[addr] < 5; want != (v == Admitted) && table.stats.Shared.Load() == 0 {
				t.Fatalf("step %d: address %d with %d connections: %v", step, addr, conns[addr], v)
			}
			if v == Admitted {
				all = append(all, live{r, addr})
				conns[addr]++
			}
			continue
		}
		if len(all) == 0 {
			continue
		}
		k := rng.IntN(len(all))
		c := all[k]
		if table.PeersFull(c.ref.Origin()) != (peers[c.addr] >= 7) {
			t.Fatalf("step %d: address %d with %d peers", step, c.addr, peers[c.addr])
		}
		if peers[c.addr] < 7 && rng.IntN(2) == 0 {
			table.CountPeers(c.ref.Origin(), 1)
			peers[c.addr]++
			continue
		}
		if conns[c.addr]--; conns[c.addr] == 0 {
			table.CountPeers(c.ref.Origin(), -peers[c.addr])
			delete(peers, c.addr)
		}
		table.Leave(c.ref)
		all = append(all[:k], all[k+1:]...)
	}
	if n := table.stats.Shared.Load(); n > 0 {
		t.Errorf("%d connections of at most 20 shared an entry in a table of 2048: the seed of the hash is unlucky", n)
	}
}

// TestManyAddresses proves that more addresses than there are entries share limits, so that the table stays bounded, and
// that the table is as good as new when they have gone.
func TestManyAddresses(t *testing.T) {
	table := New(Options{Limits: Limits{Connections: 2}, Entries: 64})
	var refs []Ref
	for k := range 1000 {
		if r, v := table.Enter(netip.AddrFrom4([4]byte{10, 1, byte(k >> 8), byte(k)}), 0); v == Admitted {
			refs = append(refs, r)
		}
	}
	if len(refs) < 64 || len(refs) > 64+2*len(table.sets) {
		t.Errorf("%d connections of as many addresses", len(refs))
	}
	for _, r := range refs {
		table.Leave(r)
	}
	if st := table.Stats(0); st.InUse != 0 || st.Shared == 0 {
		t.Errorf("%+v", st)
	}
}

// TestThreads proves that limits hold, to the connection, when many threads enter and leave at once, with more addresses
// than entries.
func TestThreads(t *testing.T) {
	const limit = 4
	table := New(Options{Limits: Limits{Connections: limit}, Entries: 64})
	var mu sync.Mutex
	present := map[uint32]int{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for step := range 3000 {
				r, v := table.Enter(netip.AddrFrom4([4]byte{10, 2, 0, byte(rng.IntN(200))}), time.Duration(step)*time.Minute)
				if v != Admitted {
					continue
				}
				mu.Lock()
				present[r.block]++
				if present[r.block] > limit {
					t.Errorf("%d connections of one entry", present[r.block])
				}
				mu.Unlock()
				mu.Lock()
				present[r.block]--
				mu.Unlock()
				table.Leave(r)
			}
		})
	}
	wg.Wait()
	if st := table.Stats(0); st.InUse != 0 {
		t.Errorf("%+v", st)
	}
}

// TestEntrySize proves that an entry is one cache line.
func TestEntrySize(t *testing.T) {
	if n := reflect.TypeFor[entry]().Size(); n != 64 {
		t.Errorf("an entry has %d bytes", n)
	}
}
