package swarm

// This file proves the rules of announces: counting, owning, limits, IP versions, and ends of connections.

import (
	"reflect"
	"testing"
)

func testOptions() Options {
	return Options{
		Seed: [2]uint64{1, 2}, MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120,
		MaxPeersPerConnection: 1000, MaxIDsPerTorrent: 1000, MaxPeers: 1 << 24, MaxPendingOffers: 1 << 20, MaxPendingPerPeer: 100,
	}
}

// ruleStep is one announce of a sequence, its reply, and the downloads that a scrape shows after it.
type ruleStep struct {
	now        uint32
	a          Announce
	want       Result
	downloaded uint32
}

// announceOf returns an announce without offers. Connections 1 and 11, 2 and 12 and so on are of the
// same client address.
func announceOf(peer int, conn uint32, l Left, e Event) Announce {
	return Announce{
		Key: Key{Hash: testID('h', 1), Family: 4}, Peer: testID('p', peer), Left: l, Event: e,
		From: Addr{Index: conn, Gen: 7, Shard: 1}, Source: uint64(conn % 10),
	}
}

// runRule plays a sequence on a new table.
func runRule(t *testing.T, name string, o Options, steps []ruleStep) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		table := New(o)
		for i, s := range steps {
			got, targets := table.Announce(s.now, &s.a, nil)
			if got != s.want || targets != nil {
				t.Fatalf("step %d: got %+v and targets %v, want %+v", i, got, targets, s.want)
			}
			c, l, d := table.Scrape(s.a.Key)
			if c != got.Complete || l != got.Incomplete || d != s.downloaded {
				t.Fatalf("step %d: scrape is %d, %d, %d, want %+v and %d", i, c, l, d, s.want, s.downloaded)
			}
			checkTable(t, table)
		}
	})
}

// Peers are counted as seeders and leechers, and completions as downloads, by these rules.
func TestCountingRules(t *testing.T) {
	f := func(name string, steps ...ruleStep) {
		t.Helper()
		runRule(t, name, testOptions(), steps)
	}
	f("left zero makes a seeder, more a leecher, unknown changes nothing",
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), Result{1, 0, StatusUpdated}, 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), Result{1, 0, StatusUpdated}, 0},
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusUpdated}, 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), Result{0, 1, StatusUpdated}, 0})
	f("a seeder that begins with completed has downloaded nothing here",
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), Result{1, 0, StatusAdded}, 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), Result{1, 0, StatusUpdated}, 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventCompleted), Result{1, 0, StatusUpdated}, 0})
	f("completed counts once for each time that a leecher becomes a seeder",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), Result{1, 0, StatusUpdated}, 1},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), Result{1, 0, StatusUpdated}, 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusUpdated}, 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventCompleted), Result{1, 0, StatusUpdated}, 2})
	f("left zero without completed is no download",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), Result{1, 0, StatusUpdated}, 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventCompleted), Result{1, 0, StatusUpdated}, 0})
	f("stopped removes once, and the swarm with its downloads goes with its last peer",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 1, LeftMore, EventUpdate), Result{0, 2, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventCompleted), Result{1, 1, StatusUpdated}, 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), Result{1, 0, StatusRemoved}, 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), Result{1, 0, StatusAbsent}, 1},
		ruleStep{0, announceOf(2, 1, LeftZero, EventStopped), Result{0, 0, StatusRemoved}, 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventStopped), Result{0, 0, StatusAbsent}, 0})
}

// A peer id belongs to one connection. Another of the same client address takes it over, a stranger's does not.
func TestOwnershipRules(t *testing.T) {
	f := func(name string, steps ...ruleStep) {
		t.Helper()
		runRule(t, name, testOptions(), steps)
	}
	f("another connection changes nothing and removes nothing, but is told the counts",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{179, announceOf(1, 2, LeftZero, EventCompleted), Result{0, 1, StatusNotOwner}, 0},
		ruleStep{179, announceOf(1, 2, LeftUnknown, EventStopped), Result{0, 1, StatusNotOwner}, 0},
		ruleStep{179, announceOf(1, 11, LeftUnknown, EventStopped), Result{0, 1, StatusNotOwner}, 0})
	f("a stranger does not get a peer whose client has announced once and then only keeps its connection",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{180, announceOf(1, 2, LeftMore, EventCompleted), Result{0, 1, StatusNotOwner}, 0},
		ruleStep{1799, announceOf(1, 2, LeftMore, EventStopped), Result{0, 1, StatusNotOwner}, 0},
		ruleStep{1799, announceOf(1, 1, LeftUnknown, EventCompleted), Result{1, 0, StatusUpdated}, 1})
	f("another connection of the same client takes over",
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), Result{1, 0, StatusAdded}, 0},
		ruleStep{1, announceOf(1, 11, LeftUnknown, EventUpdate), Result{1, 0, StatusTakenOver}, 0},
		ruleStep{2, announceOf(1, 1, LeftUnknown, EventStopped), Result{1, 0, StatusNotOwner}, 0})
}

