package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// This file owns the records. A record may get further fields at its end, and only there: a reader of another version leaves them out,
// or takes them for zero. Anything else is another Version.

// Version is that of the records. Two processes must agree on it.
const Version = 1

// Kind is the kind of a record.
type Kind uint8

// The kinds, in the order in which they come. All versions know them.
const (
	KindHello      Kind = iota + 1 // successor: it has started
	KindListener                   // predecessor: a listening socket, its descriptor beside it
	KindListeners                  // predecessor: that were all
	KindReady                      // successor: it has all that it needs to serve
	KindState                      // predecessor: what holds for the whole process
	KindConnection                 // predecessor: a connection, its descriptor beside it
	KindAddress                    // predecessor: what is remembered of a client address
	KindPeers                      // predecessor: some peers
	KindCounters                   // predecessor: the counters of a shard
	KindEnd                        // predecessor: that was all
	KindMine                       // successor: it has got all of it, but for some connections
	KindYours                      // predecessor: it will not go on
	KindFailed                     // either: it cannot go on, and why
	KindServing                    // successor: it goes on from here
	part           Kind = 0x7f     // a piece of the next record
)

// Kinds that a reader leaves out which does not know them. They come between KindCounters and KindEnd.
const (
	KindProcessTotals Kind = 0x80 + iota // predecessor: the counters of the whole process
	KindHour                             // predecessor: the last hour of the whole process
	unknown                              // those from here on are
)

// Hello is the first word of the successor.
type Hello struct {
	Format  uint16
	Program string // its version
	Answers bool   // it answers Yours with Serving
}

func (r *Hello) fields(c *codec) {
	c.uint16(&r.Format)
	c.text(&r.Program)
	c.bool(&r.Answers)
}

// Listener is a listening socket.
type Listener struct {
	Name    string // what it is for: see the server
	Address string // as it was configured
	Kept    bool   // a service manager has it too
}

func (r *Listener) fields(c *codec) {
	c.text(&r.Name)
	c.text(&r.Address)
	c.bool(&r.Kept)
}

// Listeners ends the listening sockets, and says what the predecessor has become: the successor is born so. An older version has no fields.
type Listeners struct {
	Dropped           bool   // it has dropped its privileges
	User, Group, Root string // as they were configured
	At                string // Root as an absolute path, as it was seen before
	UID, GID          uint32
}

func (r *Listeners) fields(c *codec) {
	c.bool(&r.Dropped)
	c.text(&r.User)
	c.text(&r.Group)
	c.text(&r.Root)
	c.text(&r.At)
	c.uint32(&r.UID)
	c.uint32(&r.GID)
}

// State is what holds for the whole process. Its times are on the clock of the loops, which goes on in the successor.
type State struct {
	Program  string // the predecessor's version
	Clock    int64  // nanoseconds: the time of the clock when ClockAt was that of CLOCK_MONOTONIC
	ClockAt  int64
	Second   uint32 // in which the successor's shards begin
	Shards   uint16
	Owner    [16]byte // keys of hashes
	Table    [16]byte
	Source   [32]byte
	Tickets  []byte // keys of session tickets
	Reloaded int64  // unix seconds
	Done     uint64 // hand-overs before this one
	Peers    uint64 // about how many will come
	Failed   uint64 // hand-overs that have failed

	Connections uint64 // about how many will come
}

func (r *State) fields(c *codec) {
	c.text(&r.Program)
	c.int64(&r.Clock)
	c.int64(&r.ClockAt)
	c.uint32(&r.Second)
	c.uint16(&r.Shards)
	c.array(r.Owner[:])
	c.array(r.Table[:])
	c.array(r.Source[:])
	c.bytes(&r.Tickets)
	c.int64(&r.Reloaded)
	c.uint64(&r.Done)
	c.uint64(&r.Peers)
	c.uint64(&r.Failed)
	c.uint64(&r.Connections)
}

// Name is the name of a connection in the predecessor.
type Name struct {
	Shard      uint16
	Index, Gen uint32
}

func (r *Name) fields(c *codec) {
	c.uint16(&r.Shard)
	c.uint32(&r.Index)
	c.uint32(&r.Gen)
}

// Connection is a connection with all that its client may notice. Times are seconds on the clock of the loops.
type Connection struct {
	Name
	Open  bool // it has become a WebSocket connection
	Marks Marks

	Addr [16]byte // the client's address, IPv4 in its mapped form
	Port uint16

	Since, LastSeen, Deadline uint32
	PingAt                    uint32
	BytesIn, BytesOut         uint64
	Messages, Dropped         uint32
	Bad                       uint16    // unusable messages in a row
	Paid                      [5]uint32 // times up to which all that came is paid for (package meter)

	MessageSize uint32 // the state of the reader of frames
	MessageKind uint8
	WindowBits  uint8 // of compressed messages to the client; 0: 15

	UnreadSince uint32 // second in which the message, or TLS record, began of which only a part has come, 0 without one
	Unread      []byte // received and not a whole message, or not its turn
	Flight      []byte // made for the wire, and not sent
	Waiting     []byte // frames behind that
	TLS         []byte // nil without: see package tlsconn

	HasTorrent bool
	Torrent    [20]byte // one of those that the client is in
}

// Marks are a connection's yes-or-no facts.
type Marks uint32

