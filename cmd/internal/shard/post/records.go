package post

import (
	"encoding/binary"

	"millrace/cmd/internal/guard"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file lays out the records that shards send each other. They carry payloads and not finished frames: the shard that
// holds a connection makes every frame for it, so a frame can depend on its receiver. Integers are little-endian; a
// record's sender is known from the box it lies in. Layouts, after one byte of kind:
//
//	announce  family left event offers:u8 · index gen shard:u16 · source:u64 · origin:u32 full:u8 · hold:u8 number:u32 ·
//	          came:u64 · hash peer · { id len:u32 sdp }…
//	answer    family · index gen shard:u16 · hash peer to offer · sdp
//	scrape    family · shard:u16 index gen · { hash complete incomplete downloaded:u32 filled:u8 }…
//	ended     index gen shard:u16
//	yield     index gen shard:u16
//	return    hash · number:u32
//	challenge index gen
//	reply     index gen · hash complete incomplete:u32 came:u64
//	failure   index gen · action has-hash reason · hash
//	offer     index gen · hash peer offer · sdp
//	answered  index gen · hash peer offer · sdp
//	move      flags:u32 · descriptor · address:16 port:u16 · entry:u64 ·
//	          since:u32 in:u64 out:u64 messages:u32 dropped:u32 · bytes that the client has sent and nobody has read

// Kind is the kind of a record.
type Kind uint8

// The kinds. The first three are requests on their way to the shard that holds a torrent; Reply to Answered are
// payloads for a connection; Ended, Move, Yield and Challenge are about connections, Return about a torrent.
const (
	KindAnnounce Kind = iota + 1
	KindAnswer
	KindScrape
	KindEnded
	KindReply
	KindFailure
	KindOffer
	KindAnswered
	KindMove
	KindYield
	KindChallenge
	KindReturn
	Kinds // one more than the last
)

var kindNames = [Kinds]string{
	"", "announce", "answer", "scrape", "ended", "reply", "failure", "relayed offer", "relayed answer", "move",
	"yield", "challenge", "return",
}

// String returns the kind's name as it stands in traces.
func (k Kind) String() string { return kindNames[k] }

const (
	idSize         = len(swarm.ID{})
	addrSize       = 8
	senderSize     = addrSize + 2
	announceHead   = 5 + senderSize + 13 + 5 + 8 + 2*idSize
	offerHead      = idSize + 4
	answerHead     = 2 + senderSize + 4*idSize
	scrapeHead     = 2 + 2 + addrSize
	scrapeFileSize = idSize + 13
	endedSize      = 1 + senderSize // also of yield
	challengeSize  = 1 + addrSize
	returnSize     = 1 + idSize + 4
	replySize      = 1 + addrSize + idSize + 8 + 8
	failureSize    = 4 + addrSize + idSize
	relayHead      = 1 + addrSize + 3*idSize + 4
	moveHead       = 1 + 4 + 4 + 16 + 2 + 8 + 28

	maxOffers = 255 // of one announce: they are counted in one byte
)

var le = binary.LittleEndian

// Announce is an announce on its way to the shard that holds the torrent. Its slices are views of the message or of the
// record.
type Announce struct {
	swarm.Announce
	Hold   Hold
	Number uint32 // with Held: which one of the announces it is that the home has passed on
	Came   int64  // see Reply
	SDPs   []wsproto.Offer
}

// Hold says how an announce goes about the shard that holds its torrent (see package loans).
type Hold uint8

// The ways of an announce.
const (
	Asks  Hold = iota // it goes to the home, which holds the torrent or passes the announce on
	Wants             // and the sender would hold it
	Held              // it comes from the home, to the shard that holds the torrent
)

// Answer is an answer on its way to the shard that holds the torrent.
type Answer struct {
	swarm.Answer
	SDP []byte
}

// Scrape is a scrape on its way through the shards that hold its torrents: each fills in its counts and passes it on,
// and the last one sends it home. So nobody has to remember that a scrape is under way.
type Scrape struct {
	From   swarm.Addr
	Family uint8
	Files  []wsproto.ScrapeFile
	Filled []bool // by file
}

// Reply is the reply to an announce.
type Reply struct {
	Hash                 swarm.ID
	Complete, Incomplete uint32
	Came                 int64 // nanoseconds on the clock of the loops at which the announce came; 0: it is not measured
}

// Relay is an offer for a peer, or an answer for the peer that made the offer.
type Relay struct {
	Hash, Peer, Offer swarm.ID // Peer is the sender
	Origin            uint32   // of an offer: the number of the sender's address (guard.Ref), 0 without limits
	SDP               []byte   // a JSON string literal, as received
}

// Failure is the reply to a request that cannot be served.
type Failure struct {
	Action  wsproto.Action
	HasHash bool
	Hash    swarm.ID
	Why     wsproto.Failure
}

// Used is what a connection has used since it came.
type Used struct {
	Since             uint32 // seconds ago
	BytesIn, BytesOut uint64
	Messages, Dropped uint32
}

// Move is a connection that goes to another shard. Its TLS goes beside the mail (see package mover).
type Move struct {
	Flags  uint32
	Guard  guard.Ref
	FD     int32
	Addr   [16]byte
	Port   uint16
	Used   Used
	Unread []byte
}

func appendAddr(b []byte, a swarm.Addr) []byte {
	return le.AppendUint32(le.AppendUint32(b, a.Index), a.Gen)
}

func addrAt(b []byte, shard int) swarm.Addr {
	return swarm.Addr{Index: le.Uint32(b), Gen: le.Uint32(b[4:]), Shard: uint16(shard)}
}

func appendIDs(b []byte, ids ...*swarm.ID) []byte {
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// appendSender is appendAddr for a record that another shard than the connection's own may pass on.
func appendSender(b []byte, a swarm.Addr) []byte { return le.AppendUint16(appendAddr(b, a), a.Shard) }

func senderAt(b []byte) swarm.Addr { return addrAt(b, int(le.Uint16(b[addrSize:]))) }

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Announce sends an announce to shard k, the home of its torrent or the shard that holds it. Like the other methods that send a record it reports
// false, and has done nothing, where the box has no room.
func (p *Post) Announce(k int, a *Announce) bool {
	offers := a.SDPs[:min(len(a.SDPs), maxOffers)]
	size := announceHead
	for i := range offers {
		size += offerHead + len(offers[i].SDP)
	}
	b := p.begin(k, size, KindAnnounce, false)
	if b == nil {
		return false
	}
	b = append(b, a.Key.Family, byte(a.Left), byte(a.Event), byte(len(offers)))
	b = le.AppendUint64(appendSender(b, a.From), a.Source)
	b = append(le.AppendUint32(b, a.Origin), boolByte(a.Full), byte(a.Hold))
	b = le.AppendUint64(le.AppendUint32(b, a.Number), uint64(a.Came))
	b = appendIDs(b, &a.Key.Hash, &a.Peer)
	for i := range offers {
		b = append(b, offers[i].ID[:]...)
		b = le.AppendUint32(b, uint32(len(offers[i].SDP)))
		b = append(b, offers[i].SDP...)
	}
	return p.commit(k, b)
}

// ReadAnnounce decodes a record of KindAnnounce. a.SDPs is used again and points into the record.
func ReadAnnounce(rec []byte, a *Announce) {
	sdps, ids := a.SDPs[:0], a.Offers
	*a = Announce{}
	a.Key.Family, a.Left, a.Event = rec[1], swarm.Left(rec[2]), swarm.Event(rec[3])
	a.From = senderAt(rec[5:])
	n := rec[5+senderSize:]
	a.Source, a.Origin, a.Full = le.Uint64(n), le.Uint32(n[8:]), n[12] != 0
	a.Hold, a.Number = Hold(n[13]), le.Uint32(n[14:])
	a.Came = int64(le.Uint64(n[18:]))
	copy(a.Key.Hash[:], n[26:])
	copy(a.Peer[:], n[26+idSize:])
	b := rec[announceHead:]
	for range rec[4] {
		size := int(le.Uint32(b[idSize:]))
		sdps = append(sdps, wsproto.Offer{ID: swarm.ID(b[:idSize]), SDP: b[offerHead : offerHead+size]})
		b = b[offerHead+size:]
	}
	a.SDPs, a.Offers = sdps, ids
}

// Answer sends an answer to shard k, the home of its torrent or the shard that holds it.
func (p *Post) Answer(k int, a *Answer) bool {
	b := p.begin(k, answerHead+len(a.SDP), KindAnswer, false)
	if b == nil {
		return false
	}
	b = appendSender(append(b, a.Key.Family), a.From)
	b = appendIDs(b, &a.Key.Hash, &a.Peer, &a.To, &a.Offer)
	return p.commit(k, append(b, a.SDP...))
}

// ReadAnswer decodes a record of KindAnswer. a.SDP points into the record.
func ReadAnswer(rec []byte, a *Answer) {
	*a = Answer{SDP: rec[answerHead:]}
	a.Key.Family = rec[1]
	a.From = senderAt(rec[2:])
	for i, id := range []*swarm.ID{&a.Key.Hash, &a.Peer, &a.To, &a.Offer} {
		copy(id[:], rec[2+senderSize+i*idSize:])
	}
}

// Scrape sends a scrape to shard k, the next one that owns some of its torrents, or home.
func (p *Post) Scrape(k int, r *Scrape) bool {
	b := p.begin(k, scrapeHead+len(r.Files)*scrapeFileSize, KindScrape, k == int(r.From.Shard))
	if b == nil {
		return false
	}
	b = le.AppendUint16(append(b, r.Family), r.From.Shard)
	b = appendAddr(b, r.From)
	for i := range r.Files {
		f := &r.Files[i]
		b = append(b, f.Hash[:]...)
		b = le.AppendUint32(b, f.Complete)
		b = le.AppendUint32(b, f.Incomplete)
		b = le.AppendUint32(b, f.Downloaded)
		b = append(b, boolByte(r.Filled[i]))
	}
	return p.commit(k, b)
}

// ReadScrape decodes a record of KindScrape. The slices of r are used again.
func ReadScrape(rec []byte, r *Scrape) {
	r.Family = rec[1]
	r.From = addrAt(rec[4:], int(le.Uint16(rec[2:])))
	r.Files, r.Filled = r.Files[:0], r.Filled[:0]
	for b := rec[scrapeHead:]; len(b) > 0; b = b[scrapeFileSize:] {
		n := b[idSize:]
		r.Files = append(r.Files, wsproto.ScrapeFile{
			Hash: swarm.ID(b[:idSize]), Complete: le.Uint32(n), Incomplete: le.Uint32(n[4:]), Downloaded: le.Uint32(n[8:]),
		})
		r.Filled = append(r.Filled, n[12] != 0)
	}
}
