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

// reply returns the result of an announce that is no successor's.
func reply(complete, incomplete uint32, s Status) Result {
	return Result{Complete: complete, Incomplete: incomplete, Status: s}
}

// behind returns the result of a successor's announce while a connection has the peer.
func behind(complete, incomplete, owner uint32) Result {
	return Result{Complete: complete, Incomplete: incomplete, Status: StatusSuccessor, Owner: addrOf(owner)}
}

func addrOf(conn uint32) Addr { return Addr{Index: conn, Gen: 7, Shard: 1} }

// announceOf returns an announce without offers. Connections 1 and 11, 2 and 12 and so on are of the
// same client address.
func announceOf(peer int, conn uint32, l Left, e Event) Announce {
	return Announce{
		Key: Key{Hash: testID('h', 1), Family: 4}, Peer: testID('p', peer), Left: l, Event: e,
		From: addrOf(conn), Source: uint64(conn % 10),
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
			got.Seeder = s.want.Seeder // the comparison with the model has it
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
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), reply(1, 0, StatusUpdated), 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), reply(1, 0, StatusUpdated), 0},
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusUpdated), 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventUpdate), reply(0, 1, StatusUpdated), 0})
	f("a seeder that begins with completed has downloaded nothing here",
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), reply(1, 0, StatusAdded), 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), reply(1, 0, StatusUpdated), 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventCompleted), reply(1, 0, StatusUpdated), 0})
	f("completed counts once for each time that a leecher becomes a seeder",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), reply(1, 0, StatusUpdated), 1},
		ruleStep{0, announceOf(1, 1, LeftUnknown, EventCompleted), reply(1, 0, StatusUpdated), 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusUpdated), 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventCompleted), reply(1, 0, StatusUpdated), 2})
	f("left zero without completed is no download",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), reply(1, 0, StatusUpdated), 0},
		ruleStep{0, announceOf(1, 1, LeftZero, EventCompleted), reply(1, 0, StatusUpdated), 0})
	f("stopped removes once, and the swarm with its downloads goes with its last peer",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(2, 1, LeftMore, EventUpdate), reply(0, 2, StatusAdded), 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventCompleted), reply(1, 1, StatusUpdated), 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), reply(1, 0, StatusRemoved), 1},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), reply(1, 0, StatusAbsent), 1},
		ruleStep{0, announceOf(2, 1, LeftZero, EventStopped), reply(0, 0, StatusRemoved), 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventStopped), reply(0, 0, StatusAbsent), 0})
}

