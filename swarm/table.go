package swarm

// ID is an info hash, a peer id or an offer id: 20 bytes that a client chose.
type ID = [20]byte

// Key names a swarm: an info hash, and the IP version whose peers it holds.
type Key struct {
	Hash   ID
	Family uint8 // 4, 6, or 0 when a swarm is shared across IP versions
}

// Addr names a connection: the shard that holds it, its place in that shard's table of connections,
// and the generation of that place, which changes whenever a connection leaves it.
type Addr struct {
	Index, Gen uint32
	Shard      uint16
}

// Options bound what a Table remembers. The zero value of a limit allows nothing.
type Options struct {
	Seed                  [2]uint64 // key of the hash tables and of the random sample: secret, one per process
	MaxPeerAge            uint32    // seconds without an announce after which a peer is quiet
	MaxQuietAge           uint32    // seconds without an announce after which a peer goes
	MaxOfferAge           uint32    // seconds in which a relayed offer can be answered
	MaxPeersPerConnection int       // peers (torrent × peer id) of one connection in this table, at most 65,535
	MaxPeers              int       // peers in this table, at most 67,108,862
	MaxPendingOffers      int       // relayed and unanswered offers remembered in this table, at most 67,108,862
	MaxPendingPerPeer     int       // the same for one sending peer
}

// Table holds the swarms that one shard owns. It is not safe for concurrent use.
type Table struct{ o Options }

// New returns an empty Table.
func New(o Options) *Table { return &Table{o: o} }

// Counts says what a Table holds now, and what it has dropped since it was made.
type Counts struct {
	Torrents, Peers, Seeders, Quiet, Connections, PendingOffers int

	OffersExpired   uint64 // relayed offers that nobody answered in time
	OffersPushedOut uint64 // relayed offers forgotten early because their sender was at a limit
	PeersAgedOut    uint64 // peers removed because they had not announced for MaxQuietAge

	Bytes int // memory taken for all of it, free records included
}

// Left says what an announce told about the bytes its peer has yet to download.
type Left uint8

// The values of Left.
const (
	LeftUnknown Left = iota // not said: a known peer stays what it is, a new one is a leecher
	LeftZero                // nothing: a seeder
	LeftMore                // something: a leecher
)

// Event is what an announce reports.
type Event uint8

// The values of Event.
const (
	EventUpdate    Event = iota // the peer is there
	EventStopped                // the peer leaves
	EventCompleted              // the peer has the whole torrent now
)

// Announce is one peer's message about one torrent.
type Announce struct {
	Key    Key
	Peer   ID
	From   Addr
	Source uint64 // keyed hash of the client's IP address, the same in all announces of one connection
	Left   Left
	Event  Event
	Offers []ID // ids of the offers that may be relayed, only read
}

// Status says what an announce has done.
type Status uint8

// The values of Status.
const (
	StatusUpdated Status = iota
	StatusAdded
	StatusRemoved
	StatusAbsent
	StatusNotOwner
	StatusTakenOver
	StatusFull
)

func (s Status) String() string { return "" }

// Result is the answer to an announce.
type Result struct {
	Complete, Incomplete uint32
	Status               Status
}

// Target is a peer that receives an offer, and its connection.
type Target struct {
	To   Addr
	Peer ID
}

// Answer is one peer's answer to an offer.
type Answer struct {
	Key   Key
	Peer  ID // who answers
	From  Addr
	To    ID // who offered
	Offer ID
}

// AnswerStatus says what becomes of an answer.
type AnswerStatus uint8

// The values of AnswerStatus.
const (
	AnswerRelay AnswerStatus = iota
	AnswerNotPeer
	AnswerNoPeer
	AnswerNoOffer
)

func (s AnswerStatus) String() string { return "" }

func (t *Table) Announce(now uint32, a *Announce, targets []Target) (Result, []Target) {
	return Result{}, targets
}
func (t *Table) Answer(now uint32, a *Answer) (Addr, AnswerStatus)      { return Addr{}, AnswerNoPeer }
func (t *Table) Scrape(k Key) (complete, incomplete, downloaded uint32) { return 0, 0, 0 }
func (t *Table) Gone(a Addr) int                                        { return 0 }
func (t *Table) Sweep(now uint32, budget int) int                       { return 0 }
func (t *Table) Len() int                                               { return 0 }
func (t *Table) Counts() Counts                                         { return Counts{} }
func (t *Table) CountsByFamily(family uint8) (torrents, peers int)      { return 0, 0 }