// The marks.
const (
	MarkDeflates Marks = 1 << iota // messages may be compressed
	MarkAlone                      // those to the client look back at none before
	MarkPacked                     // the message in progress is compressed
	MarkPinged                     // it was pinged and has sent nothing since
	MarkProxied                    // the header of the PROXY protocol is still to come
	MarkSpoken                     // that header tells its client
	MarkVouched                    // it came through a unix socket
	MarkSettled                    // it stays on its shard
	MarkHeld                       // it was not read from since it did not read
	MarkCounted                    // it counts for its client's address
)

// Has reports whether one of the marks is set.
func (m Marks) Has(n Marks) bool { return m&n != 0 }

func (r *Connection) fields(c *codec) {
	r.Name.fields(c)
	c.bool(&r.Open)
	c.uint32((*uint32)(&r.Marks))
	c.array(r.Addr[:])
	c.uint16(&r.Port)
	for _, v := range []*uint32{&r.Since, &r.LastSeen, &r.Deadline, &r.PingAt} {
		c.uint32(v)
	}
	c.uint64(&r.BytesIn)
	c.uint64(&r.BytesOut)
	c.uint32(&r.Messages)
	c.uint32(&r.Dropped)
	c.uint16(&r.Bad)
	for k := range r.Paid {
		c.uint32(&r.Paid[k])
	}
	c.uint32(&r.MessageSize)
	c.uint8(&r.MessageKind)
	c.uint8(&r.WindowBits)
	c.uint32(&r.UnreadSince)
	for _, v := range []*[]byte{&r.Unread, &r.Flight, &r.Waiting, &r.TLS} {
		c.bytes(v)
	}
	c.bool(&r.HasTorrent)
	c.array(r.Torrent[:])
}

// Address is what is remembered of a client address (see guard.Saved, which has the same fields). Times are nanoseconds.
type Address struct {
	Key                                      uint64
	Banned, OffenceAge, Arrivals, Handshakes int64
	Offences                                 uint32
}

func (r *Address) fields(c *codec) {
	c.uint64(&r.Key)
	for _, v := range []*int64{&r.Banned, &r.OffenceAge, &r.Arrivals, &r.Handshakes} {
		c.int64(v)
	}
	c.uint32(&r.Offences)
}

// Peer is a peer of a torrent (see swarm.SavedPeer, which has the same fields). A record has many: see AppendPeer and EachPeer.
type Peer struct {
	Hash       [20]byte
	Family     uint8
	Downloaded uint32
	ID         [20]byte
	From       Name
	Age        uint32
	Seeder     bool
	Line       uint8
	More       bool
	Offers     []Offer
}

// Offer is one that waits for its answer.
type Offer struct {
	Fingerprint uint64
	Age         uint32
}

func (r *Peer) fields(c *codec) {
	c.array(r.Hash[:])
	c.uint8(&r.Family)
	c.uint32(&r.Downloaded)
	c.array(r.ID[:])
	r.From.fields(c)
	c.uint32(&r.Age)
	c.bool(&r.Seeder)
	c.uint8(&r.Line)
	c.bool(&r.More)
	n := uint16(len(r.Offers))
	c.uint16(&n)
	if c.reads {
		r.Offers = r.Offers[:0]
	}
	for k := range int(n) {
		if c.reads {
			if c.bad || len(c.b) == 0 {
				c.bad = true
				return
			}
			r.Offers = append(r.Offers, Offer{})
		}
		c.uint64(&r.Offers[k].Fingerprint)
		c.uint32(&r.Offers[k].Age)
	}
}

// AppendPeer appends a peer to the fields of a KindPeers.
func AppendPeer(dst []byte, p *Peer) []byte {
	at := len(dst)
	dst = Append(append(dst, 0, 0), p)
	binary.LittleEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

// EachPeer calls f with the peers in the fields of a KindPeers. The record is used again.
func EachPeer(b []byte, f func(*Peer) error) error {
	var p Peer
	for len(b) > 0 {
		n := 0
		if len(b) >= 2 {
			n = 2 + int(binary.LittleEndian.Uint16(b))
		}
		if n == 0 || n > len(b) {
			return errors.New("cannot read peers: the last one does not end")
		}
		if err := Read(b[2:n], &p); err != nil {
			return err
		}
		if err := f(&p); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// End says how many records there were, so that none is missing.
type End struct{ Connections, Peers, Addresses uint64 }

func (r *End) fields(c *codec) {
	for _, v := range []*uint64{&r.Connections, &r.Peers, &r.Addresses} {
		c.uint64(v)
	}
}

// Mine says that the successor has got everything. Left are the connections for which it has no place: they stay the predecessor's, which
// ends them. An older version closes them itself, and names none.
type Mine struct{ Left []Name }

func (r *Mine) fields(c *codec) {
	n := uint32(len(r.Left))
	c.uint32(&n)
	for k := 0; k < int(n) && !c.bad; k++ {
		if c.reads {
			c.bad = len(c.b) == 0
			r.Left = append(r.Left, Name{})
		}
		r.Left[k].fields(c)
	}
}

// Failed says why a process cannot go on.
type Failed struct{ Why string }

func (r *Failed) fields(c *codec) { c.text(&r.Why) }

// record is a record with fields.
type record interface{ fields(c *codec) }

// Append appends the fields of a record to dst.
func Append(dst []byte, r record) []byte {
	c := codec{b: dst}
	r.fields(&c)
	return c.b
}

// Read fills a record, whose slices are views of b then.
func Read(b []byte, r record) error {
	c := codec{b: b, reads: true}
	if r.fields(&c); c.bad {
		return fmt.Errorf("cannot read a %T of %d bytes: a field does not end", r, len(b))
	}
	return nil
}
