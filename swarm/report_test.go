package swarm

// This file proves which torrents are reported to the directory of a cluster, with which counts, and when.

import (
	"encoding/binary"
	"slices"
	"testing"
)

// clusterOptions are those of testOptions for a node among others.
func clusterOptions() Options {
	o := testOptions()
	o.Cluster = true
	return o
}

// reports returns what a table reports, at most so many, and whether there is more.
func reports(table *Table, all bool, most int) (list []Presence, more bool) {
	more = table.Report(all, most, func(p *Presence) bool {
		list = append(list, *p)
		return true
	})
	return list, more
}

// Each change of a torrent's counts is reported once, with the counts of that moment: peers that come, change side, become
// quiet, announce again and go. Announces that change nothing are not reported.
func TestChangesAreReported(t *testing.T) {
	table := New(clusterOptions())
	key := announceOf(1, 1, LeftMore, EventUpdate).Key
	f := func(name string, change func(), want ...PeerCounts) {
		t.Helper()
		change()
		if n := table.Counts().Unreported; n != len(want) {
			t.Fatalf("%s: %d torrents wait, want %d", name, n, len(want))
		}
		got, more := reports(table, true, 10)
		for i := range got {
			if got[i].Key != key || len(want) != len(got) || got[i].PeerCounts != want[i] {
				t.Fatalf("%s: got %+v, want %+v", name, got, want)
			}
		}
		if len(got) != len(want) || more {
			t.Fatalf("%s: got %+v, more: %t, want %+v", name, got, more, want)
		}
		p, ok := table.Presence(key)
		if len(want) > 0 && (p.Key != key || p.PeerCounts != want[0] || ok != (want[0] != PeerCounts{})) {
			t.Fatalf("%s: the presence is %+v, %t, want %+v", name, p, ok, want[0])
		}
	}
	announce := func(now uint32, peer int, conn uint32, l Left, e Event) func() {
		return func() {
			a := announceOf(peer, conn, l, e)
			table.Announce(now, &a, nil)
		}
	}
	f("nothing", func() {})
	f("the first leecher", announce(0, 1, 1, LeftMore, EventUpdate), PeerCounts{Leechers: 1, FreshLeechers: 1})
	f("again", announce(1, 1, 1, LeftMore, EventUpdate))
	f("a seeder", announce(100, 2, 2, LeftZero, EventUpdate), PeerCounts{Leechers: 1, FreshLeechers: 1, Seeders: 1, FreshSeeders: 1})
	f("a successor", announce(100, 2, 3, LeftMore, EventUpdate))
	f("complete", announce(100, 1, 1, LeftMore, EventCompleted), PeerCounts{Seeders: 2, FreshSeeders: 2, Downloaded: 1})
	f("quiet", func() { table.Sweep(280, 100) }, PeerCounts{Seeders: 2, Downloaded: 1})
	f("fresh again", announce(290, 2, 2, LeftZero, EventUpdate), PeerCounts{Seeders: 2, FreshSeeders: 1, Downloaded: 1})
	f("a successor with less", func() { table.Gone(addrOf(2)) }, PeerCounts{Seeders: 1, Leechers: 1, Downloaded: 1})
	f("one has gone", announce(290, 2, 3, LeftMore, EventStopped), PeerCounts{Seeders: 1, Downloaded: 1})
	f("all have gone", func() { table.Gone(addrOf(1)) }, PeerCounts{})
	f("nothing more", func() {})
	f("came and went", func() {
		announce(300, 1, 1, LeftMore, EventUpdate)()
		table.Gone(addrOf(1))
	}, PeerCounts{})
	f("came, went and came", func() {
		announce(300, 1, 1, LeftMore, EventUpdate)()
		table.Gone(addrOf(1))
		announce(300, 1, 1, LeftZero, EventUpdate)()
	}, PeerCounts{Seeders: 1, FreshSeeders: 1})
	f("a quiet seeder with a quiet successor", func() {
		announce(400, 1, 2, LeftMore, EventUpdate)()
		table.Sweep(900, 100)
	}, PeerCounts{Seeders: 1})
	f("which has less", func() { table.Gone(addrOf(1)) }, PeerCounts{Leechers: 1})
	f("forbidden", func() {
		table.SetAccess(&Access{Mode: AccessAllow})
		table.Sweep(900, 100)
	}, PeerCounts{})
}

// many lets a peer join each of n torrents.
func many(table *Table, from, n int) {
	a := Announce{Left: LeftMore}
	for i := range uint32(n) {
		i += uint32(from)
		binary.LittleEndian.PutUint32(a.Key.Hash[:], i)
		a.From.Index = i
		table.Announce(0, &a, nil)
	}
}

// numbersOf returns the numbers of the torrents that many has made.
func numbersOf(list []Presence) (numbers []int) {
	for _, p := range list {
		numbers = append(numbers, int(binary.LittleEndian.Uint32(p.Key.Hash[:])))
	}
	return numbers
}

