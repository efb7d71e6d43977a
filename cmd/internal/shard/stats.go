package shard

import (
	"net/netip"

	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// Stats are a shard's counters: plain integers that only its thread touches, copied out about once a second. Counters
// only grow; what is marked as a gauge goes up and down.
type Stats struct {
	Conns  [states]int // gauge, by state
	Closed [Reasons]uint64

	LastClient [Reasons]netip.AddrPort // whose connection ended last for a reason that is Abusive

	Accepted, Refused, AcceptFailed, Upgraded uint64
	LastAcceptError                           ring.Errno
	RefusedByStatus                           [len(refusalStatuses)]uint64 // HTTP errors, by refusalStatuses

	ByIP                                  [2]IPStats // IPv4, IPv6
	BytesIn, BytesOut                     uint64
	TLSFull, TLSResumed, TLSFailed        uint64 // handshakes
	PingsIn, PongsIn                      uint64
	Overloaded                            [wsproto.ActionScrape + 1]uint64 // requests for which a mailbox had no room
	Rejected                              [wsproto.RejectFullScrape + 1]uint64
	BadOffers, ScrapesForbidden           uint64
	Announces                             [swarm.StatusConnectionFull + 1]uint64 // at the owner, by outcome
	Answers                               [swarm.AnswerNoOffer + 1]uint64
	DroppedFull                           [frameKinds]uint64 // the receiver is over its limit of waiting bytes
	DroppedMemory                         [frameKinds]uint64 // no send memory left
	DroppedGone                           [frameKinds]uint64 // the receiver has left
	DroppedMail                           [frameKinds]uint64 // the mailbox to another shard was full
	Sends, ShortSends                     uint64
	HeldBack                              uint64 // times that a client was not heard because it did not read
	AssemblyFull, BadProxyHeaders         uint64
	SealFailed                            uint64 // times that what waited for a TLS connection was dropped for lack of memory
	MailIn, MailOut, Wakes                uint64
	MovedIn, MovedOut                     uint64 // connections that came from other shards and went to them
	MovesRefused                          uint64 // that would have gone, but the other shard has enough
	MovesGivenUp                          uint64 // that were about to go and then stayed
	MovesLost                             uint64 // that came when the connection table was full, and were closed
	ServedHere, ServedElsewhere           uint64 // announces and answers of connections here, by whose torrent it is
	Backlog                               int    // gauge: ends of connections not yet mailed
	Backlogged                            uint64 // how many there ever were
	GoneWaiting                           int    // gauge: ended connections whose peers are not yet removed
	GoneWaited                            uint64 // how many there ever were
	SendMemory, AssemblyMemory, MailDepth int    // gauges, bytes in use; filled by Snapshot
	TLSMemory                             int    // gauge: bytes of buffers for partial records; filled by Snapshot

	Swarm    swarm.Counts               // gauges and counters of the table; filled by Snapshot
	Families [len(families)]FamilyStats // gauges; filled by Snapshot
}

// FamilyStats are the gauges of the swarms of one IP version.
type FamilyStats struct {
	Torrents, Peers int
}

// families are the values of swarm.Key.Family, in the order of Stats.Families.
var families = [...]uint8{4, 6, 0}

// FamilyNames are the names of the swarms' IP versions, in the order of Stats.Families.
var FamilyNames = [len(families)]string{"4", "6", "shared"}

// IPStats are the counters that are kept apart for IPv4 and IPv6 clients.
type IPStats struct {
	Open       int                              // gauge: WebSocket connections
	MessagesIn [wsproto.ActionScrape + 1]uint64 // by action
	FramesOut  [frameKinds]uint64
}

// IPNames are the names of IP versions, in the order of Stats.ByIP.
var IPNames = [2]string{"4", "6"}

// FrameNames returns the names of what is sent, in the order of the counters by kind of frame.
func FrameNames() []string { return frameNames[:] }

// StateNames returns the names of connections' states, in the order of Stats.Conns; the first stands for free slots.
func StateNames() []string { return stateNames[:] }

// RefusalStatuses returns the HTTP errors in the order of Stats.RefusedByStatus; 0 stands for all others.
func RefusalStatuses() []int { return refusalStatuses[:] }

// refusalStatuses are the HTTP errors that are counted one by one; the last stands for all others.
var refusalStatuses = [...]int{400, 405, 408, 426, 431, 503, 505, 0}

// countRefusal counts an HTTP error.
func (s *Stats) countRefusal(status int) {
	for k, known := range refusalStatuses {
		if known == status || known == 0 {
			s.RefusedByStatus[k]++
			return
		}
	}
}

// Snapshot returns a copy of the counters. It is called by the loop's thread.
func (s *Shard) Snapshot() Stats {
	st := s.stats
	st.SendMemory, st.AssemblyMemory = s.sendPool.InUse(), s.asmPool.InUse()
	if s.secure != nil {
		st.TLSMemory = s.secure.engine.Buffered()
	}
	for _, box := range s.in {
		if box != nil {
			st.MailDepth += box.Depth()
		}
	}
	st.GoneWaiting = s.ended.len()
	st.Swarm = s.table.Counts()
	for k, family := range families {
		st.Families[k].Torrents, st.Families[k].Peers = s.table.CountsByFamily(family)
	}
	return st
}

// Add adds the figures of another shard, for totals.
func (s *Stats) Add(o *Stats) {
	add(s.Conns[:], o.Conns[:])
	for _, p := range [][2][]uint64{
		{s.Closed[:], o.Closed[:]},
		{s.RefusedByStatus[:], o.RefusedByStatus[:]},
		{s.ByIP[0].MessagesIn[:], o.ByIP[0].MessagesIn[:]},
		{s.ByIP[1].MessagesIn[:], o.ByIP[1].MessagesIn[:]},
		{s.Rejected[:], o.Rejected[:]},
		{s.Overloaded[:], o.Overloaded[:]},
		{s.Announces[:], o.Announces[:]},
		{s.Answers[:], o.Answers[:]},
		{s.ByIP[0].FramesOut[:], o.ByIP[0].FramesOut[:]},
		{s.ByIP[1].FramesOut[:], o.ByIP[1].FramesOut[:]},
		{s.DroppedFull[:], o.DroppedFull[:]},
		{s.DroppedMemory[:], o.DroppedMemory[:]},
		{s.DroppedGone[:], o.DroppedGone[:]},
		{s.DroppedMail[:], o.DroppedMail[:]},
	} {
		add(p[0], p[1])
	}
	for _, p := range [][2]*uint64{
		{&s.Accepted, &o.Accepted}, {&s.Refused, &o.Refused}, {&s.AcceptFailed, &o.AcceptFailed},
		{&s.Upgraded, &o.Upgraded}, {&s.BytesIn, &o.BytesIn}, {&s.BytesOut, &o.BytesOut},
		{&s.TLSFull, &o.TLSFull}, {&s.TLSResumed, &o.TLSResumed}, {&s.TLSFailed, &o.TLSFailed},
		{&s.PingsIn, &o.PingsIn}, {&s.PongsIn, &o.PongsIn}, {&s.BadOffers, &o.BadOffers},
		{&s.ScrapesForbidden, &o.ScrapesForbidden}, {&s.Swarm.PeersForbidden, &o.Swarm.PeersForbidden},
		{&s.Sends, &o.Sends}, {&s.ShortSends, &o.ShortSends}, {&s.HeldBack, &o.HeldBack}, {&s.AssemblyFull, &o.AssemblyFull},
		{&s.BadProxyHeaders, &o.BadProxyHeaders}, {&s.SealFailed, &o.SealFailed},
		{&s.MailIn, &o.MailIn}, {&s.MailOut, &o.MailOut}, {&s.Wakes, &o.Wakes}, {&s.Backlogged, &o.Backlogged},
		{&s.GoneWaited, &o.GoneWaited},
		{&s.MovedIn, &o.MovedIn}, {&s.MovedOut, &o.MovedOut}, {&s.MovesRefused, &o.MovesRefused},
		{&s.MovesGivenUp, &o.MovesGivenUp}, {&s.MovesLost, &o.MovesLost},
		{&s.ServedHere, &o.ServedHere}, {&s.ServedElsewhere, &o.ServedElsewhere},
		{&s.Swarm.OffersExpired, &o.Swarm.OffersExpired}, {&s.Swarm.OffersPushedOut, &o.Swarm.OffersPushedOut},
		{&s.Swarm.PeersAgedOut, &o.Swarm.PeersAgedOut},
	} {
		*p[0] += *p[1]
	}
	for _, p := range [][2]*int{
		{&s.ByIP[0].Open, &o.ByIP[0].Open}, {&s.ByIP[1].Open, &o.ByIP[1].Open}, {&s.Backlog, &o.Backlog}, {&s.SendMemory, &o.SendMemory}, {&s.AssemblyMemory, &o.AssemblyMemory},
		{&s.MailDepth, &o.MailDepth}, {&s.TLSMemory, &o.TLSMemory}, {&s.Swarm.Torrents, &o.Swarm.Torrents}, {&s.Swarm.Peers, &o.Swarm.Peers},
		{&s.Swarm.Seeders, &o.Swarm.Seeders}, {&s.Swarm.Quiet, &o.Swarm.Quiet},
		{&s.Swarm.Connections, &o.Swarm.Connections}, {&s.Swarm.PendingOffers, &o.Swarm.PendingOffers},
		{&s.Swarm.Bytes, &o.Swarm.Bytes},
	} {
		*p[0] += *p[1]
	}
	for why, client := range o.LastClient {
		if client.IsValid() {
			s.LastClient[why] = client
		}
	}
	if o.LastAcceptError != 0 {
		s.LastAcceptError = o.LastAcceptError
	}
}

// add adds two rows of counters.
func add[T int | uint64](to, from []T) {
	for k := range to {
		to[k] += from[k]
	}
}

// Open returns how many connections are not closed yet, in whatever state.
func (s *Stats) Open() int {
	n := 0
	for _, c := range s.Conns {
		n += c
	}
	return n
}
