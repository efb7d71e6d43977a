package shard

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"millrace/cmd/internal/shard/conn"
	"millrace/swarm"
)

// This file answers the questions of an operator about the connections and torrents of a shard, a slice in every Step, so
// that a look over a large table keeps no client waiting.

// Look is a question to a shard, or an order about its clients. Its fields above Found are the question; the loop fills in the
// rest. Nobody else may touch it until it is answered.
type Look interface {
	// slice does a bounded part of the work and reports whether all is done.
	slice(s *Shard) bool
}

// pendingLook is a look that is not answered yet.
type pendingLook struct {
	Look
	done func()
}

// Look has a look answered in the next Steps. done is called by the loop's thread.
func (s *Shard) Look(l Look, done func()) {
	s.chores.looks = append(s.chores.looks, pendingLook{l, done})
}

// lookSlice goes on with the first of the looks.
func (s *Shard) lookSlice() {
	if len(s.chores.looks) == 0 {
		return
	}
	if first := s.chores.looks[0]; first.slice(s) {
		s.chores.looks = slices.Delete(s.chores.looks, 0, 1)
		first.done()
	}
	s.turn.More = s.turn.More || len(s.chores.looks) > 0
}

// Connection is a connection as its shard sees it. What it has used counts from when it came to the tracker.
type Connection struct {
	Addr              swarm.Addr
	Client            netip.AddrPort
	State             conn.State
	Flags             conn.Flags
	Since, LastSeen   uint32 // seconds ago
	BytesIn, BytesOut uint64
	Messages, Dropped uint32
	Waiting           int // bytes that are to be sent, or on their way
	HalfBuilt         int // bytes of a message that has arrived in part
}

// LookConnections looks for connections. The most that there are fit where Most is 0.
type LookConnections struct {
	Client netip.Prefix // of clients in this network; the zero Prefix: of all
	Most   int          // are shown; 0: all

	Found []Connection
	All   int // how many there are

	at uint32
}

func (l *LookConnections) slice(s *Shard) bool {
	return s.eachConn(&l.at, maxScanPerStep, func(i uint32, c *conn.Conn) {
		client := c.Client()
		if l.Client.IsValid() && !l.Client.Contains(client.Addr()) {
			return
		}
		l.All++
		if l.Most > 0 && len(l.Found) >= l.Most {
			return
		}
		l.Found = append(l.Found, Connection{
			Addr: s.table.Address(i), Client: client, State: c.State(), Flags: c.Flags,
			Since: s.turn.Now - c.Since, LastSeen: s.turn.Now - min(c.LastSeen, s.turn.Now),
			BytesIn: c.BytesIn, BytesOut: c.BytesOut, Messages: c.Messages, Dropped: c.Dropped,
			Waiting: int(c.OutLen) + int(c.FlightLen-c.FlightOff), HalfBuilt: int(c.AsmLen),
		})
	})
}

// eachConn calls f for the connections at the next n places of the table, and reports whether these were the last.
func (s *Shard) eachConn(at *uint32, n int, f func(i uint32, c *conn.Conn)) (done bool) {
	for ; n > 0 && *at < s.table.Used(); n-- {
		if c := s.table.At(*at); c.State() != conn.Free {
			f(*at, c)
		}
		*at++
	}
	return *at >= s.table.Used()
}

// maxLookSeats bounds the peers that one look at seats or a torrent shows.
const maxLookSeats = 1024

// LookSeats looks for the torrents of some connections, of any shard, that this shard holds.
type LookSeats struct {
	Of []swarm.Addr

	Found []swarm.Seat
	Now   uint32 // second on the clock of Seat.Seen
}

func (l *LookSeats) slice(s *Shard) bool {
	l.Now = s.turn.Now
	for _, a := range l.Of {
		l.Found = s.torrents.AppendSeats(l.Found, a, maxLookSeats-len(l.Found))
	}
	return true
}

// LookClients looks for the clients of connections.
type LookClients struct {
	Of []swarm.Addr // those of other shards are left out

	Found map[swarm.Addr]netip.AddrPort
}

func (l *LookClients) slice(s *Shard) bool {
	l.Found = make(map[swarm.Addr]netip.AddrPort)
	for _, a := range l.Of {
		if !s.isHere(a) {
			continue
		}
		if c := s.table.Find(a.Index, a.Gen); c != nil {
			l.Found[a] = c.Client()
		}
	}
	return true
}

// LookTorrents looks for torrents of this shard.
type LookTorrents struct {
	Hash  []byte           // the first bytes of their info hashes, or all; empty: any
	Most  int              // are shown, those with most peers
	Also  map[[8]byte]bool // and those whose info hashes begin so
	Peers int              // that are shown of those that are found, all together; at most maxLookSeats

	Found []swarm.Torrent // in any order
	Named []swarm.Torrent // those of Also
	All   int             // how many there are
	Seats []swarm.Seat
	Now   uint32 // second on the clock of Seat.Seen

	at uint32
}

func (l *LookTorrents) slice(s *Shard) bool {
	l.at = s.torrents.Torrents(l.at, maxScanPerStep, func(t *swarm.Torrent) {
		if bytes.HasPrefix(t.Key.Hash[:], l.Hash) {
			l.All++
			l.keep(t)
		}
		if l.Also[[8]byte(t.Key.Hash[:])] {
			l.Named = append(l.Named, *t)
		}
	})
	if l.at != 0 {
		return false
	}
	l.Now = s.turn.Now
	for k := range l.Found {
		l.Seats = s.torrents.AppendMembers(l.Seats, l.Found[k].Key, min(l.Peers, maxLookSeats)-len(l.Seats))
	}
	return true
}

// keep keeps a torrent if it is one of the largest. The smallest of those that are kept stands first once there are Most.
func (l *LookTorrents) keep(t *swarm.Torrent) {
	size := func(t *swarm.Torrent) uint32 { return t.Seeders + t.Leechers }
	switch {
	case len(l.Found) < l.Most:
		l.Found = append(l.Found, *t)
	case l.Most == 0 || size(t) <= size(&l.Found[0]):
		return
	default:
		l.Found[0] = *t
	}
	if len(l.Found) == l.Most {
		least := slices.MinFunc(l.Found, func(a, b swarm.Torrent) int { return cmp.Compare(size(&a), size(&b)) })
		k := slices.Index(l.Found, least)
		l.Found[0], l.Found[k] = l.Found[k], l.Found[0]
	}
}

// Expel ends the connections of an address that the operator has banned, but for those of addresses without limits.
type Expel struct {
	Client netip.Prefix

	Ended int

	at uint32
}

// maxExpelledPerStep bounds how many places of the table one Step looks at to end connections there.
const maxExpelledPerStep = 512

func (l *Expel) slice(s *Shard) bool {
	return s.eachConn(&l.at, maxExpelledPerStep, func(i uint32, c *conn.Conn) {
		if !l.Client.Contains(c.Client().Addr()) || c.State().Ends() || c.Guard.Exempt() {
			return
		}
		l.Ended++
		s.endBanned(i, c)
	})
}
