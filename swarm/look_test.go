package swarm

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// This file compares what the table shows of torrents and connections with the naive model (see model_test.go).

// look looks at all torrents in slices, at one of them, and at one connection.
func (p *pair) look() {
	p.what = func() string { return "look" }
	m := p.model
	torrents := make(map[Key]Torrent)
	for at, first := uint32(0), true; first || at != 0; first = false {
		next := p.table.Torrents(at, 1+p.dice(5), func(s *Torrent) { torrents[s.Key] = *s })
		if next != 0 && next <= at {
			p.fatalf("the place behind %d is %d", at, next)
		}
		at = next
	}
	want := make(map[Key]Torrent)
	for k, s := range m.swarms {
		seeders := uint32(m.count(func(of Key, p *modelPeer) bool { return of == k && p.seeder }))
		want[k] = Torrent{Key: k, Seeders: seeders, Leechers: uint32(len(s.peers)) - seeders, Downloaded: s.downloaded}
	}
	if !maps.Equal(torrents, want) {
		p.fatalf("torrents are %+v, want %+v", torrents, want)
	}
	k := p.key()
	if found, ok := p.table.Torrent(k); found != want[k] || ok != (m.swarms[k] != nil) {
		p.fatalf("the torrent is %+v, %v, want %+v", found, ok, want[k])
	}
	a, _ := p.addr()
	var members, seats []string
	m.each(func(of Key, id ID, r *modelPeer) {
		successor := r != m.peer(of, id)
		line := describeSeat(&Seat{Key: of, Peer: id, From: r.owner, Seen: r.seen, Seeder: r.seeder, Successor: successor})
		if of == k && !successor {
			members = append(members, line)
		}
		if r.owner == a {
			seats = append(seats, line)
		}
	})
	p.compareSeats("members", func(most int) []Seat { return p.table.AppendMembers(nil, k, most) }, members)
	p.compareSeats("seats", func(most int) []Seat { return p.table.AppendSeats(nil, a, most) }, seats)
}

// describeSeat returns a line about a seat, its quietness apart, which the model does not know.
func describeSeat(s *Seat) string {
	return fmt.Sprint(s.Key, s.Peer, s.From, s.Seen, s.Seeder, s.Successor)
}

// compareSeats compares the seats that the table shows, all and at most some of them, with those of the model.
func (p *pair) compareSeats(what string, show func(most int) []Seat, want []string) {
	var got []string
	fresh := true
	for _, s := range show(1 << 20) {
		got = append(got, describeSeat(&s))
		if what == "members" {
			if !fresh && !s.Quiet {
				p.fatalf("a fresh member comes behind a quiet one")
			}
			fresh = !s.Quiet
		}
		if s.Quiet && p.now-s.Seen < p.model.o.MaxPeerAge {
			p.fatalf("%+v is quiet too soon", s)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		p.fatalf("%s are %q, want %q", what, got, want)
	}
	if most := p.dice(3); len(show(most)) != min(most, len(want)) {
		p.fatalf("%d %s, asked for %d of %d", len(show(most)), what, most, len(want))
	}
}

// TestLookAtNothing proves that an empty table has nothing to show, and that a look allocates only the list that it is given
// room for.
func TestLookAtNothing(t *testing.T) {
	table := New(Options{MaxPeers: 1, MaxPeersPerConnection: 1})
	if next := table.Torrents(0, 100, func(*Torrent) { t.Error("a torrent") }); next != 0 {
		t.Errorf("the next place is %d", next)
	}
	if _, ok := table.Torrent(Key{}); ok || len(table.AppendMembers(nil, Key{}, 9))+len(table.AppendSeats(nil, Addr{}, 9)) > 0 {
		t.Error("an empty table shows something")
	}
	table.Announce(1, &Announce{Peer: ID{1}, From: Addr{Gen: 1}}, nil)
	room := make([]Seat, 0, 4)
	if n := testing.AllocsPerRun(10, func() {
		table.AppendMembers(room, Key{}, 9)
		table.AppendSeats(room, Addr{Gen: 1}, 9)
		table.Torrents(0, 9, func(*Torrent) {})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
