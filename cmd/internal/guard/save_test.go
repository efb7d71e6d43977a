package guard

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// This file tests the way of entries into the table of another process.

// move returns a table with other clock and size and what the old one remembers, and how many entries found no place.
func move(old *Table, was time.Duration, o Options, now time.Duration) (table *Table, dropped int) {
	table = New(o)
	old.Save(was, func(s *Saved) {
		if !table.Restore(s, now) {
			dropped++
		}
	})
	return table, dropped
}

// TestSavedBan proves that bans go over with the time that is left of them, the operator's and those for offences, of IPv4
// and IPv6 addresses, whatever the new clock says.
func TestSavedBan(t *testing.T) {
	o := Options{Limits: Limits{Offences: 2, Ban: time.Minute}, Entries: 1024, Secret: NewSecret()}
	old := New(o)
	addrs := []string{"192.0.2.1", "2001:db8::1", "192.0.2.2"}
	for _, a := range addrs[:2] {
		if err := old.Ban(ip(a), time.Minute, 1000*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := old.Enter(ip(addrs[2]), 1000*time.Second)
	for range 3 {
		old.Offence(r, 1000*time.Second)
	}
	old.Enter(ip("192.0.2.3"), 1000*time.Second) // nothing of it outlives it
	for _, now := range []time.Duration{0, time.Second, 90 * time.Second, 5000 * time.Second} {
		o.Entries = 256
		table, dropped := move(old, 1020*time.Second, o, now)
		if n := table.Banned(now); n != 3 || dropped != 0 {
			t.Errorf("%d are banned, %d dropped", n, dropped)
		}
		for _, a := range addrs {
			if _, v := table.Enter(ip(a), now+39*time.Second); v != Banned {
				t.Errorf("now %v: %s after 39 s: %v", now, a, v)
			}
			if u, ok := table.Usage(ip(a), now); !ok || u.Banned != 40*time.Second {
				t.Errorf("now %v: %s: %+v", now, a, u)
			}
			if r, v := table.Enter(ip(a), now+40*time.Second); v != Admitted {
				t.Errorf("now %v: %s after 40 s: %v", now, a, v)
			} else {
				table.Leave(r)
			}
		}
		if st := table.Stats(now + 2*time.Minute); st.InUse != 0 {
			t.Errorf("%+v", st)
		}
	}
}

// TestSavedOffences proves that offences go over with their age: more of them ban, for a minute from the first, and then
// they are forgotten.
func TestSavedOffences(t *testing.T) {
	o := Options{Limits: Limits{Offences: 3, Ban: time.Hour}, Secret: NewSecret()}
	a := ip("192.0.2.1")
	old := New(o)
	r, _ := old.Enter(a, 500*time.Second)
	for range 3 {
		old.Offence(r, 500*time.Second)
	}
	f := func(was, now, at time.Duration, want bool) {
		t.Helper()
		table, _ := move(old, was, o, now)
		r := table.Readmit(a, now)
		table.Offence(r, at)
		if _, v := table.Enter(a, at); (v == Banned) != want {
			t.Errorf("saved after %v, restored at %v, one more at %v: %v", was-500*time.Second, now, at, v)
		}
	}
	f(510*time.Second, 0, 40*time.Second, true)
	f(510*time.Second, 0, 51*time.Second, false)
	f(510*time.Second, 9*time.Second, 40*time.Second, true) // the first offence was at second 0
	f(510*time.Second, 7000*time.Second, 7040*time.Second, true)
	f(510*time.Second, 7000*time.Second, 7051*time.Second, false)
	f(560*time.Second, 7000*time.Second, 7000*time.Second, false)
	key, _ := o.Secret.keys(a)
	for _, age := range []time.Duration{-30 * time.Second, -time.Second, time.Minute, (1<<32 + 5) * time.Second} {
		table := New(o)
		table.Restore(&Saved{Key: key, Offences: 3, OffenceAge: age}, 0)
		for _, now := range []time.Duration{0, 2 * time.Second, 35 * time.Second} {
			if u, _ := table.Usage(a, now); u.Offences != 0 {
				t.Errorf("age %v: %+v", age, u)
			}
		}
	}
}

// TestSavedRates proves that a client that has used up its rates has them used up in the next process too, for as long, and
// that they are never more than used up by the limits there.
func TestSavedRates(t *testing.T) {
	o := Options{Limits: Limits{Arrivals: Rate{1, 10}, HandshakeRate: Rate{2, 8}}, Secret: NewSecret()}
	a := ip("2001:db8::1")
	old := New(o)
	for range 10 {
		r, _ := old.Enter(a, time.Hour)
		old.Handshake(r, time.Hour)
		old.EndHandshake(r)
		old.Leave(r)
	}
	f := func(was time.Duration, l Limits, now time.Duration, arrivals, handshakes int) {
		t.Helper()
		next := o
		next.Limits = l
		table, _ := move(old, time.Hour+was, next, now)
		r := table.Readmit(a, now)
		gotArrivals, gotHandshakes := 0, 0
		for range 100 {
			if r, v := table.Enter(a, now); v == Admitted {
				gotArrivals++
				table.Leave(r)
			}
			if table.Handshake(r, now) {
				gotHandshakes++
				table.EndHandshake(r)
			}
		}
		if gotArrivals != arrivals || gotHandshakes != handshakes {
			t.Errorf("after %v: %d connections and %d handshakes, want %d and %d", was, gotArrivals, gotHandshakes, arrivals, handshakes)
		}
	}
	f(0, o.Limits, 0, 0, 0)
	f(3*time.Second, o.Limits, 0, 3, 6)
	f(3*time.Second, o.Limits, time.Hour*90, 3, 6)
	f(20*time.Second, o.Limits, 0, 10, 8)
	f(0, Limits{Arrivals: Rate{1, 2}}, 0, 0, 100)
	f(0, Limits{Arrivals: Rate{1, 20}}, 0, 10, 100)
	small := Limits{Arrivals: Rate{1, 2}}
	table, _ := move(old, time.Hour, Options{Limits: small, Secret: o.Secret}, 0)
	if _, v := table.Enter(a, time.Second); v != Admitted {
		t.Errorf("a second after two of two connections a second: %v", v)
	}
}

// TestReadmit proves that a connection which was let in before counts like others, for its address and its /48, and is
// asked nothing, and that exempt addresses are not counted.
func TestReadmit(t *testing.T) {
	table := New(Options{
		Limits: Limits{Connections: 2, Arrivals: Rate{1, 1}}, Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Entries: 1024,
	})
	for a, other := range map[string]string{"192.0.2.1": "192.0.2.2", "2001:db8::1": "2001:db8:0:1::1"} {
		if err := table.Ban(ip(a), time.Second, 0); err != nil {
			t.Fatal(err)
		}
		var refs []Ref
		for range 2 * netFactor {
			refs = append(refs, table.Readmit(ip(a), 0))
		}
		if u, _ := table.Usage(ip(a), 0); u.Connections != len(refs) || refs[0].Exempt() {
			t.Errorf("%s: %+v", a, u)
		}
		if _, v := table.Enter(ip(a), time.Minute); v != TooMany {
			t.Errorf("%s: %v", a, v)
		}
		if _, v := table.Enter(ip(other), time.Minute); (v == TooMany) != (other == "2001:db8:0:1::1") {
			t.Errorf("%s after %s: %v", other, a, v)
		}
		for _, r := range refs {
			table.Leave(r)
		}
		if r, v := table.Enter(ip(a), time.Minute); v != Admitted {
			t.Errorf("%s: %v", a, v)
		} else {
			table.Leave(r)
		}
	}
	if r := table.Readmit(ip("10.1.2.3"), 0); !r.Exempt() {
		t.Error("an exempt address is counted")
	}
	if r := table.Readmit(netip.Addr{}, 0); !r.Exempt() {
		t.Error("a connection without an address is counted")
	}
}

// TestRestoreWhenFull proves that an entry for which there is no place is dropped, and takes nothing away from others.
func TestRestoreWhenFull(t *testing.T) {
	o := Options{Limits: Limits{Connections: 2}, Entries: 1 << 15, Secret: Secret{1}}
	old := New(o)
	for k := range 1000 {
		if err := old.Ban(netip.AddrFrom4([4]byte{10, 1, byte(k >> 8), byte(k)}), time.Hour, 0); err != nil {
			t.Fatal(err)
		}
	}
	o.Entries = 64
	table, dropped := move(old, 0, o, 0)
	if n := table.Banned(0); n != 64 || dropped != 1000-64 {
		t.Errorf("%d banned, %d dropped", n, dropped)
	}
	if st := table.Stats(0); st.InUse != 0 || st.Shared != 0 {
		t.Errorf("%+v", st)
	}
	saved := 0
	table.Save(0, func(*Saved) { saved++ })
	if saved != 64 {
		t.Errorf("%d of 64 entries are saved", saved)
	}
	full := New(o)
	for k := range 1000 {
		full.Readmit(netip.AddrFrom4([4]byte{10, 2, byte(k >> 8), byte(k)}), 0)
	}
	before := full.Stats(0)
	old.Save(0, func(s *Saved) {
		if full.Restore(s, 0) {
			t.Error("an entry in use has given way")
		}
	})
	if after := full.Stats(0); after != before {
		t.Errorf("%+v, want %+v", after, before)
	}
}

// TestSeverer proves that of an address which is known already the severer state holds, in both orders.
func TestSeverer(t *testing.T) {
	secret := NewSecret()
	key, _ := secret.keys(ip("192.0.2.1"))
	mild := Saved{Key: key, Banned: 10 * time.Second, Offences: 2, OffenceAge: 9 * time.Second, Arrivals: time.Second, Handshakes: time.Second}
	hard := Saved{Key: key, Banned: 20 * time.Second, Offences: 3, OffenceAge: 5 * time.Second, Arrivals: 2 * time.Second, Handshakes: 3 * time.Second}
	for _, order := range [][]Saved{{mild, hard}, {hard, mild}} {
		table := New(Options{Secret: secret, Limits: Limits{Arrivals: Rate{1, 5}, HandshakeRate: Rate{1, 5}}})
		for i := range order {
			table.Restore(&order[i], 100*time.Second)
		}
		var got []Saved
		table.Save(100*time.Second, func(s *Saved) { got = append(got, *s) })
		if !slices.Equal(got, []Saved{hard}) {
			t.Errorf("%+v, want %+v", got, hard)
		}
	}
}

// TestAbsurdEntries proves that no entry breaks a table: what is out of range is forgotten or made the most that there can be.
func TestAbsurdEntries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	duration := func() time.Duration {
		return []time.Duration{0, 1, -1, time.Second, -time.Second, time.Minute, math.MaxInt64, math.MinInt64, time.Duration(rng.Uint64())}[rng.IntN(9)]
	}
	for round := range 200 {
		table := New(Options{Limits: Limits{Arrivals: Rate{1, 5}, Ban: time.Hour, Offences: 3}, Secret: Secret{1}})
		key, _ := table.secret.keys(ip("192.0.2.1"))
		now := time.Duration(rng.IntN(100)) * time.Second
		for range 20 {
			s := Saved{
				Key: []uint64{0, 1, key, key &^ keyBit, rng.Uint64()}[rng.IntN(5)], Banned: duration(), Offences: rng.Uint32(),
				OffenceAge: duration(), Arrivals: duration(), Handshakes: duration(),
			}
			if table.Restore(&s, now) && s.Key&keyBit == 0 {
				t.Fatal("an entry without a key is restored")
			}
		}
		if st := table.Stats(now + maxBan + time.Second); st.InUse != 0 || st.Banned != 0 {
			t.Fatalf("round %d: %+v", round, st)
		}
		table.Save(now+maxBan+time.Second, func(s *Saved) { t.Fatalf("round %d: left is %+v", round, s) })
		if r, v := table.Enter(ip("192.0.2.1"), now+maxBan+time.Second); v != Admitted {
			t.Fatalf("round %d: %v", round, v)
		} else {
			table.Leave(r)
		}
	}
}

// TestSecret proves that tables with one secret know an address by the same key, that those with others and without do not,
// and that the kinds of hashes are kept apart.
func TestSecret(t *testing.T) {
	a, six := ip("192.0.2.1"), ip("2001:db8:1:2::3")
	key := func(s Secret) uint64 {
		table := New(Options{Secret: s})
		if err := table.Ban(a, time.Minute, 0); err != nil {
			t.Fatal(err)
		}
		var got uint64
		table.Save(0, func(s *Saved) { got = s.Key })
		return got
	}
	f := func(a, b Secret, same bool) {
		t.Helper()
		if x, y := key(a), key(b); (x == y) != same {
			t.Errorf("keys %x and %x", x, y)
		}
	}
	f(Secret{1}, Secret{1}, true)
	f(Secret{1}, Secret{31: 1}, false)
	f(Secret{}, Secret{}, false)
	s := NewSecret()
	block, net := s.keys(six)
	four, none := s.keys(a)
	zeros, zeroNet := s.keys(ip("::"))
	all := []uint64{block, net, four, zeros, zeroNet, s.Source(a) | keyBit, s.Source(six) | keyBit, s.Source(ip("::")) | keyBit}
	slices.Sort(all)
	if len(slices.Compact(all)) != 8 || none != 0 {
		t.Errorf("some of %v are equal", all)
	}
	if s.Source(a) != s.Source(ip("::ffff:192.0.2.1")) || s.Source(six) != s.Source(ip("2001:db8:1:2:9::")) || s.Source(six) == s.Source(ip("2001:db8:1:3::3")) {
		t.Error("the sources are wrong")
	}
}