// A full connection and a full table refuse new peers, and nothing else.
func TestLimitRules(t *testing.T) {
	f := func(name string, change func(*Options), steps ...ruleStep) {
		t.Helper()
		o := testOptions()
		change(&o)
		runRule(t, name, o, steps)
	}
	f("a full connection gets no more, by joining or by taking over", func(o *Options) { o.MaxPeersPerConnection = 1 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 2, LeftMore, EventUpdate), Result{0, 2, StatusAdded}, 0},
		ruleStep{0, announceOf(3, 1, LeftZero, EventUpdate), Result{0, 2, StatusConnectionFull}, 0},
		ruleStep{0, announceOf(2, 12, LeftMore, EventUpdate), Result{0, 2, StatusTakenOver}, 0},
		ruleStep{0, announceOf(3, 2, LeftMore, EventUpdate), Result{0, 3, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 2, LeftZero, EventUpdate), Result{0, 3, StatusConnectionFull}, 0},
		ruleStep{0, announceOf(3, 2, LeftMore, EventStopped), Result{0, 2, StatusRemoved}, 0},
		ruleStep{0, announceOf(2, 2, LeftZero, EventUpdate), Result{1, 1, StatusTakenOver}, 0})
	f("a full table takes none in but lets one take over", func(o *Options) { o.MaxPeers = 1 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 2, LeftMore, EventUpdate), Result{0, 1, StatusTableFull}, 0},
		ruleStep{0, announceOf(1, 11, LeftMore, EventUpdate), Result{0, 1, StatusTakenOver}, 0})
	f("a connection gets no more peer ids in one torrent, but others do", func(o *Options) { o.MaxIDsPerTorrent = 2 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventUpdate), Result{1, 1, StatusAdded}, 0},
		ruleStep{0, announceOf(3, 1, LeftZero, EventUpdate), Result{1, 1, StatusTooManyIDs}, 0},
		ruleStep{0, announceOf(2, 1, LeftMore, EventUpdate), Result{0, 2, StatusUpdated}, 0},
		ruleStep{0, announceOf(3, 2, LeftMore, EventUpdate), Result{0, 3, StatusAdded}, 0},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), Result{0, 2, StatusRemoved}, 0},
		ruleStep{0, announceOf(4, 1, LeftMore, EventUpdate), Result{0, 3, StatusAdded}, 0})
	f("no peer id fits where none may", func(o *Options) { o.MaxIDsPerTorrent = 0 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 0, StatusTooManyIDs}, 0})
	f("nothing fits where nothing may", func(o *Options) { o.MaxPeersPerConnection = 0 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), Result{0, 0, StatusConnectionFull}, 0})
}

// A limit above what a table can hold is lowered to the exported one, and one at or below it is kept.
func TestLimitsOfLimits(t *testing.T) {
	f := func(o, want Options) {
		t.Helper()
		if got := New(o).o; !reflect.DeepEqual(got, want) {
			t.Errorf("the options are %+v, want %+v", got, want)
		}
	}
	most := Options{
		MaxPeersPerConnection: MaxPeersPerConnectionLimit, MaxIDsPerTorrent: MaxPeersPerConnectionLimit, MaxPeers: MaxPeersLimit,
		MaxPendingOffers: MaxPendingOffersLimit, MaxPendingPerPeer: MaxPendingPerPeerLimit,
	}
	f(most, most)
	f(Options{
		MaxPeersPerConnection: MaxPeersPerConnectionLimit + 1, MaxIDsPerTorrent: MaxPeersPerConnectionLimit + 1, MaxPeers: MaxPeersLimit + 1,
		MaxPendingOffers: MaxPendingOffersLimit + 1, MaxPendingPerPeer: MaxPendingPerPeerLimit + 1,
	}, most)
	f(testOptions(), testOptions())
}

