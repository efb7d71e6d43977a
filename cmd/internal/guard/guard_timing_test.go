package guard

// This file measures what an address costs.

import (
	"net/netip"
	"testing"
	"time"
)

// BenchmarkEnter measures a connection that comes and goes, of an IPv4 and of an IPv6 address.
func BenchmarkEnter(b *testing.B) {
	for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
		b.Run(address, func(b *testing.B) {
			table, a := New(Options{Limits: Limits{Connections: 10}, Entries: 1 << 16}), netip.MustParseAddr(address)
			b.ReportAllocs()
			for b.Loop() {
				r, _ := table.Enter(a, time.Hour)
				table.Leave(r)
			}
		})
	}
}

// BenchmarkSaveAndRestore measures the way of 50,000 banned addresses into another table.
func BenchmarkSaveAndRestore(b *testing.B) {
	o := Options{Entries: 1 << 18, Secret: NewSecret()}
	old := New(o)
	for k := range 50_000 {
		_ = old.Ban(netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k)}), time.Hour, 0)
	}
	for b.Loop() {
		table := New(o)
		old.Save(0, func(s *Saved) { table.Restore(s, time.Minute) })
		if n := table.Banned(time.Minute); n != old.Banned(0) {
			b.Fatal(n)
		}
	}
}
