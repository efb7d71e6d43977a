package cluster

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/stats"
	"millrace/swarm"
)

// This file has the tools of the tests of rules: a few cores on a bus that does what the test says.

// rig is a bus with cores.
type rig struct {
	t     *testing.T
	now   time.Duration
	cores []*rigNode
	cut   bool // nothing arrives
	lives uint64
}

// rigNode is a core whose mail and messages are kept.
type rigNode struct {
	*Core
	rig    *rig
	seed   uint64
	mails  [][]byte
	out    []rigMessage
	full   bool // the mailboxes take nothing
	refuse bool // the bus takes nothing
}

type rigMessage struct {
	subject string
	msg     []byte
}

const rigSecret = "a secret of the cluster"

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{t: t, now: time.Hour}
}

// add adds a core with three shards.
func (r *rig) add(id string, change func(*Options)) *rigNode {
	r.t.Helper()
	r.lives++
	n := &rigNode{rig: r, seed: r.lives}
	o := Options{
		Cluster: "c", Node: id, Address: id + " here", Secret: []byte(rigSecret), Shards: 3, Timeout: 5 * time.Second, Refresh: 100 * time.Second,
		Random: simRandom{rand.New(rand.NewPCG(n.seed, 1))}, Owner: func(h *swarm.ID) int { return int(h[0]) % 3 }, Mail: n, Bus: n,
	}
	if change != nil {
		change(&o)
	}
	core, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	n.Core = core
	r.cores = append(r.cores, n)
	return n
}

// join adds a core that is connected.
func (r *rig) join(id string) *rigNode {
	n := r.add(id, nil)
	n.Connected(r.now, true)
	return n
}

func (n *rigNode) Mail(shard int, rec []byte) bool {
	if n.full {
		return false
	}
	n.mails = append(n.mails, append([]byte{byte(shard)}, rec...))
	return true
}

func (n *rigNode) Publish(subject string, msg []byte) bool {
	if n.refuse {
		return false
	}
	n.out = append(n.out, rigMessage{subject, bytes.Clone(msg)})
	return true
}

// deliver carries all messages to all cores until there are none.
func (r *rig) deliver() {
	for again := true; again; {
		again = false
		for _, from := range r.cores {
			out := from.out
			from.out = nil
			for _, m := range out {
				again = true
				for _, to := range r.cores {
					if to != from && !r.cut && slices.Contains(to.Subjects(), m.subject) {
						to.FromBus(r.now, m.subject, m.msg)
					}
				}
			}
			from.Flush(r.now)
		}
	}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	for end := r.now + d; r.now < end; {
		r.now += 10 * time.Millisecond
		for _, n := range r.cores {
			n.Tick(r.now)
			n.Flush(r.now)
		}
		r.deliver()
	}
}

// numberOf returns the number of a node at another one, 0 if it is not live there.
func (n *rigNode) numberOf(id string) uint16 {
	for _, o := range n.Nodes() {
		if o.ID == id {
			return o.Number
		}
	}
	return 0
}

// tell gives the core a record of mail from shard 0.
func (n *rigNode) tell(kind record.MailKind, r fields) {
	n.FromShard(n.rig.now, 0, r.Append([]byte{byte(kind)}))
}

// fetch returns the mail of a kind since the last call, as texts, and forgets all other mail.
func (n *rigNode) fetch(kind record.MailKind) (texts []string) {
	for _, m := range n.mails {
		if record.MailKind(m[1]) != kind {
			continue
		}
		text := "?"
		switch kind {
		case record.MailNodes:
			text = read[record.Nodes](m[2:])
		case record.MailOthers:
			text = read[record.Known](m[2:])
		case record.MailVisit:
			text = read[record.Routed](m[2:])
		case record.MailAnswered:
			text = read[record.Answer](m[2:])
		case record.MailTold:
			text = read[record.Scraped](m[2:])
		case record.MailArrived:
			text = read[record.Arrived](m[2:])
		case record.MailResend:
			text = read[record.Resend](m[2:])
		}
		texts = append(texts, fmt.Sprintf("%d %s", m[0], text))
	}
	n.mails = nil
	return texts
}

// read returns a record as a text.
func read[T any, P interface {
	*T
	Read([]byte) bool
}](b []byte) string {
	var r T
	if !P(&r).Read(b) {
		return "cannot be read"
	}
	return fmt.Sprintf("%+v", r)
}

// keyAt returns a torrent whose home is a node, as another one sees it.
func (n *rigNode) keyAt(home string) swarm.Key {
	for k := range 10_000 {
		key := swarm.Key{Hash: swarm.ID{1, byte(k), byte(k >> 8)}, Family: 4}
		at := n.o.Node
		if h := n.homeOf(&key.Hash); h != nil {
			at = h.id
		}
		if at == home {
			return key
		}
	}
	panic("no torrent has that home")
}

func peers(seeders, leechers uint32) record.Counts {
	return record.Counts{Seeders: seeders, Leechers: leechers, FreshSeeders: seeders, FreshLeechers: leechers}
}

func has(texts []string, part string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, part) })
}

// TestOptions proves that options which cannot work are refused.
func TestOptions(t *testing.T) {
	r := newRig(t)
	good := r.add("a", nil).o
	f := func(want string, change func(*Options)) {
		t.Helper()
		o := good
		if change(&o); o.Random != nil {
			o.Random = simRandom{rand.New(rand.NewPCG(1, 1))}
		}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	f("id of a node", func(o *Options) { o.Node = "a b" })
	f("name of a cluster", func(o *Options) { o.Cluster = "" })
	f("16 bytes", func(o *Options) { o.Secret = o.Secret[:15] })
	f("shards", func(o *Options) { o.Shards = 0 })
	f("1 s", func(o *Options) { o.Timeout = time.Millisecond })
	f("1 s", func(o *Options) { o.Refresh = time.Millisecond })
	f("lack", func(o *Options) { o.Random = nil })
	f("lack", func(o *Options) { o.Owner = nil })
	f("lack", func(o *Options) { o.Mail = nil })
	f("lack", func(o *Options) { o.Bus = nil })
	dots := r.add("a.b-c", nil)
	if got := dots.Subjects(); !slices.Equal(got, []string{"millrace.c.hello", "millrace.c.node.a=b-c"}) {
		t.Errorf("the subjects are %q", got)
	}
}

// TestStatsAreShown proves that each counter has the tags that show it.
func TestStatsAreShown(t *testing.T) {
	tables := stats.Tables{"record": record.KindNames[:], "mail": record.MailNames[:], "flaw": FlawNames[:]}
	if _, err := stats.New[Stats](tables); err != nil {
		t.Error(err)
	}
}

// numberAt returns the number of a node at another one.
func (n *rigNode) numberAt(at *rigNode) uint16 { return at.numberOf(n.o.Node) }

// addrOn is an address on a shard.
func addrOn(shard uint16) swarm.Addr { return swarm.Addr{Index: 1, Gen: 2, Shard: shard} }
