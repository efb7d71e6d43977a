package loans

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"millrace/swarm"
)

// This file proves who holds a torrent, and that home and holder agree once their mail has been read.

var seed = [2]uint64{1, 2}

// ofHome returns the n-th info hash whose home is shard k of so many.
func ofHome(n, k, shards int) (hash swarm.ID) {
	for i := uint64(0); ; i++ {
		binary.LittleEndian.PutUint64(hash[:], i)
		if swarm.Owner(seed, &hash, shards) == k {
			if n == 0 {
				return hash
			}
			n--
		}
	}
}

func newLoans(shard, shards int) *Loans {
	return New(Options{Shard: shard, Shards: shards, OwnerSeed: seed, Lend: true})
}

// The home sends requests for a torrent that it has lent to the holder, everybody else sends them to the home, and the
// holder to itself.
func TestHolder(t *testing.T) {
	const shards, home, holder, other = 4, 1, 2, 3
	hash, still := ofHome(0, home, shards), ofHome(1, home, shards)
	all := make([]*Loans, shards)
	for k := range all {
		all[k] = newLoans(k, shards)
	}
	f := func(when string, atHome, atHolder, atOther int) {
		t.Helper()
		for k, want := range map[int]int{home: atHome, holder: atHolder, other: atOther} {
			if got := all[k].Holder(&hash); got != want {
				t.Errorf("%s: shard %d sends requests to %d, want %d", when, k, got, want)
			}
			if got := all[k].Holder(&still); got != home {
				t.Errorf("%s: shard %d sends requests for another torrent to %d", when, k, got)
			}
		}
	}
	f("at first", home, home, home)
	all[home].Lend(&hash, holder)
	f("while the mail is on its way", holder, home, home)
	all[holder].Hold(&hash, 1)
	f("lent", holder, holder, home)
	if mask := all[home].Holders(); mask != 1<<holder || all[holder].Holders() != 0 {
		t.Errorf("the holders are %b and %b", mask, all[holder].Holders())
	}
	if n := newLoans(0, 1).Holder(&hash); n != 0 {
		t.Errorf("the only shard sends requests to %d", n)
	}
}

// A torrent comes home only from its holder, and only if that has read all announces that were passed on to it.
func TestReturn(t *testing.T) {
	hash, other := ofHome(0, 0, 3), ofHome(1, 0, 3)
	f := func(name string, passed int, back *swarm.ID, from int, seen uint32, want bool) {
		t.Helper()
		l := newLoans(0, 3)
		l.Lend(&hash, 2)
		for range passed {
			l.PassedOn(&hash, true)
			l.PassedOn(&hash, false) // an answer has no number
		}
		if next := l.Next(&hash); next != uint32(passed)+2 {
			t.Errorf("%s: the next announce has number %d", name, next)
		}
		if got := l.Return(back, from, seen); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		holder, kept := 2, uint64(1)
		if want {
			holder, kept = 0, 0
		}
		if got, st := l.Holder(&hash), l.Stats(); got != holder || st.Kept != kept || st.Lent != holder/2 || st.Returned != 1-kept ||
			(l.Holders() == 0) != want || st.Passed != uint64(2*passed) {
			t.Errorf("%s: held by %d, %+v, holders %b", name, got, st, l.Holders())
		}
	}
	f("at once", 0, &hash, 2, 1, true)
	f("after others", 3, &hash, 2, 4, true)
	f("one is on its way", 3, &hash, 2, 3, false)
	f("a wrong shard", 0, &hash, 1, 1, false)
	f("not lent", 0, &other, 2, 1, false)
}

