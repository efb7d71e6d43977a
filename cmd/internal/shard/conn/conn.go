// Package conn is the connection table of a shard: the slots with their states, and the Step under way. The other parts
// of a shard (door, inbox, outbox, post, mover) work on its connections; each of them owns some fields of [Conn] and is
// the only one that writes to them.
package conn

import (
	"net/netip"

	"millrace/cmd/internal/guard"
	"millrace/ring/pool"
	"millrace/wsproto"
)

// Conn is one slot of the connection table: plain data without pointers, so that the collector does not scan the table.
// An idle connection holds no buffer. The words behind "owner:" name the package that writes to the fields below them.
type Conn struct {
	// owner: door
	Addr   [16]byte // the client's address, IPv4 in its mapped form
	Source uint64   // fingerprint of the client's address

	// owner: shard, door, mover
	Owners   uint64 // bit k%64: shard k may hold peers of this connection, or have passed them on
	Deadline uint32 // handshake, moving, closing, draining: the second at which patience ends

	// owner: shard, door, outbox
	LastSeen uint32 // second in which bytes came last, or since which the client could be heard again

	// owner: inbox
	AsmSince uint32   // second in which the message now in Asm began, 0 without one
	Asm      pool.Buf // a head, message or PROXY header that has arrived in part
	AsmLen   uint32

	// owner: outbox
	Out       pool.Buf // frames that wait
	Flight    pool.Buf // frames handed to the ring
	OutLen    uint32
	FlightOff uint32
	FlightLen uint32
	SendTime  uint32 // second in which the send in flight was issued or last took bytes
	Offers    uint16 // of the frames that wait; those before a move or a hand-over are not counted
	Answers   uint16 // the same
	BytesOut  uint64 // that the kernel took since it came

	// owner: deflate
	History    uint32 // the place of the last bytes that were sent compressed; 0: none
	HistoryLen uint16

	// owner: outbox
	Others uint16 // frames that wait and are neither offers nor answers

	// owner: outbox, shard
	Dropped uint32 // frames that were left out

	// owner: shard
	BytesIn  uint64 // since it came
	Messages uint32 // the same
	PingAt   uint32 // second in which it was pinged last
	Reader   wsproto.Reader

	ChallengedAt uint32 // second in which it was challenged, 0 never
	Bad          uint16 // unusable messages in a row
	Wants        uint8  // torrents that its shard has asked to hold for it
	Asks         uint16 // requests mailed to other shards whose replies are still to come
	Reason       Reason // why it ends

	// owner: mover
	FD     int32  // moving, once paused: the descriptor
	Target uint16 // moving: the shard that it goes to

	// owner: meter
	MessagesPaid uint32 // times up to which all that came is paid for, in units of the meter
	BytesPaid    uint32
	ControlPaid  uint32
	OffersPaid   uint32
	SentPaid     uint32
	MostPaid     uint32
	MostFrom     uint32 // the address from which most offers come, by its number in the table of addresses
	MostVotes    uint32 // how many more come from there than from others
	Turn         uint32 // number of the Step that has read TurnBytes
	TurnBytes    uint32

	// owner: door
	Since  uint32    // second in which it came, before this shard perhaps
	Guard  guard.Ref // its client's address in the table of all addresses
	Port   uint16
	Family uint8 // of the swarms in which it takes part: 4, 6, or 0 when they are shared

	// owner: conn
	Version uint8 // of the client's address: an index of Stats.ByIP
	state   State
	gen     uint32

	Flags Flags
}

// Flags are a connection's yes-or-no facts.
type Flags uint32

// The flags, each with the part that sets and clears it.
const (
	Dirty       Flags = 1 << iota // outbox: it is looked at when the Step ends
	Held                          // outbox: nothing is received before the bytes that wait for it have left
	Throttled                     // meter: nothing is received before the connection is within its rates
	Postponed                     // meter: its bytes wait for the next Step
	Crowded                       // meter: nothing is received before those that wait for its turn are read
	Notified                      // outbox: was sent its close_notify
	Pinged                        // shard: was pinged and has sent nothing since
	Challenged                    // shard: was pinged since another connection has one of its peer ids, and has sent nothing since
	Doubted                       // shard: the time to answer that is over, but for a second
	HungUp                        // shard: the client's side has ended
	Established                   // shard: its TLS handshake is complete
	Encrypted                     // door: it speaks TLS
	Proxied                       // door: the header of the PROXY protocol is still to come
	Settled                       // mover: it is on the shard on which it stays, or about to go there
	Paused                        // mover: it is moving, and the ring receives nothing more
	Moved                         // mover: it has come from another shard, and may go on once more
	Spoken                        // door: the header of the PROXY protocol tells its client, and fields of the request do not
	Vouched                       // door: it came through a unix socket, whose clients are trusted proxies
	Deflates                      // shard: its messages may be compressed
	Alone                         // shard: and ours look back at none before
	Frozen                        // shard: it waits to be handed to another process
	Resting                       // outbox: the rest of its flight waits, since it is frozen
	// shard: three bits, how many bits fewer than 15 the window has to which ours look back.
	Narrower
	Narrow = Narrower | Narrower<<1 | Narrower<<2
)

// Narrows returns the flags of a window of so many bits, 8 to 15.
func Narrows(bits uint8) Flags { return Narrower * Flags(15-bits) }

// WindowBits returns how many bits that window has.
func (f Flags) WindowBits() uint8 { return 15 - uint8(f&Narrow/Narrower) }

// Window returns how far back a compressed message may look, in bytes.
func (f Flags) Window() int { return 32 << 10 >> (f & Narrow / Narrower) }

// Pauses are the flags each of which keeps the ring from receiving.
const Pauses = Held | Throttled | Crowded | Frozen

// Has reports whether one of the flags is set.
func (f Flags) Has(g Flags) bool { return f&g != 0 }

// State returns where the connection is in its life.
func (c *Conn) State() State { return c.state }

// Gen returns the generation of the slot, which tells its users apart.
func (c *Conn) Gen() uint32 { return c.gen }

// Client returns the address of the connection's client.
func (c *Conn) Client() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.Addr).Unmap(), c.Port)
}
