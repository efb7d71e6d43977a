package post

import (
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/mailbox"
)

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
	if b == nil {
		return false
	}
	p.waits = p.waits || !isNews(kind)
	return p.commit(p.shards, r.Append(b))
}

// isNews reports whether nobody waits for a record. The bridge is not woken for it, which would cost more than all the rest: it looks into
// its boxes ten times a second in any case.
func isNews(kind record.MailKind) bool {
	return kind == record.MailPresence || kind == record.MailArrived
}

// PassOn sends a record of the bridge, as it is, to the shard that holds its torrent.
func (p *Post) PassOn(k int, rec []byte) bool {
	b := p.begin(k, len(rec), KindOf(rec), false)
	return b != nil && p.commit(k, append(b, rec[1:]...))
}

// BridgeRoom is how many bytes of replies to scrapes the bridge can owe this shard at a time: see ToShard.
func (p *Post) BridgeRoom() int { return p.in[p.shards].Size() / 8 }

// ToShard puts a record of the bridge into the box to a shard. It reports false where the box has no room, or where the record would take
// room from more important ones: replies to scrapes, for which clients wait, find room as long as the shard waits for no more than BridgeRoom,
// and news of the nodes before all that other nodes have sent. A quarter is for those replies, since a record may leave as much unused at the
// end of the ring as it is long.
func ToShard(box *mailbox.Box, rec []byte) bool {
	keep := 0
	switch record.MailKind(KindOf(rec)) {
	case record.MailTold:
	case record.MailNodes, record.MailResend:
		keep = box.Size() / 4
	default:
		keep = box.Size() * 3 / 8
	}
	dst := box.ReserveKeeping(len(rec), keep)
	if dst == nil {
		return false
	}
	copy(dst, rec)
	box.Commit(len(rec))
	return true
}