// The holder gives back what is empty within a period, whatever the order, keeps the rest, and tries again where the mail
// had no room.
func TestHousekeep(t *testing.T) {
	f := func(name string, held int, empty, room func(n uint64) bool, left int) {
		t.Helper()
		l := newLoans(1, 2)
		number := map[swarm.ID]uint64{}
		for n := range held {
			hash := ofHome(n, 0, 2)
			number[hash] = uint64(n)
			l.Hold(&hash, 1)
			l.Hold(&hash, uint32(n)+2)
		}
		now := int64(0)
		step := func() (more bool) {
			return l.Housekeep(now, func(hash *swarm.ID) bool { return empty(number[*hash]) },
				func(home int, hash *swarm.ID, seen uint32) bool {
					if home != 0 || uint64(seen) != number[*hash]+2 {
						t.Fatalf("%s: torrent %d goes to shard %d with number %d", name, number[*hash], home, seen)
					}
					return room(number[*hash])
				})
		}
		step()
		for range 2 { // an entry may have moved to a place that was passed already
			now += returnPeriod.Nanoseconds()
			for step() {
			}
		}
		if len(l.list) != left || len(l.held) != left {
			t.Errorf("%s: %d and %d are left, want %d", name, len(l.list), len(l.held), left)
		}
		for k, g := range l.list {
			if l.held[g.hash] != uint32(k) || empty(number[g.hash]) && room(number[g.hash]) {
				t.Errorf("%s: torrent %d is at %d, not %d", name, number[g.hash], l.held[g.hash], k)
			}
		}
	}
	yes, no := func(uint64) bool { return true }, func(uint64) bool { return false }
	odd := func(n uint64) bool { return n%2 == 1 }
	f("none", 0, yes, yes, 0)
	f("all", 300, yes, yes, 0)
	f("not one", 300, no, yes, 300)
	f("every second", 301, odd, yes, 151)
	f("no room", 300, yes, no, 300)
	f("some room", 300, yes, odd, 150)
}

// Home and holder agree at rest, whatever the interleaving of their mail: a torrent is held by exactly one of them, and it
// is not at home while a peer is at the holder.
func TestAgree(t *testing.T) {
	for n := range uint64(200) {
		r := rand.New(rand.NewPCG(n, 7))
		home, holder := newLoans(0, 2), newLoans(1, 2)
		hash := ofHome(0, 0, 2)
		var out, back []uint32 // numbers in the mail to the holder and to the home
		peers, atHome, now := 0, 0, int64(0)
		deliver := func() {
			if len(out) > 0 {
				holder.Hold(&hash, out[0])
				peers, out = peers+1, out[1:]
			}
		}
		ret := func() {
			if len(back) > 0 {
				home.Return(&hash, 1, back[0])
				back = back[1:]
			}
		}
		for range 300 {
			switch r.IntN(6) {
			case 0: // somebody announces at the home
				switch {
				case home.Holder(&hash) == 1:
					out = append(out, home.Next(&hash))
					home.PassedOn(&hash, true)
				case atHome == 0 && r.IntN(2) == 0:
					home.Lend(&hash, 1)
					out = append(out, 1)
				default:
					atHome++
				}
			case 1:
				atHome = max(atHome-1, 0)
			case 2:
				deliver()
			case 3:
				peers = max(peers-1, 0)
			case 4:
				now += int64(time.Minute)
				holder.Housekeep(now, func(*swarm.ID) bool { return peers == 0 }, func(_ int, _ *swarm.ID, seen uint32) bool {
					back = append(back, seen)
					return true
				})
			case 5:
				ret()
			}
			if peers > 0 && (home.Holder(&hash) != 1 || holder.Holder(&hash) != 1 || atHome > 0) {
				t.Fatalf("run %d: %d peers at the holder, the home sends to %d, the holder to %d", n, peers, home.Holder(&hash), holder.Holder(&hash))
			}
		}
		for len(out) > 0 || len(back) > 0 {
			deliver()
			ret()
		}
		if home.Holder(&hash) != holder.Holder(&hash) {
			t.Fatalf("run %d: at rest the home sends requests to %d and the holder to %d", n, home.Holder(&hash), holder.Holder(&hash))
		}
	}
}

// A shard without the setting, and one that has lent as many as it may, lends nothing.
func TestMayLend(t *testing.T) {
	if New(Options{Shards: 2, OwnerSeed: seed}).MayLend() {
		t.Error("lends although it should not")
	}
	l := newLoans(0, 2)
	for n := uint64(0); l.MayLend(); n++ {
		var hash swarm.ID
		binary.LittleEndian.PutUint64(hash[:], n)
		l.Lend(&hash, 1)
	}
	if n := l.Stats().Lent; n != maxLoans {
		t.Errorf("%d torrents are lent, want %d", n, maxLoans)
	}
}