// A peer id has one member. Another connection with it is a successor: it changes nothing that others see, gets a normal
// reply, and is the member when the first one has gone, with the state of its own last announce.
func TestSuccessionRules(t *testing.T) {
	f := func(name string, steps ...ruleStep) {
		t.Helper()
		runRule(t, name, testOptions(), steps)
	}
	f("a successor is not counted and completes nothing",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{1, announceOf(1, 2, LeftZero, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{2, announceOf(1, 2, LeftZero, EventCompleted), behind(0, 1, 1), 0},
		ruleStep{3, announceOf(1, 1, LeftZero, EventCompleted), reply(1, 0, StatusUpdated), 1})
	f("the address does not matter",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{1, announceOf(1, 11, LeftMore, EventUpdate), behind(0, 1, 1), 0})
	f("a successor's stop takes only the successor, and nobody else's stop takes anything",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{1, announceOf(1, 2, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{2, announceOf(1, 3, LeftMore, EventStopped), reply(0, 1, StatusNotOwner), 0},
		ruleStep{2, announceOf(1, 2, LeftMore, EventStopped), reply(0, 1, StatusRemoved), 0},
		ruleStep{3, announceOf(1, 2, LeftMore, EventStopped), reply(0, 1, StatusNotOwner), 0},
		ruleStep{4, announceOf(1, 1, LeftMore, EventStopped), reply(0, 0, StatusRemoved), 0})
	f("when the member stops, the oldest successor takes its place as what it was last",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{1, announceOf(1, 2, LeftZero, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{2, announceOf(1, 3, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{3, announceOf(1, 1, LeftMore, EventStopped), reply(1, 0, StatusRemoved), 0},
		ruleStep{4, announceOf(1, 3, LeftUnknown, EventUpdate), behind(1, 0, 2), 0},
		ruleStep{5, announceOf(1, 2, LeftZero, EventStopped), reply(0, 1, StatusRemoved), 0},
		ruleStep{6, announceOf(1, 3, LeftUnknown, EventUpdate), reply(0, 1, StatusUpdated), 0})
	f("a successor that does not say what it is is what the member was",
		ruleStep{0, announceOf(1, 1, LeftZero, EventUpdate), reply(1, 0, StatusAdded), 0},
		ruleStep{1, announceOf(1, 2, LeftUnknown, EventUpdate), behind(1, 0, 1), 0},
		ruleStep{2, announceOf(1, 1, LeftMore, EventStopped), reply(1, 0, StatusRemoved), 0})
	f("a peer has so many successors and no more",
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(1, 2, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{0, announceOf(1, 3, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{0, announceOf(1, 4, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{0, announceOf(1, 5, LeftMore, EventCompleted), reply(0, 1, StatusNotOwner), 0},
		ruleStep{0, announceOf(1, 4, LeftMore, EventUpdate), behind(0, 1, 1), 0})
}

// The member's end, of whatever kind, leaves the peer to its oldest successor. A connection that yields becomes a
// successor and gets its peers back when the others have gone.
func TestHandOver(t *testing.T) {
	f := func(name string, end func(table *Table), back bool) {
		t.Helper()
		table := New(testOptions())
		owner := func() uint32 {
			t.Helper()
			checkTable(t, table)
			other := announceOf(2, 9, LeftMore, EventUpdate)
			other.Offers = make([]ID, 1)
			_, targets := table.Announce(1700, &other, nil)
			if c := table.Counts(); len(targets) != 1 || c.Peers != 2 {
				t.Fatalf("%s: %d targets, counts %+v", name, len(targets), c)
			}
			return targets[0].To.Index
		}
		for i, now := range []uint32{0, 1700, 1701} {
			a := announceOf(1, 1+uint32(i), LeftMore, EventUpdate)
			table.Announce(now, &a, nil)
		}
		if got := owner(); got != 1 {
			t.Fatalf("%s: the offer went to connection %d, want 1", name, got)
		}
		end(table)
		if got := owner(); got != 2 {
			t.Fatalf("%s: the offer went to connection %d, want 2", name, got)
		}
		table.Gone(addrOf(2))
		if got := owner(); got != 3 {
			t.Fatalf("%s: the offer went to connection %d, want 3", name, got)
		}
		last := table.Gone(addrOf(3))
		if c := table.Counts(); last != 1 || c.Successors != 0 || (c.Peers == 2) != back {
			t.Fatalf("%s: counts are %+v", name, c)
		}
		if back && owner() != 1 {
			t.Fatalf("%s: the peer is not the first connection's again", name)
		}
	}
	f("stopped", func(table *Table) {
		a := announceOf(1, 1, LeftMore, EventStopped)
		table.Announce(1701, &a, nil)
	}, false)
	f("closed", func(table *Table) { table.Gone(addrOf(1)) }, false)
	f("aged out", func(table *Table) { table.Sweep(1801, table.Len()) }, false)
	f("yielded", func(table *Table) {
		if n := table.Yield(addrOf(1)); n != 1 {
			t.Fatalf("the connection has %d peers, want 1", n)
		}
		if table.Yield(addrOf(1)); table.Yield(addrOf(9))+table.Yield(addrOf(99)) != 1 || table.Counts().PeersHandedOver != 1 {
			t.Fatalf("peers without successors are handed over: %+v", table.Counts())
		}
	}, true)
}

// Two connections with one peer id each get the answers to their own offers, while both are there and after one has
// taken the other's place; and neither gets an offer of its own peer id.
func TestAnswersGoToTheConnectionThatOffered(t *testing.T) {
	table := New(testOptions())
	key := announceOf(0, 0, LeftMore, EventUpdate).Key
	offer := func(peer int, conn uint32, id int) {
		t.Helper()
		a := announceOf(peer, conn, LeftMore, EventUpdate)
		a.Offers = []ID{testID('o', id), testID('x', id)}
		if _, targets := table.Announce(0, &a, nil); len(targets) != 1 || targets[0].To != addrOf(9) {
			t.Fatalf("targets of connection %d are %v", conn, targets)
		}
	}
	answer := func(id int, want uint32, status AnswerStatus) {
		t.Helper()
		a := Answer{Key: key, Peer: testID('p', 9), From: addrOf(9), To: testID('p', 1), Offer: testID('o', id)}
		to, s := table.Answer(1, &a)
		if s != status || s == AnswerRelay && to != addrOf(want) {
			t.Fatalf("answer %d: %s to %+v, want %s to connection %d", id, s, to, status, want)
		}
	}
	receiver := announceOf(9, 9, LeftMore, EventUpdate)
	table.Announce(0, &receiver, nil)
	for id := range 4 {
		offer(1, 1, 10+id)
		offer(1, 2, 20+id)
		offer(1, 3, 30+id)
	}
	offer(1, 3, 40) // the same offer from two connections: the older record is asked first
	offer(1, 2, 40)
	answer(10, 1, AnswerRelay)
	answer(20, 2, AnswerRelay)
	answer(30, 3, AnswerRelay)
	answer(40, 2, AnswerRelay)
	table.Yield(addrOf(1))
	answer(11, 1, AnswerRelay)
	answer(21, 2, AnswerRelay)
	table.Gone(addrOf(2))
	answer(12, 1, AnswerRelay)
	answer(22, 0, AnswerNoOffer)
	answer(32, 3, AnswerRelay)
	table.Gone(addrOf(1))
	answer(13, 0, AnswerNoOffer)
	answer(33, 3, AnswerRelay)
	answer(40, 3, AnswerRelay)
}

// A full connection and a full table refuse new peers, and nothing else.
func TestLimitRules(t *testing.T) {
	f := func(name string, change func(*Options), steps ...ruleStep) {
		t.Helper()
		o := testOptions()
		change(&o)
		runRule(t, name, o, steps)
	}
	f("a full connection gets no more, as member or as successor", func(o *Options) { o.MaxPeersPerConnection = 1 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(2, 2, LeftMore, EventUpdate), reply(0, 2, StatusAdded), 0},
		ruleStep{0, announceOf(3, 1, LeftZero, EventUpdate), reply(0, 2, StatusConnectionFull), 0},
		ruleStep{0, announceOf(2, 1, LeftMore, EventUpdate), reply(0, 2, StatusConnectionFull), 0},
		ruleStep{0, announceOf(2, 3, LeftMore, EventUpdate), behind(0, 2, 2), 0},
		ruleStep{0, announceOf(3, 3, LeftMore, EventUpdate), reply(0, 2, StatusConnectionFull), 0},
		ruleStep{0, announceOf(2, 2, LeftMore, EventStopped), reply(0, 2, StatusRemoved), 0},
		ruleStep{0, announceOf(3, 3, LeftMore, EventUpdate), reply(0, 2, StatusConnectionFull), 0},
		ruleStep{0, announceOf(3, 2, LeftZero, EventUpdate), reply(1, 2, StatusAdded), 0})
	f("a full table takes none in", func(o *Options) { o.MaxPeers = 2 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(1, 2, LeftMore, EventUpdate), behind(0, 1, 1), 0},
		ruleStep{0, announceOf(2, 2, LeftMore, EventUpdate), reply(0, 1, StatusTableFull), 0},
		ruleStep{0, announceOf(1, 3, LeftMore, EventUpdate), reply(0, 1, StatusTableFull), 0},
		ruleStep{0, announceOf(1, 2, LeftMore, EventUpdate), behind(0, 1, 1), 0})
	f("a connection gets no more peer ids in one torrent, but others do", func(o *Options) { o.MaxIDsPerTorrent = 2 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, announceOf(2, 1, LeftZero, EventUpdate), reply(1, 1, StatusAdded), 0},
		ruleStep{0, announceOf(3, 1, LeftZero, EventUpdate), reply(1, 1, StatusTooManyIDs), 0},
		ruleStep{0, announceOf(2, 1, LeftMore, EventUpdate), reply(0, 2, StatusUpdated), 0},
		ruleStep{0, announceOf(3, 2, LeftMore, EventUpdate), reply(0, 3, StatusAdded), 0},
		ruleStep{0, announceOf(1, 1, LeftMore, EventStopped), reply(0, 2, StatusRemoved), 0},
		ruleStep{0, announceOf(4, 1, LeftMore, EventUpdate), reply(0, 3, StatusAdded), 0})
	full := func(a Announce) Announce {
		a.Full = true
		return a
	}
	f("a full address gets no more, as member or as successor, but keeps its peers", func(*Options) {},
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 1, StatusAdded), 0},
		ruleStep{0, full(announceOf(1, 1, LeftZero, EventUpdate)), reply(1, 0, StatusUpdated), 0},
		ruleStep{0, full(announceOf(2, 1, LeftMore, EventUpdate)), reply(1, 0, StatusAddressFull), 0},
		ruleStep{0, full(announceOf(1, 2, LeftMore, EventUpdate)), reply(1, 0, StatusAddressFull), 0},
		ruleStep{0, full(announceOf(1, 1, LeftMore, EventStopped)), reply(0, 0, StatusRemoved), 0},
		ruleStep{0, full(announceOf(1, 1, LeftMore, EventUpdate)), reply(0, 0, StatusAddressFull), 0})
	f("no peer id fits where none may", func(o *Options) { o.MaxIDsPerTorrent = 0 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 0, StatusTooManyIDs), 0})
	f("nothing fits where nothing may", func(o *Options) { o.MaxPeersPerConnection = 0 },
		ruleStep{0, announceOf(1, 1, LeftMore, EventUpdate), reply(0, 0, StatusConnectionFull), 0})
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

// A connection that closes takes only its own peers with it: not those that have a successor, not
// those of the next connection in the same place, and not those of a namesake of another shard.
func TestGone(t *testing.T) {
	table := New(testOptions())
	announce := func(hash, peer int, from Addr) {
		t.Helper()
		a := Announce{Key: Key{Hash: testID('h', hash)}, Peer: testID('p', peer), From: from}
		if r, _ := table.Announce(0, &a, nil); r.Status != StatusAdded && r.Status != StatusSuccessor {
			t.Fatalf("announce from %+v: %s", from, r.Status)
		}
	}
	first, next, other := Addr{Index: 5, Gen: 1}, Addr{Index: 5, Gen: 2}, Addr{Index: 5, Gen: 1, Shard: 3}
	announce(1, 1, first)
	announce(1, 2, first)
	announce(2, 1, first)
	announce(3, 1, first)
	announce(3, 1, next)
	announce(3, 2, other)
	if n := table.Counts().Connections; n != 3 {
		t.Fatalf("%d connections, want 3", n)
	}
	for i, want := range []int{4, 0} {
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
	f(reflect.TypeFor[note](), 32)
	f(reflect.TypeFor[away](), 36)
	f(reflect.TypeFor[guest](), 32)
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
	if len(seen) != 15 || seen[Status(99).String()] || seen[AnswerStatus(99).String()] {
		t.Fatalf("names are %v", seen)
	}
}

// The address of a connection of another node names none of this one, whatever its other numbers are, and such a
// connection cannot have peers here.
func TestAddressOfAnotherNode(t *testing.T) {
	table := New(testOptions())
	a := announceOf(1, 1, LeftZero, EventUpdate)
	table.Announce(0, &a, nil)
	far := a.From
	far.Node = 1
	if n, m, seats := table.Gone(far), table.Yield(far), table.AppendSeats(nil, far, 9); n != 0 || m != 0 || seats != nil {
		t.Fatalf("%d peers are gone, %d yielded, and there are %v", n, m, seats)
	}
	stop := a
	stop.From, stop.Event = far, EventStopped
	if r, _ := table.Announce(0, &stop, nil); r.Status != StatusNotOwner {
		t.Fatalf("the end of a peer: %s", r.Status)
	}
	answer := Answer{Key: a.Key, Peer: a.Peer, From: far, To: a.Peer}
	if _, status := table.Answer(0, &answer); status != AnswerNotPeer {
		t.Fatalf("an answer: %s", status)
	}
	defer func() {
		if recover() == nil {
			t.Error("a connection of another node has a peer")
		}
	}()
	a.From = far
	table.Announce(0, &a, nil)
}
