package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// This file tests the questions and orders of an operator about one address.

// TestOperatorBan proves that an address that is banned gets no new connection until the ban is over or taken back, that an
// IPv6 address is banned with its /64 and no further, and that others and exempt ones are not.
func TestOperatorBan(t *testing.T) {
	table := New(Options{Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Entries: 1024})
	f := func(now time.Duration, addr string, want Verdict) {
		t.Helper()
		r, v := table.Enter(ip(addr), now)
		if v != want {
			t.Errorf("at %v: %s is %v, want %v", now, addr, v, want)
		}
		if v == Admitted {
			table.Leave(r)
		}
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		if err := table.Ban(ip(addr), time.Minute, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	f(2*time.Second, "192.0.2.1", Banned)
	f(2*time.Second, "::ffff:192.0.2.1", Banned)
	f(2*time.Second, "192.0.2.2", Admitted)
	f(2*time.Second, "2001:db8::2", Banned)
	f(2*time.Second, "2001:db8:0:1::1", Admitted)
	if u, ok := table.Usage(ip("192.0.2.1"), 31*time.Second); !ok || u.Banned != 30*time.Second {
		t.Errorf("%+v, %v", u, ok)
	}
	f(time.Minute+2*time.Second, "192.0.2.1", Admitted)
	if !table.Unban(ip("2001:db8::3"), 3*time.Second) || table.Unban(ip("2001:db8::3"), 3*time.Second) || table.Unban(ip("192.0.2.9"), 0) {
		t.Error("a ban that was taken back is still there, or one was taken back that never was")
	}
	f(4*time.Second, "2001:db8::1", Admitted)
	if err := table.Ban(ip("10.1.2.3"), time.Minute, 0); !errors.Is(err, ErrExempt) {
		t.Error(err)
	}
	if st := table.Stats(2 * time.Second); st.Banned != 1 || st.Bans != 2 || table.Banned(2*time.Second) != 1 || table.Refusals() != 3 {
		t.Errorf("%+v", st)
	}
}

// TestOperatorBanWhenFull proves that a ban never hits addresses that share an entry because the table is full.
func TestOperatorBanWhenFull(t *testing.T) {
	table := New(Options{Entries: 64})
	for k := range 2000 {
		table.Enter(netip.AddrFrom4([4]byte{10, 1, byte(k >> 8), byte(k)}), 0)
	}
	full := 0
	for k := range 100 {
		switch err := table.Ban(ip(fmt.Sprintf("192.0.2.%d", k)), time.Hour, 0); {
		case errors.Is(err, ErrFull):
			full++
		case err != nil:
			t.Error(err)
		}
	}
	if full != 100 {
		t.Errorf("%d of 100 addresses could not be banned", full)
	}
	if st := table.Stats(0); st.Banned != 0 {
		t.Errorf("%+v", st)
	}
}

// TestUsage proves that an address shows what it uses, and that one of which nothing is known shows nothing.
func TestUsage(t *testing.T) {
	table := New(Options{Limits: Limits{Offences: 100, Ban: time.Minute}})
	a := ip("192.0.2.1")
	if _, ok := table.Usage(a, 0); ok {
		t.Error("an address that never came is known")
	}
	r, _ := table.Enter(a, 0)
	table.Enter(a, 0)
	table.Handshake(r, 0)
	table.CountPeers(r.Origin(), 3)
	table.HalfBuilt(r, 40, 40)
	table.Unsent(r, 50)
	table.Offence(r, 0)
	if u, ok := table.Usage(a, 0); !ok || u != (Usage{Connections: 2, Peers: 3, Handshakes: 1, HalfBuilt: 40, Unsent: 50, Offences: 1}) {
		t.Errorf("%+v, %v", u, ok)
	}
}