// A connection that closes takes only its own peers with it: not those that another has taken over, not
// those of its successor in the same place, and not those of a namesake of another shard.
func TestGone(t *testing.T) {
	table := New(testOptions())
	announce := func(hash, peer int, from Addr) {
		t.Helper()
		a := Announce{Key: Key{Hash: testID('h', hash)}, Peer: testID('p', peer), From: from}
		if r, _ := table.Announce(0, &a, nil); r.Status != StatusAdded && r.Status != StatusTakenOver {
			t.Fatalf("announce from %+v: %s", from, r.Status)
		}
	}
	first, next, other := Addr{5, 1, 0}, Addr{5, 2, 0}, Addr{5, 1, 3}
	announce(1, 1, first)
	announce(1, 2, first)
	announce(2, 1, first)
	announce(3, 1, first)
	announce(3, 1, next)
	announce(3, 2, other)
	if n := table.Counts().Connections; n != 3 {
		t.Fatalf("%d connections, want 3", n)
	}
	for i, want := range []int{3, 0} {
		if n := table.Gone(first); n != want {
			t.Fatalf("call %d removed %d peers, want %d", i, n, want)
		}
	}
	checkTable(t, table)
	if c := table.Counts(); c.Peers != 2 || c.Torrents != 1 || c.Connections != 2 {
		t.Fatalf("left are %+v", c)
	}
	if n := table.Gone(next) + table.Gone(other); n != 2 || table.Counts().Peers != 0 {
		t.Fatalf("the others had %d peers, left are %+v", n, table.Counts())
	}
}

// The same info hash is another swarm for each IP version, and each is counted by itself.
func TestFamilies(t *testing.T) {
	table := New(testOptions())
	for i, family := range []uint8{4, 4, 6, 4, 6, 0} {
		a := Announce{Key: Key{testID('h', i%2), family}, Peer: testID('p', i), Left: LeftZero}
		table.Announce(0, &a, nil)
	}
	f := func(family uint8, torrents, peers int) {
		t.Helper()
		if gotTorrents, gotPeers := table.CountsByFamily(family); gotTorrents != torrents || gotPeers != peers {
			t.Fatalf("family %d: %d torrents, %d peers, want %d, %d", family, gotTorrents, gotPeers, torrents, peers)
		}
	}
	f(4, 2, 3)
	f(6, 1, 2)
	f(0, 1, 1)
	table.Gone(Addr{})
	f(4, 0, 0)
	f(6, 0, 0)
	f(0, 0, 0)
}

// A sweep touches no more than its budget, goes on where it stopped, and ends when a pass is done;
// peers turn quiet and go at their very second.
func TestSweep(t *testing.T) {
	const peers, budget = 100, 7
	table := New(testOptions())
	for i := range peers {
		a := Announce{Key: Key{Hash: testID('h', i%9)}, Peer: testID('p', i), From: Addr{Index: uint32(i)}}
		table.Announce(0, &a, nil)
	}
	f := func(now uint32, quiet, left int) {
		t.Helper()
		total := 0
		for range table.Len()/budget + 1 {
			work := table.Sweep(now, budget)
			if work > budget {
				t.Fatalf("touched %d entries with a budget of %d", work, budget)
			}
			total += work
		}
		if work := table.Sweep(now, budget); work != 0 || total != peers {
			t.Fatalf("touched %d entries in a pass and %d after it", total, work)
		}
		if c := table.Counts(); c.Quiet != quiet || c.Peers != left || c.PeersAgedOut != uint64(peers-left) {
			t.Fatalf("at %d: %+v, want %d quiet of %d", now, c, quiet, left)
		}
	}
	f(179, 0, peers)
	f(180, peers, peers)
	f(1799, peers, peers)
	f(1800, 0, 0)
}

// No record holds a pointer, so that the garbage collector has nothing to scan, and each is as small
// as the package's documentation says.
func TestRecordsAreSmallAndWithoutPointers(t *testing.T) {
	f := func(of reflect.Type, size uintptr) {
		t.Helper()
		if of.Size() != size {
			t.Errorf("%s has %d bytes, want %d", of, of.Size(), size)
		}
		var walk func(reflect.Type)
		walk = func(x reflect.Type) {
			switch x.Kind() {
			case reflect.Struct:
				for i := range x.NumField() {
					walk(x.Field(i).Type)
				}
			case reflect.Array:
				walk(x.Elem())
			case reflect.Bool, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			default:
				t.Errorf("%s holds a %s", of, x)
			}
		}
		walk(of)
	}
	f(reflect.TypeFor[peer](), 40)
	f(reflect.TypeFor[conn](), 20)
	f(reflect.TypeFor[swarm](), 48)
	f(reflect.TypeFor[seats](), 12)
	f(reflect.TypeFor[pending](), 32)
	f(reflect.TypeFor[sender](), 20)
	f(reflect.TypeFor[pageInfo](), 16)
}

// Every status has a name, and an unknown value says so.
func TestStatusNames(t *testing.T) {
	seen := make(map[string]bool)
	for s := range Statuses {
		seen[s.String()] = true
	}
	for s := AnswerRelay; s <= AnswerNoOffer; s++ {
		seen[s.String()] = true
	}
	if len(seen) != 14 || seen[Status(99).String()] || seen[AnswerStatus(99).String()] {
		t.Fatalf("names are %v", seen)
	}
}
