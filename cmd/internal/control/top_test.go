package control

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/trace"
	"millrace/swarm"
)

// This file proves how the use of connections is summed up and sorted, and how a trace goes on. Package main asks a whole
// tracker.

// TestByAddress proves that the connections of an address are one row, IPv6 ones by their /64, and that rows come in the order
// that is asked for.
func TestByAddress(t *testing.T) {
	at := func(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
	rates := []rate{
		{swarm.Addr{Index: 1}, at("192.0.2.1:1"), 1, 10, 100, 0},
		{swarm.Addr{Index: 2}, at("[2001:db8::1]:1"), 2, 20, 200, 0},
		{swarm.Addr{Index: 3}, at("192.0.2.1:2"), 4, 40, 0, 5},
		{swarm.Addr{Index: 4}, at("[2001:db8::ffff:0:0:2]:1"), 8, 0, 0, 0},
		{swarm.Addr{Index: 5, Gen: 7, Shard: 2}, at("192.0.2.9:1"), 7, 1, 1, 0},
	}
	f := func(rows []ctl.UsageRow, n int, by, want string) {
		t.Helper()
		got := ""
		for _, r := range largest(rows, n, orders[by]) {
			got += fmt.Sprintf("%s%s %d: %v %v %v %v; ", r.Client, r.Connection, r.Connections, r.Messages, r.Received, r.Sent, r.Dropped)
		}
		if got != want {
			t.Errorf("by %s: %s\nwant %s", by, got, want)
		}
	}
	f(byAddress(rates), 9, "messages", "2001:db8::/64 2: 10 20 200 0; 192.0.2.9 1: 7 1 1 0; 192.0.2.1 2: 5 50 100 5; ")
	f(byAddress(rates), 2, "bytes", "2001:db8::/64 2: 10 20 200 0; 192.0.2.1 2: 5 50 100 5; ")
	f(byAddress(rates), 1, "drops", "192.0.2.1 2: 5 50 100 5; ")
	f(byConnection(rates), 2, "messages", "[2001:db8::ffff:0:0:2]:10/4.0 1: 8 0 0 0; 192.0.2.9:12/5.7 1: 7 1 1 0; ")
}

// TestTorrentRates proves that announces and answers count once, where they came, over the time that a shard remembers.
func TestTorrentRates(t *testing.T) {
	a, b := [8]byte{1}, [8]byte{2}
	record := func(at time.Duration, e trace.Event, hash [8]byte) trace.Record {
		return trace.Record{At: at, Event: e, Hash: hash}
	}
	copies := []trace.Copy{
		{Records: []trace.Record{
			record(10*time.Second, trace.Announce, a), record(11*time.Second, trace.Answer, a), record(12*time.Second, trace.Mail, a),
			record(13*time.Second, trace.Closed, [8]byte{}),
		}},
		{},
		{Records: []trace.Record{record(19*time.Second, trace.Announce, a), record(19*time.Second, trace.Announce, b)}},
	}
	got := torrentRates(copies, 20*time.Second)
	if got[a] != 1.2 || got[b] != 1 || len(got) != 2 {
		t.Errorf("%v", got)
	}
	if named := mostFrequent(got, 1); len(named) != 1 || !named[a] {
		t.Errorf("%v", named)
	}
}

// TestCutTo proves that a trace goes on behind the records that were shown, and that a place of another tracker is refused.
func TestCutTo(t *testing.T) {
	f := func(since string, fresh int, missed uint64, ok bool) {
		t.Helper()
		copies := []trace.Copy{{Records: make([]trace.Record, 4), Added: 10}, {Records: make([]trace.Record, 2), Added: 2}}
		got, err := cutTo(copies, since)
		if n := len(copies[0].Records) + len(copies[1].Records); (err == nil) != ok || ok && (n != fresh || got != missed) {
			t.Errorf("%q: %d fresh, %d missed, %v", since, n, got, err)
		}
	}
	f("10,2", 0, 0, true)
	f("9,0", 3, 0, true)
	f("3,2", 4, 3, true)
	f("11,2", 0, 0, false)
	f("10", 0, 0, false)
	f("10,x", 0, 0, false)
	f("10,2,3", 0, 0, false)
}

// TestNetworkOf proves what a ban of an address is about, and how that is written.
func TestNetworkOf(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := nameOf(networkOf(netip.MustParsePrefix(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	f("192.0.2.1/32", "192.0.2.1")
	f("2001:db8:1:2:3::4/128", "2001:db8:1:2::/64")
	f("192.0.2.0/24", "192.0.2.0/24")
}
