// Package post carries records between shards: requests to the shard that owns a torrent, and payloads for
// connections to the shard that holds them. It is plain data in, plain data out; a box that is full never blocks.
package post

import (
	"millrace/cmd/internal/mailbox"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/queue"
	"millrace/ring"
	"millrace/swarm"
)

// Post is one shard's side of the mailboxes. It belongs to the loop's thread.
type Post struct {
	self    int
	shards  int
	in, out []*mailbox.Box // by shard; nil at its own number; behind the last one the bridge's, if there is one
	bells   []mailbox.Bell
	backlog []queue.Queue[swarm.Addr] // by shard: ends of connections for which its box had no room
	turn    *conn.Turn
	box     int // the box that Next reads
	read    int // records that it has read of it in this Step
	stats   Stats
	bridge  func() // wakes the bridge
	waits   bool   // of the records to the bridge that it does not see yet, one is more than news
}

// Stats are the counters of a post. Their tags say how they are shown (see package stats).
type Stats struct {
	MailIn     uint64 `metric:"mail_received_total" help:"Records received from other shards."`
	MailOut    uint64 `metric:"mail_sent_total" help:"Records sent to other shards."`
	Wakes      uint64 `metric:"mail_wakes_total" help:"Times that another shard was woken for its mail."`
	BridgeIn   uint64 `metric:"cluster_mail_received_total" help:"Records that the bridge to other nodes has sent to the shards."`
	BridgeOut  uint64 `metric:"cluster_mail_sent_total" help:"Records that the shards have sent to it."`
	MailDepth  int    `metric:"mail_depth_bytes" help:"Bytes in the mailboxes to this shard."`
	Backlog    int    `metric:"mail_backlog" help:"Ends of connections that other shards have not been told yet."`
	EndsLost   uint64 `metric:"mail_ends_lost_total" help:"Ends of connections that the holder of a lent torrent was not told; their peers stay until they are too old."`
	Backlogged uint64 `metric:"-"` // ends of connections that could not be told at once, since the start
}

// Boxes are the mailboxes of one shard: In[k] brings mail from shard k, Out[k] takes mail to it (nil at its own number),
// Bells[k] says whether shard k sleeps. A bridge to other nodes (package cluster) is one more of them, behind the last shard: it has
// the same boxes and a bell, but is no loop, so it is woken in another way.
type Boxes struct {
	In, Out []*mailbox.Box
	Bells   []mailbox.Bell
	Bridge  func() // wakes the bridge, from any thread and without waiting; nil: there is none
}

// Wire makes the mailboxes between n shards, of size bytes each, and their bells.
func Wire(n, size int) []Boxes { return wire(n, size) }

// WireBridge is Wire with a bridge, which has the number n.
func WireBridge(n, size int, wake func()) (shards []Boxes, bridge Boxes) {
	all := wire(n+1, size)
	for k := range all {
		all[k].Bridge = wake
	}
	return all[:n], all[n]
}

func wire(n, size int) []Boxes {
	bells := make([]mailbox.Bell, n)
	all := make([]Boxes, n)
	for k := range all {
		all[k] = Boxes{In: make([]*mailbox.Box, n), Out: make([]*mailbox.Box, n), Bells: bells}
	}
	for from := range n {
		for to := range n {
			if from != to {
				box := mailbox.New(size)
				all[from].Out[to], all[to].In[from] = box, box
			}
		}
	}
	return all
}

// New returns the post of shard self.
func New(self int, boxes Boxes, turn *conn.Turn) *Post {
	p := &Post{
		self: self, shards: len(boxes.Out), in: boxes.In, out: boxes.Out, bells: boxes.Bells, turn: turn,
		backlog: make([]queue.Queue[swarm.Addr], len(boxes.Out)), bridge: boxes.Bridge,
	}
	if p.bridge != nil {
		p.shards--
	}
	return p
}

// Stats returns the counters.
func (p *Post) Stats() Stats {
	st := p.stats
	for _, box := range p.in {
		if box != nil {
			st.MailDepth += box.Depth()
		}
	}
	return st
}

// begin starts a record of at most n bytes for shard k, or returns nil if its box has no room. While the end of a
// connection could not be mailed to k nothing else is, so that records stay in order. Requests and relayed messages leave
// a quarter of the box to replies and to the ends of connections, which are urgent: a client that floods the tracker costs
// others their offers before it costs them their replies.
func (p *Post) begin(k, n int, kind Kind, urgent bool) []byte {
	if p.backlog[k].Len() > 0 {
		return nil
	}
	keep := 0
	if !urgent {
		keep = p.out[k].Size() / 4
	}
	rec := p.out[k].ReserveKeeping(n, keep)
	if rec == nil {
		return nil
	}
	return append(rec[:0], byte(kind))
}

// commit ends a record.
func (p *Post) commit(k int, rec []byte) bool {
	p.out[k].Commit(len(rec))
	if k == p.shards {
		p.stats.BridgeOut++
	} else {
		p.stats.MailOut++
	}
	return true
}

// maxReadPerStep bounds the records that one Step reads from all boxes together.
const maxReadPerStep = 4096

// Next returns the next record that another shard has sent, and that shard: each box in turn and at most maxReadPerStep in
// all. The record is good until the next call. A nil record says that this Step has read its share.
func (p *Post) Next() (from int, rec []byte) {
	for ; p.box < len(p.in); p.box++ {
		box := p.in[p.box]
		if box == nil {
			continue
		}
		if p.read < maxReadPerStep/len(p.in) {
			if rec = box.Next(); rec != nil {
				p.read++
				if p.box == p.shards {
					p.stats.BridgeIn++
				} else {
					p.stats.MailIn++
				}
				return p.box, rec
			}
		}
		p.read = 0
		box.Release()
		p.turn.More = p.turn.More || !box.Empty()
	}
	p.box = 0
	return 0, nil
}

// KindOf returns the kind of a record.
func KindOf(rec []byte) Kind { return Kind(rec[0]) }

// Publish shows the records of this Step to the others, and wakes those that sleep: at most once each.
func (p *Post) Publish() {
	for k, box := range p.out {
		if box == nil || !box.Publish() {
			continue
		}
		switch {
		case k == p.shards && p.wakesBridge(box):
			p.stats.Wakes++
			p.bridge()
		case k != p.shards && p.bells[k].Ring():
			p.stats.Wakes++
			p.turn.Do(ring.Op{Kind: ring.OpWake, Target: uint16(k)})
		}
	}
}

// wakesBridge reports whether what this Step has put into the box of the bridge is to wake it: there is more than news and it sleeps, or
// there is much, even if it only rests.
func (p *Post) wakesBridge(box *mailbox.Box) bool {
	waits := p.waits
	p.waits = false
	return box.Depth() > box.Size()/4 || waits && p.bells[p.shards].Ring()
}

// PrepareToSleep reports whether there is nothing to read. From then on the others wake this shard when they write to it.
func (p *Post) PrepareToSleep() bool {
	bell := &p.bells[p.self]
	bell.Sleep()
	for _, box := range p.in {
		if box != nil && !box.Empty() {
			bell.Awake()
			return false
		}
	}
	return true
}

// AwakeAgain says that the others need not wake this shard.
func (p *Post) AwakeAgain() { p.bells[p.self].Awake() }
