package cluster

import (
	"millrace/cmd/internal/cluster/pack"
	"millrace/cmd/internal/cluster/record"
)

// This file makes messages smaller before they are sealed, for nodes that can read them.

// packing is the memory for it. What it holds is good until the next message.
type packing struct{ record, open []byte }

// packed returns the records of a message for a node in fewer bytes, or as they are.
func (c *Core) packed(to *node, records []byte) []byte {
	if to.speaks < protocolPacked || len(records) < leastPacked {
		return records
	}
	p := &c.packing
	p.record = pack.Append(record.AppendFrame(p.record[:0], record.KindPacked, 0), records)
	if len(p.record) >= len(records) {
		return records
	}
	size := len(p.record) - record.FrameSize
	record.AppendFrame(p.record[:0], record.KindPacked, size)
	c.stats.Out[record.KindPacked]++
	c.stats.PackPlain += uint64(len(records))
	c.stats.PackPacked += uint64(size)
	return p.record
}

// unpacked returns the records of a message that came, packed or not. What cannot be unpacked stays as it is, and is refused as a record.
func (c *Core) unpacked(records []byte) []byte {
	kind, fields, rest, ok := record.Next(records)
	if !ok || kind != record.KindPacked || len(rest) > 0 {
		return records
	}
	p := &c.packing
	if p.open == nil {
		p.open = make([]byte, 0, maxMessage)
	}
	open, ok := pack.Unpack(p.open, fields)
	if !ok {
		return records
	}
	c.stats.In[record.KindPacked]++
	c.stats.OpenPlain += uint64(len(open))
	c.stats.OpenPacked += uint64(len(fields))
	return open
}