// Torrents that have come or gone are reported before others, both in the order in which they have changed, and without
// these only if they are asked for. A report that finds no room comes first the next time.
func TestOrderOfReports(t *testing.T) {
	table := New(clusterOptions())
	f := func(all bool, most int, wantMore bool, want ...int) {
		t.Helper()
		got, more := reports(table, all, most)
		if !slices.Equal(numbersOf(got), want) || more != wantMore {
			t.Fatalf("got %d, more: %t, want %d, %t", numbersOf(got), more, want, wantMore)
		}
	}
	seeds := func(i uint32) {
		a := Announce{Left: LeftZero, From: Addr{Index: i}}
		binary.LittleEndian.PutUint32(a.Key.Hash[:], i)
		table.Announce(0, &a, nil)
	}
	many(table, 0, 6)
	f(false, 4, true, 0, 1, 2, 3)
	f(false, 0, true)
	f(false, 2, false, 4, 5)
	seeds(4)
	seeds(2)
	seeds(5)
	f(false, 10, false)
	table.Gone(Addr{Index: 2}) // it was noted already: now it is urgent
	table.Gone(Addr{Index: 0})
	f(false, 1, true, 2)
	f(true, 2, true, 0, 4)
	f(true, 2, false, 5)
	f(true, 2, false)

	many(table, 10, 3)
	seeds(1)
	room := 1
	var got []Presence
	refuse := func(p *Presence) bool {
		if room--; room >= 0 {
			got = append(got, *p)
		}
		return room >= 0
	}
	if !table.Report(true, 10, refuse) || !slices.Equal(numbersOf(got), []int{10}) {
		t.Fatalf("with room for one: %d", numbersOf(got))
	}
	many(table, 20, 1)
	f(true, 10, false, 11, 12, 20, 1)
}

// The list of changes is bounded. What is beyond it is missed, which is said once, and can be noted again when there is
// room.
func TestMissedChanges(t *testing.T) {
	table := New(clusterOptions())
	many(table, 0, maxNotes)
	if table.Missed() {
		t.Fatal("a change is missed while there is room")
	}
	many(table, 0, 2) // they are noted
	if table.Missed() {
		t.Fatal("a change is missed of a torrent that is noted")
	}
	many(table, maxNotes, 3)
	if n := table.Counts().Unreported; n != maxNotes || !table.Missed() || table.Missed() {
		t.Fatalf("%d torrents wait, and those that do not are not missed once", n)
	}
	if list, more := reports(table, true, maxNotes+1); len(list) != maxNotes || more {
		t.Fatalf("%d reports, more: %t", len(list), more)
	}
	table.Gone(Addr{Index: maxNotes + 1})
	list, _ := reports(table, false, 10)
	if !slices.Equal(numbersOf(list), []int{maxNotes + 1}) || table.Missed() {
		t.Fatalf("got %d", numbersOf(list))
	}
}

// A node that is alone notes nothing.
func TestNoReportsWithoutCluster(t *testing.T) {
	table := New(testOptions())
	many(table, 0, 3)
	table.Gone(Addr{Index: 1})
	table.SetOptions(clusterOptions()) // too late
	many(table, 3, 3)
	if list, more := reports(table, true, 10); list != nil || more || table.Missed() || table.changes.notes.len() != 0 {
		t.Fatalf("reported are %+v", list)
	}
}

// Peers that another process has handed over are reported.
func TestRestoredPeersAreReported(t *testing.T) {
	table := New(clusterOptions())
	r := table.Restore(500, 10, 0)
	saved := SavedPeer{Key: Key{Hash: testID('h', 1)}, Downloaded: 3, Peer: testID('p', 1), Seeder: true}
	r.Peer(&saved, 0, 0)
	saved.Peer, saved.Age, saved.From.Index = testID('p', 2), 400, 1
	r.Peer(&saved, 0, 0)
	f := func(want PeerCounts) {
		t.Helper()
		if list, _ := reports(table, true, 10); len(list) != 1 || list[0].Key != saved.Key || list[0].PeerCounts != want {
			t.Fatalf("got %+v, want %+v", list, want)
		}
	}
	f(PeerCounts{Seeders: 2, FreshSeeders: 1, Downloaded: 3})
	saved.From.Index, saved.Downloaded, saved.Line = 2, 4, 1 // a successor
	r.Peer(&saved, 0, 0)
	f(PeerCounts{Seeders: 2, FreshSeeders: 1, Downloaded: 4})
}

// checkChanges checks the chains of the torrents that are to be reported, and that each swarm that says so is among them.
func checkChanges(t *testing.T, table *Table) {
	t.Helper()
	c := &table.changes
	n := 0
	for _, of := range []*chain{&c.urgent, &c.others} {
		last := uint32(0)
		for slot := of.oldest; slot != 0; slot = c.notes.at(slot).in.newer {
			x := c.notes.at(slot)
			if x.in.older != last || x.urgent != (of == &c.urgent) {
				t.Fatalf("note %d is %+v, behind %d", slot, x, last)
			}
			k := x.key()
			if s := table.findSwarm(&k); s != 0 && !table.swarms.at(s).noted || s == 0 && !x.urgent {
				t.Fatalf("note %d is %+v, its swarm is in slot %d", slot, x, s)
			}
			n, last = n+1, slot
		}
		if of.newest != last {
			t.Fatalf("the newest note is %d, not %d", of.newest, last)
		}
	}
	noted := 0
	for slot := range table.swarms.high {
		if table.swarms.at(slot + 1).noted {
			noted++
		}
	}
	if n != c.notes.len() || noted > n {
		t.Fatalf("%d notes in chains, %d in the table, %d swarms are noted", n, c.notes.len(), noted)
	}
}
