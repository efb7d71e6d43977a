package record

import "millrace/swarm"

// This file owns the mail between a shard and the part of its node that speaks with the other nodes, which is called the bridge. A record of
// mail is one byte of kind and the fields of its type. Layouts, besides those of records.go:
//
//	seek      presence · relay (without its key)
//	routed    node:u16 · relay
//	answering node:u16 · answer
//	scrape    family:u8 · addr · n:u16 hash:20… · len:u32 kept
//	nodes     n:u16 { node:u16 }…
//	known     key · n:u16 { node:u16 counts }…
//	scraped   addr · n:u16 { hash:20 seeders leechers downloaded:u32 }… · len:u32 kept
//	resend    within:u32

// MailKind is the kind of a record of mail. The numbers are none of those of the mail between shards.
type MailKind uint8

// The kinds, with the type of each.
const (
	// From a shard to the bridge.
	MailPresence MailKind = iota + 64 // Presence: a torrent's peers here have changed, or are told anew
	MailSeek                          // Seek: the same of a torrent's first peer, with its offers that found no receiver here
	MailRelay                         // Routed: offers for peers of another node
	MailAnswer                        // Answering: an answer for a connection of another node
	MailScrape                        // Scrape: torrents that nobody here is in
	MailArrived                       // Arrived, in both directions: a peer is new in a torrent that other nodes have too

	// From the bridge to a shard.
	MailNodes    // Nodes: the other nodes that are live
	MailOthers   // Known: a torrent's peers elsewhere. A shard where nobody is in it answers with a Presence of none.
	MailVisit    // Routed: offers of a peer of another node
	MailAnswered // Answer: for a connection of this shard
	MailTold     // Scraped: what the others know
	MailResend   // Resend: all torrents are to be told anew
	MailKinds    // one more than the last
)

// FirstMail is the first kind.
const FirstMail = MailPresence

// MailNames are the names of the kinds, from FirstMail on.
var MailNames = [MailKinds - FirstMail]string{
	"presence", "seek", "relay", "answer", "scrape", "arrived", "nodes", "others", "visit", "answered", "told", "resend",
}

// String returns the kind's name.
func (k MailKind) String() string {
	if k < FirstMail || k >= MailKinds {
		return "unknown"
	}
	return MailNames[k-FirstMail]
}

// Seek is the presence of a torrent's first peer here, and its offers, which wait until it is known who else has the torrent.
type Seek struct {
	Presence Presence
	Relay    Relay // of the same torrent: its key is not on the wire
}

func (r *Seek) fields(c *codec) {
	r.Presence.fields(c)
	if c.mode == reads {
		r.Relay.Key = r.Presence.Key
	}
	r.Relay.inner(c)
}

// Routed is a Relay to another node, or from it.
type Routed struct {
	Node uint16 // its number here
	Relay
}

func (r *Routed) fields(c *codec) {
	c.node(&r.Node)
	r.Relay.fields(c)
}

// node goes through the number of another node, which is not 0.
func (c *codec) node(v *uint16) {
	c.uint16(v)
	c.must(*v != 0)
}

// Answering is an Answer to another node.
type Answering struct {
	Node uint16
	Answer
}

func (r *Answering) fields(c *codec) {
	c.node(&r.Node)
	r.Answer.fields(c)
}

// Scrape asks for the peers of torrents on other nodes.
type Scrape struct {
	Family uint8
	From   swarm.Addr // the client's connection
	Hashes []swarm.ID
	Kept   []byte // comes back in Scraped: the shard need not remember the rest of a scrape
}

func (r *Scrape) fields(c *codec) {
	c.family(&r.Family)
	c.addr(&r.From)
	c.hashes(&r.Hashes)
	c.bytes(&r.Kept, MaxKept)
}

// Nodes are the numbers of the other nodes that are live.
type Nodes struct{ Live []uint16 }

func (r *Nodes) fields(c *codec) {
	n := c.list(len(r.Live), MaxNodes, 2)
	if c.mode == reads {
		r.Live = resize(r.Live, n)
	}
	for k := range r.Live {
		c.node(&r.Live[k])
	}
}

// Known are a torrent's peers on other nodes: all that are known, so an empty list says that there are none.
type Known struct {
	Key    swarm.Key
	Others []Other
}

// Other are the peers on one node.
type Other struct {
	Node uint16
	Counts
}

func (r *Known) fields(c *codec) {
	c.key(&r.Key)
	n := c.list(len(r.Others), MaxNodes, 2+countsSize)
	if c.mode == reads {
		r.Others = resize(r.Others, n)
	}
	for k := range r.Others {
		c.node(&r.Others[k].Node)
		r.Others[k].Counts.fields(c)
	}
}

// Scraped answers a Scrape. It has the torrents of which something is known.
type Scraped struct {
	From  swarm.Addr
	Files []File
	Kept  []byte
}

func (r *Scraped) fields(c *codec) {
	c.addr(&r.From)
	c.files(&r.Files)
	c.bytes(&r.Kept, MaxKept)
}

// Resend asks for a Presence of each torrent that somebody here is in, spread over a time.
type Resend struct{ Within uint32 } // milliseconds

func (r *Resend) fields(c *codec) { c.uint32(&r.Within) }
