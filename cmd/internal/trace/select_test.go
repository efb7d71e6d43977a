package trace

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// This file proves how records of several shards are put in order and found.

// story is what two shards wrote about two clients: one behind a proxy whose announce shard 1 serves, and one that is
// on shard 1 and has a slot of the same number.
func story() []Record {
	proxied, direct := Conn{Index: 17, Gen: 3, Shard: 0}, Conn{Index: 17, Gen: 5, Shard: 1}
	zero := Copy{Records: []Record{
		{At: 1, N: 0, Event: Accepted, Conn: proxied, Client: address("10.0.0.1"), Port: 1},
		{At: 2, N: 1, Event: Identified, Conn: proxied, Client: address("192.0.2.1"), Port: 2},
		{At: 4, N: 2, Event: Announce, Conn: proxied, Client: address("192.0.2.1"), Port: 2, Decision: Mailed, To: 1},
		{At: 8, N: 3, Event: Closed, Conn: proxied, Client: address("192.0.2.1"), Port: 2},
	}}
	one := Copy{Records: []Record{
		{At: 3, N: 4, By: 1, Event: Accepted, Conn: direct, Client: address("2001:db8::1"), Port: 3},
		{At: 4, N: 5, By: 1, Event: Mail, Conn: proxied, Decision: Served},
		{At: 5, N: 6, By: 1, Event: Order},
		{At: 9, N: 7, By: 1, Event: Accepted, Conn: Conn{Index: 17, Gen: 6, Shard: 1}, Client: address("2001:db8::2")},
	}}
	return Merge(zero, one)
}

func address(text string) [16]byte { return netip.MustParseAddr(text).As16() }

// numbers returns the numbers that story gives its records.
func numbers(records []Record) []uint32 {
	all := []uint32{}
	for k := range records {
		all = append(all, records[k].N)
	}
	return all
}

// TestMerge proves that records of several shards are ordered by time, and those of one time by shard.
func TestMerge(t *testing.T) {
	if got, want := numbers(story()), []uint32{0, 1, 4, 2, 5, 6, 3, 7}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := Merge(); len(got) != 0 {
		t.Errorf("got %+v of no shard", got)
	}
}

// TestSelect proves that a filter finds its records, the last n of them, and that an address finds the whole story of
// its connections, on all shards.
func TestSelect(t *testing.T) {
	f := func(filter Filter, n int, want ...uint32) {
		t.Helper()
		if got := numbers(Select(story(), filter, n)); !slices.Equal(got, want) {
			t.Errorf("%+v: got %d, want %d", filter, got, want)
		}
	}
	prefix := netip.MustParsePrefix
	f(Filter{}, 100, 0, 1, 4, 2, 5, 6, 3, 7)
	f(Filter{}, 3, 6, 3, 7)
	f(Filter{}, 0)
	f(Filter{Client: prefix("192.0.2.1/32")}, 100, 0, 1, 2, 5, 3)
	f(Filter{Client: prefix("192.0.2.1/32")}, 2, 5, 3)
	f(Filter{Client: prefix("10.0.0.0/8")}, 100, 0, 1, 2, 5, 3)
	f(Filter{Client: prefix("192.0.2.2/32")}, 100)
	f(Filter{Client: prefix("2001:db8::/32")}, 100, 4, 7)
	f(Filter{Client: prefix("::/0")}, 100, 4, 7)
	f(Filter{Index: new(uint32(17))}, 100, 0, 1, 4, 2, 5, 3, 7)
	f(Filter{Index: new(uint32(17)), Shard: new(uint32(0))}, 100, 0, 1, 2, 5, 3)
	f(Filter{Index: new(uint32(17)), Gen: new(uint32(5))}, 100, 4)
	f(Filter{Shard: new(uint32(1))}, 100, 4, 7)
	f(Filter{Shard: new(uint32(0))}, 100, 0, 1, 2, 5, 6, 3)
	f(Filter{Index: new(uint32(0))}, 100) // a record without a connection is not of connection 0
	f(Filter{Event: Accepted}, 100, 0, 4, 7)
	f(Filter{Event: Mail, Client: prefix("192.0.2.1/32")}, 100, 5)
	f(Filter{Event: Scrape}, 100)
}

// TestSelectKeepsRecords proves that what Select returns stays when the records are overwritten.
func TestSelectKeepsRecords(t *testing.T) {
	all := story()
	found := Select(all, Filter{}, 100)
	all[0].At = time.Hour
	if found[0].At != 1 {
		t.Error("the records are shared")
	}
}
