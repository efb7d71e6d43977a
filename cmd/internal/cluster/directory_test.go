package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file proves whom the directory tells, and when, and what it forgets.

// script is a directory whose words are written down.
type script struct {
	t *testing.T
	directory
	now  time.Duration
	dead map[uint16]bool
	said []string
	home bool
}

// newScript has a refresh of 100 s: answers each 12.5 s, doubt after 80 s, the end after 250 s.
func newScript(t *testing.T, limits Limits) *script {
	s := &script{t: t, now: time.Hour, dead: make(map[uint16]bool), home: true}
	s.directory = newDirectory(&Options{Refresh: 100 * time.Second, Limits: limits.orDefault()}, func(n uint16) bool { return !s.dead[n] }, s.hear)
	s.scanned = s.now
	return s
}

func (s *script) hear(e *entry, to *stay, quiet bool) {
	text := fmt.Sprintf("%d:", to.node)
	s.others(e, to.node, func(o *stay) { text += fmt.Sprintf(" %d=%d+%d", o.node, o.Seeders, o.Leechers) })
	if quiet {
		text += " quiet"
	}
	s.said = append(s.said, text)
}

// report lets a node report a torrent, and returns what is said after it.
func (s *script) report(node uint16, torrent byte, c record.Counts, first bool) string {
	s.directory.report(s.now, node, &record.Presence{Key: swarm.Key{Hash: swarm.ID{torrent}}, Counts: c, First: first})
	return s.fetch()
}

func (s *script) fetch() string {
	slices.Sort(s.said)
	said := strings.Join(s.said, "; ")
	s.said = nil
	return said
}

// pass lets time pass.
func (s *script) pass(d time.Duration) string {
	for end := s.now + d; s.now < end; {
		s.now += 100 * time.Millisecond
		s.directory.tick(s.now, true, func(*swarm.ID) bool { return s.home })
	}
	return s.fetch()
}

func (s *script) want(want, got string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("said: %q, want %q", got, want)
	}
}

// TestDirectoryTells proves whom the directory tells of a report: the node itself if it is new, asks or was not told for a while; the others
// of each change, at once if a node has come or gone or nothing was told for a second, else with the changes of that second.
func TestDirectoryTells(t *testing.T) {
	s := newScript(t, Limits{})
	s.want("1: quiet", s.report(1, 1, peers(1, 0), true))
	s.want("", s.report(1, 1, peers(1, 0), false))
	s.want("1: quiet", s.report(1, 1, peers(1, 0), true))
	s.want("1: 2=0+1; 2: 1=1+0 quiet", s.report(2, 1, peers(0, 1), true))
	s.want("1: 2=0+1 3=4+0; 2: 1=1+0 3=4+0; 3: 1=1+0 2=0+1", s.report(3, 1, peers(4, 0), false))
	s.want("", s.report(3, 1, peers(5, 0), false))
	s.want("", s.report(3, 1, peers(6, 0), false))
	s.want("", s.report(2, 1, peers(0, 2), false))
	s.want("", s.pass(900*time.Millisecond))
	s.want("1: 2=0+2 3=6+0; 2: 1=1+0 3=6+0; 3: 1=1+0 2=0+2", s.pass(100*time.Millisecond))
	s.want("", s.pass(time.Second))
	s.want("1: 2=0+3 3=6+0; 3: 1=1+0 2=0+3", s.report(2, 1, peers(0, 3), false))
	s.want("1: 3=6+0; 3: 1=1+0", s.report(2, 1, peers(0, 0), false))
	s.want("", s.report(2, 1, peers(0, 0), false))
	s.want("", s.report(2, 2, peers(0, 0), false))
	s.pass(12 * time.Second)
	s.want("", s.report(1, 1, peers(1, 0), false))
	s.pass(time.Second)
	s.want("1: 3=6+0", s.report(1, 1, peers(1, 0), false))
	s.dead[3] = true
	s.want("1: 4=1+1; 4: 1=1+0", s.report(4, 1, peers(1, 1), false))
	if s.stays != 2 || len(s.entries) != 1 {
		t.Errorf("there are %d stays in %d entries", s.stays, len(s.entries))
	}
	s.report(1, 1, record.Counts{}, false)
	s.want("", s.report(4, 1, record.Counts{}, false))
	if s.stays != 0 || len(s.entries) != 0 || len(s.index) != 0 {
		t.Errorf("there are %d stays in %d entries", s.stays, len(s.entries))
	}
}

