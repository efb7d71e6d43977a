// Package record has the records that the nodes of a cluster send each other, and the mail between a shard and the part of its node
// that speaks with the other nodes. It is a codec and nothing else: plain data in, plain data out.
//
// Each type has three methods. Size returns the exact length of what Append appends. Read fills the record from bytes that need not be
// from a friend, and reports whether they mean one; its lists are used again, and its bytes are views of what is read. A reader leaves out
// bytes behind the last field: a newer version may have more there.
package record

import (
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the records between nodes. Integers are little-endian. Layouts:
//
//	key       hash:20 family:u8 (0, 4 or 6)
//	counts    seeders leechers fresh-seeders fresh-leechers downloaded:u32
//	addr      shard:u16 index gen:u32
//
//	hello     len:u32 node · least most:u16 · len:u32 address · connections torrents:u32 · age:u64 · swarms:u8, which may be missing
//	bye
//	presence  key · counts · first:bool
//	others    key · n:u16 { incarnation:16 counts }…
//	relay     key · peer:20 · seeder:bool · addr · n:u16 { id:20 len:u32 sdp }…
//	answer    addr · hash peer offer:20 · len:u32 sdp
//	ask       number:u64 family:u8 · n:u16 hash:20…
//	told      number:u64 family:u8 · n:u16 { hash:20 seeders leechers downloaded:u32 }…
//	arrived   key · peer:20 · onward:bool
//	packed    the records of a message as package pack has made them: the only one of its message

// Kind is the kind of a record between nodes.
type Kind uint8

// The kinds. A reader leaves out those that it does not know.
const (
	KindHello    Kind = iota + 1 // to all: a node is there
	KindBye                      // to all: it goes
	KindPresence                 // to a torrent's home: how many peers of it are here
	KindOthers                   // from there: how many are elsewhere
	KindRelay                    // offers for peers of the other node
	KindAnswer                   // an answer for a connection of the other node
	KindAsk                      // to a torrent's home: how many peers are there
	KindTold                     // from there: so many
	KindArrived                  // a peer is new in a torrent
	KindPacked                   // all records of a message in fewer bytes
	Kinds                        // one more than the last
)

// KindNames are the names of the kinds.
var KindNames = [Kinds]string{"", "hello", "bye", "presence", "others", "relay", "answer", "ask", "told", "arrived", "packed"}

// String returns the kind's name.
func (k Kind) String() string {
	if k == 0 || k >= Kinds {
		return "unknown"
	}
	return KindNames[k]
}

// Incarnation tells the life of a node from its lives before: random bytes.
type Incarnation [16]byte

// Counts are the peers of a torrent on one node.
type Counts struct {
	Seeders, Leechers, FreshSeeders, FreshLeechers, Downloaded uint32
}

// Peers returns how many there are.
func (r *Counts) Peers() int { return int(r.Seeders) + int(r.Leechers) }

func (r *Counts) fields(c *codec) {
	c.uint32(&r.Seeders)
	c.uint32(&r.Leechers)
	c.uint32(&r.FreshSeeders)
	c.uint32(&r.FreshLeechers)
	c.uint32(&r.Downloaded)
	c.must(r.Seeders <= MaxPeers && r.Leechers <= MaxPeers && r.FreshSeeders <= r.Seeders && r.FreshLeechers <= r.Leechers)
}

const countsSize = 20

func (c *codec) family(v *uint8) {
	c.uint8(v)
	c.must(*v == 0 || *v == 4 || *v == 6)
}

func (c *codec) key(k *swarm.Key) {
	c.array(k.Hash[:])
	c.family(&k.Family)
}

func (c *codec) addr(a *swarm.Addr) {
	c.uint16(&a.Shard)
	c.uint32(&a.Index)
	c.uint32(&a.Gen)
}

// sdp goes into the frames of clients as it comes, so it has to be a string of JSON.
func (c *codec) sdp(v *[]byte) {
	c.bytes(v, MaxSDP)
	c.must(c.mode != reads || c.bad || wsproto.IsString(*v))
}

// Hello says that a node is there.
type Hello struct {
	Node                  string
	Least, Most           uint16 // versions of the protocol that it speaks
	Address               string // for people
	Connections, Torrents uint32
	Age                   uint64 // milliseconds since the node began: of two with one id the older one stays
	Swarms                Swarms
}

// Swarms says who meets in a node's swarms. Nodes of which each says another thing have no torrent in common.
type Swarms uint8

// The values of Swarms.
const (
	SwarmsUnsaid Swarms = iota // by a node of a version that does not say it
	SwarmsShared               // clients of IPv4 and IPv6 meet
	SwarmsApart                // they do not
)

func (r *Hello) fields(c *codec) {
	c.text(&r.Node, MaxNode)
	c.must(GoodNode(r.Node))
	c.uint16(&r.Least)
	c.uint16(&r.Most)
	c.must(r.Least <= r.Most)
	c.text(&r.Address, MaxAddress)
	c.must(isPlain(r.Address))
	c.uint32(&r.Connections)
	c.uint32(&r.Torrents)
	c.uint64(&r.Age)
	c.late((*uint8)(&r.Swarms))
}

// GoodNode reports whether a text can be the id of a node.
func GoodNode(id string) bool {
	for k := range len(id) {
		c := id[k] | 0x20
		if (c < 'a' || c > 'z') && (id[k] < '0' || id[k] > '9') && id[k] != '.' && id[k] != '_' && id[k] != '-' {
			return false
		}
	}
	return id != "" && len(id) <= MaxNode
}

// isPlain reports whether a text has nothing in it that would confuse a log.
func isPlain(text string) bool {
	for k := range len(text) {
		if text[k] < ' ' || text[k] > '~' {
			return false
		}
	}
	return true
}

// Presence tells how many peers of a torrent are on the node that sends it; none: it has left.
type Presence struct {
	Key swarm.Key
	Counts
	First bool // an answer is wanted even if nobody else is there
}

func (r *Presence) fields(c *codec) {
	c.key(&r.Key)
	r.Counts.fields(c)
	c.bool(&r.First)
}

// Others tells how many peers of a torrent are on other nodes than the one that it goes to.
type Others struct {
	Key   swarm.Key
	Nodes []Elsewhere
}

// Elsewhere are the peers on one of them.
type Elsewhere struct {
	Incarnation Incarnation
	Counts
}

func (r *Others) fields(c *codec) {
	c.key(&r.Key)
	n := c.list(len(r.Nodes), MaxNodes, len(Incarnation{})+countsSize)
	if c.mode == reads {
		r.Nodes = resize(r.Nodes, n)
	}
	for k := range r.Nodes {
		one := &r.Nodes[k]
		c.array(one.Incarnation[:])
		one.Counts.fields(c)
		for before := range k {
			c.must(r.Nodes[before].Incarnation != one.Incarnation)
		}
	}
}

// Offer is an offer with its description, a JSON string literal.
type Offer = wsproto.Offer

// Relay has offers of a peer for peers on the node that it goes to, which draws them.
type Relay struct {
	Key    swarm.Key
	Peer   swarm.ID // the sender
	Seeder bool     // so is the sender
	From   swarm.Addr
	Offers []Offer
}

func (r *Relay) fields(c *codec) {
	c.key(&r.Key)
	r.inner(c)
}

// inner goes through all fields but the key.
func (r *Relay) inner(c *codec) {
	c.array(r.Peer[:])
	c.bool(&r.Seeder)
	c.addr(&r.From)
	n := c.list(len(r.Offers), MaxOffers, len(swarm.ID{})+4+len(`""`))
	if c.mode == reads {
		r.Offers = resize(r.Offers, n)
	}
	for k := range r.Offers {
		c.array(r.Offers[k].ID[:])
		c.sdp(&r.Offers[k].SDP)
		if c.bad {
			r.Offers = r.Offers[:k]
			return
		}
	}
}

// Answer answers an offer.
type Answer struct {
	To                swarm.Addr // the connection that has made the offer
	Hash, Peer, Offer swarm.ID   // Peer is the sender of the answer
	SDP               []byte
}

func (r *Answer) fields(c *codec) {
	c.addr(&r.To)
	c.array(r.Hash[:])
	c.array(r.Peer[:])
	c.array(r.Offer[:])
	c.sdp(&r.SDP)
}

// Ask asks for the peers of torrents.
type Ask struct {
	Number uint64 // comes back
	Family uint8
	Hashes []swarm.ID
}

func (r *Ask) fields(c *codec) {
	c.uint64(&r.Number)
	c.family(&r.Family)
	c.hashes(&r.Hashes)
}

func (c *codec) hashes(list *[]swarm.ID) {
	n := c.list(len(*list), MaxHashes, len(swarm.ID{}))
	if c.mode == reads {
		*list = resize(*list, n)
	}
	for k := range *list {
		c.array((*list)[k][:])
	}
}

// Told is the answer to an Ask.
type Told struct {
	Number uint64
	Family uint8
	Files  []File
}

// File has the peers of a torrent on all nodes but the asking one.
type File struct {
	Hash                          swarm.ID
	Seeders, Leechers, Downloaded uint32
}

func (r *Told) fields(c *codec) {
	c.uint64(&r.Number)
	c.family(&r.Family)
	c.files(&r.Files)
}

func (c *codec) files(list *[]File) {
	n := c.list(len(*list), MaxHashes, len(swarm.ID{})+12)
	if c.mode == reads {
		*list = resize(*list, n)
	}
	for k := range *list {
		f := &(*list)[k]
		c.array(f.Hash[:])
		c.uint32(&f.Seeders)
		c.uint32(&f.Leechers)
		c.uint32(&f.Downloaded)
		c.must(f.Seeders <= MaxNodes*MaxPeers && f.Leechers <= MaxNodes*MaxPeers)
	}
}

// Arrived tells of a new peer in a torrent that has peers on several nodes.
type Arrived struct {
	Key    swarm.Key
	Peer   swarm.ID
	Onward bool // it goes to the torrent's home, which passes it on
}

func (r *Arrived) fields(c *codec) {
	c.key(&r.Key)
	c.array(r.Peer[:])
	c.bool(&r.Onward)
}
