package trace

import (
	"cmp"
	"net/netip"
	"slices"
)

// This file puts the records of several shards in order and finds those that somebody asks for.

// Filter says which records are wanted. All of its fields have to fit; the zero Filter wants all records.
type Filter struct {
	Client            netip.Prefix // the client's address lies in it; the zero Prefix wants all
	Shard, Index, Gen *uint32      // these parts of the connection's name; nil wants all
	Event             Event        // 0 wants all
}

// Merge returns the records of several copies in the order of their times. A record bears the time at which its Step
// began: of two shards that exchange mail, the one that reads may have begun before the one that wrote.
func Merge(copies ...Copy) []Record {
	var all []Record
	for k := range copies {
		all = append(all, copies[k].Records...)
	}
	slices.SortStableFunc(all, func(a, b Record) int { return cmp.Compare(a.At, b.At) })
	return all
}

// Select returns the last n of the records that the filter wants, in their order. A filter by address finds whole
// connections: also what happened to them before a proxy named the client, and what other shards did for them, which
// know the connection but not the address.
func Select(records []Record, f Filter, n int) []Record {
	conns := f.conns(records)
	var found []Record
	for k := len(records) - 1; k >= 0 && len(found) < n; k-- {
		if r := &records[k]; f.wants(r) && (!f.Client.IsValid() || f.isClient(r) || conns[r.Conn]) {
			found = append(found, *r)
		}
	}
	slices.Reverse(found)
	return found
}

// conns returns the connections of the clients that the filter wants.
func (f *Filter) conns(records []Record) map[Conn]bool {
	if !f.Client.IsValid() {
		return nil
	}
	conns := make(map[Conn]bool)
	for k := range records {
		if r := &records[k]; r.Conn != (Conn{}) && f.isClient(r) {
			conns[r.Conn] = true
		}
	}
	return conns
}

// isClient reports whether a record has a client that the filter wants.
func (f *Filter) isClient(r *Record) bool {
	client, ok := r.client()
	return ok && f.Client.Contains(client)
}

// wants reports whether a record fits, its client apart.
func (f *Filter) wants(r *Record) bool {
	fits := func(want *uint32, have uint32) bool { return want == nil || *want == have }
	return (f.Index == nil && f.Gen == nil || r.Conn.Gen != 0) &&
		fits(f.Shard, uint32(r.Conn.Shard)) && fits(f.Index, r.Conn.Index) && fits(f.Gen, r.Conn.Gen) &&
		(f.Event == 0 || f.Event == r.Event)
}

// client returns the client's address; ok is false if the record has none.
func (r *Record) client() (ip netip.Addr, ok bool) {
	return netip.AddrFrom16(r.Client).Unmap(), r.Client != [16]byte{}
}