// TestDirectoryDoubts proves that a node which has been silent about a torrent is told of the others, so that it may deny it, if this is its
// home; that it is forgotten in the end, and the others are told; and that those of dead nodes are forgotten soon.
func TestDirectoryDoubts(t *testing.T) {
	s := newScript(t, Limits{})
	for torrent := range byte(50) {
		s.report(1, torrent, peers(1, 0), false)
		s.report(2, torrent, peers(2, 0), false)
	}
	s.want("", s.pass(79*time.Second))
	for torrent := range byte(50) {
		s.report(1, torrent, peers(1, 0), false)
	}
	s.fetch()
	if got := strings.Count(s.pass(9*time.Second), "2: 1=1+0"); got != 50 {
		t.Errorf("a node was asked %d times about 50 torrents of which it told nothing", got)
	}
	if got := strings.Count(s.pass(19*time.Second), "2: 1=1+0"); got != 50 {
		t.Errorf("it was asked again %d times", got)
	}
	s.home = false
	s.want("", s.pass(60*time.Second))
	for torrent := range byte(50) {
		s.report(1, torrent, peers(1, 0), false)
	}
	s.fetch()
	if s.stays != 100 {
		t.Errorf("there are %d stays", s.stays)
	}
	said := s.pass(100 * time.Second)
	if s.stays != 50 || strings.Count(said, "1:") != 50 {
		t.Errorf("there are %d stays, and it was said: %s", s.stays, said)
	}
	s.dead[1] = true
	s.want("", s.pass(13*time.Second))
	if s.stays != 0 || len(s.entries) != 0 {
		t.Errorf("there are %d stays of a dead node", s.stays)
	}
}

// TestDirectoryIsBounded proves that stays beyond the bound are refused while those that are there go on; and that changes beyond their bound
// are told at once.
func TestDirectoryIsBounded(t *testing.T) {
	s := newScript(t, Limits{Stays: 3, Dirty: 1})
	add := func(node uint16, torrent byte, n uint32) bool {
		return s.directory.report(s.now, node, &record.Presence{Key: swarm.Key{Hash: swarm.ID{torrent}}, Counts: peers(n, 0)})
	}
	if !add(1, 1, 1) || !add(2, 1, 1) || !add(1, 2, 1) || add(2, 2, 1) || add(1, 3, 1) || !add(1, 1, 2) || !add(1, 2, 2) {
		t.Error("other stays than the first three are there")
	}
	if s.stays != 3 || len(s.entries) != 2 || len(s.dirty) != 1 {
		t.Errorf("%d stays, %d entries, %d changes", s.stays, len(s.entries), len(s.dirty))
	}
	s.fetch()
	add(0, 1, 0)
	add(2, 1, 0)
	if !add(2, 2, 1) {
		t.Error("there is no room after one has gone")
	}
	s.want("1: 2=1+0; 2: 1=2+0", s.fetch()[len("1:; "):])
	add(2, 2, 5)
	s.want("1: 2=5+0", s.fetch())
}

// TestSum proves that a scrape gets the sum over all live nodes but the asking one, of its IP version.
func TestSum(t *testing.T) {
	s := newScript(t, Limits{})
	key := swarm.Key{Hash: swarm.ID{1}, Family: 4}
	for n, c := range []record.Counts{{Seeders: 1, Leechers: 2, Downloaded: 3}, {Seeders: 10, Downloaded: 1 << 31}, {Leechers: 20, Downloaded: 1 << 31}, {Seeders: 99}} {
		s.directory.report(s.now, uint16(n), &record.Presence{Key: key, Counts: c})
	}
	s.dead[3] = true
	f := func(but uint16, want string) {
		t.Helper()
		f, ok := s.sum(key, but)
		if got := fmt.Sprint(f.Seeders, f.Leechers, f.Downloaded, ok); got != want {
			t.Errorf("the sum without node %d is %s, want %s", but, got, want)
		}
	}
	f(9, "11 22 4294967295 true")
	f(0, "10 20 4294967295 true")
	f(2, "11 2 2147483651 true")
	key.Family = 6
	f(9, "0 0 0 false")
}
