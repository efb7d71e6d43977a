package trace

import (
	"encoding/hex"
	"net/netip"
	"strconv"
)

// This file owns the text of a record.

// AppendText appends a line for each record, such as
//
//	12.003417s shard 0 conn 17.3 192.0.2.1:50123 announce with 3 offers, torrent 6f2a000000000001 → mailed to shard 2
//
// A connection is shown as index.generation, and where another shard than its own writes, as "shard 2 for shard 0 conn
// 17.3". A torrent is shown by the first bytes of its info hash.
func AppendText(dst []byte, records []Record, names *Names) []byte {
	for k := range records {
		dst = append(appendRecord(dst, &records[k], names), '\n')
	}
	return dst
}

// appendRecord appends the line of a record without its line feed.
func appendRecord(dst []byte, r *Record, names *Names) []byte {
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	dst = strconv.AppendFloat(dst, r.At.Seconds(), 'f', 6, 64)
	dst = append(append(dst, "s shard "...), number(uint32(r.By))...)
	if r.Conn.Gen != 0 {
		if r.Conn.Shard != r.By {
			dst = append(append(dst, " for shard "...), number(uint32(r.Conn.Shard))...)
		}
		dst = append(append(dst, " conn "...), number(r.Conn.Index)...)
		dst = append(append(dst, '.'), number(r.Conn.Gen)...)
	}
	if client, ok := r.client(); ok {
		dst = netip.AddrPortFrom(client, r.Port).AppendTo(append(dst, ' '))
	}
	dst = append(append(dst, ' '), text(eventWords[:], int(r.Event), names.Text(r.What), number(r.N))...)
	if r.Hash != [8]byte{} {
		dst = hex.AppendEncode(append(dst, ", torrent "...), r.Hash[:])
	}
	if r.Decision == 0 {
		return dst
	}
	dst = append(append(dst, " → "...), text(decisionWords[:], int(r.Decision), "", number(r.To))...)
	if r.Why != 0 {
		dst = append(append(dst, ": "...), names.Text(r.Why)...)
	}
	return dst
}
