package post

import "millrace/cmd/internal/cluster/record"

// This file owns the mail with the bridge to other nodes. Its records are those of package record.

// Fields are the fields of a record that goes to the bridge.
type Fields interface {
	Size() int
	Append(dst []byte) []byte
}

// HasBridge reports whether there is one.
func (p *Post) HasBridge() bool { return p.bridge != nil }

// Bridge sends a record to the bridge. It reports false, and has done nothing, where the box has no room or there is no bridge. What is not
// urgent leaves room for what is.
func (p *Post) Bridge(kind record.MailKind, r Fields, urgent bool) bool {
	if p.bridge == nil {
		return false
	}
	b := p.begin(p.shards, 1+r.Size(), Kind(kind), urgent)
	return b != nil && p.commit(p.shards, r.Append(b))
}

// PassOn sends a record of the bridge, as it is, to the shard that holds its torrent.
func (p *Post) PassOn(k int, rec []byte) bool {
	b := p.begin(k, len(rec), KindOf(rec), false)
	return b != nil && p.commit(k, append(b, rec[1:]...))
}
