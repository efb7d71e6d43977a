package shard

import (
	"encoding/binary"

	"millrace/ring"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file lays out the records that shards send each other. Integers are little-endian; a record's sender is known
// from the box it lies in. Layouts, after one byte of kind:
//
//	announce  family left event offers:u8 · index gen · source:u64 · hash peer · { id len:u32 sdp }…
//	answer    family · index gen · hash peer to offer · sdp
//	scrape    family · shard:u16 index gen · { hash complete incomplete downloaded:u32 filled:u8 }…
//	gone      index gen
//	deliver   frame kind · index gen · frame
//	move      flags · descriptor · address:16 port:u16 · what the client has sent and nobody has read

type mailKind uint8

const (
	mailAnnounce mailKind = iota + 1
	mailAnswer
	mailScrape
	mailGone
	mailDeliver
	mailMove
)

const (
	idSize          = len(swarm.ID{})
	announceHead    = 5 + 8 + 8 + 2*idSize
	offerHead       = idSize + 4
	answerHead      = 2 + 8 + 4*idSize
	scrapeHead      = 2 + 2 + 8
	scrapeFileSize  = idSize + 13
	goneSize        = 1 + 8
	deliverHead     = 2 + 8
	maxMailedOffers = 255 // they are counted in one byte
)

var le = binary.LittleEndian

// reserve returns room for a record to shard k, or nil if its box has none. While the end of a connection could not be
// mailed to k nothing else is, so that records stay in order. Requests and what is relayed leave a quarter of the box to
// replies and to the ends of connections: a client that floods the tracker costs others their offers before it costs
// them their replies.
func (s *Shard) reserve(k, n int, urgent bool) []byte {
	switch {
	case len(s.backlog[k]) > 0:
		return nil
	case urgent:
		return s.out[k].Reserve(n)
	}
	return s.out[k].ReserveKeeping(n, s.out[k].Size()/4)
}

// mailAnnounce sends an announce to the owner of its torrent. It reports whether there was room.
func (s *Shard) mailAnnounce(k int, a *announceAsk) bool {
	offers := a.offers[:min(len(a.offers), maxMailedOffers)]
	size := announceHead
	for i := range offers {
		size += offerHead + len(offers[i].SDP)
	}
	rec := s.reserve(k, size, false)
	if rec == nil {
		return false
	}
	b := append(rec[:0], byte(mailAnnounce), a.Key.Family, byte(a.Left), byte(a.Event), byte(len(offers)))
	b = le.AppendUint32(b, a.From.Index)
	b = le.AppendUint32(b, a.From.Gen)
	b = le.AppendUint64(b, a.Source)
	b = append(b, a.Key.Hash[:]...)
	b = append(b, a.Peer[:]...)
	for i := range offers {
		b = append(b, offers[i].ID[:]...)
		b = le.AppendUint32(b, uint32(len(offers[i].SDP)))
		b = append(b, offers[i].SDP...)
	}
	s.commitRecord(k, len(b))
	return true
}

// readAnnounce serves an announce that shard from has mailed.
func (s *Shard) readAnnounce(from int, rec []byte) {
	a := announceAsk{}
	a.Key.Family, a.Left, a.Event = rec[1], swarm.Left(rec[2]), swarm.Event(rec[3])
	n := int(rec[4])
	a.From = swarm.Addr{Index: le.Uint32(rec[5:]), Gen: le.Uint32(rec[9:]), Shard: uint16(from)}
	a.Source = le.Uint64(rec[13:])
	copy(a.Key.Hash[:], rec[21:])
	copy(a.Peer[:], rec[21+idSize:])
	s.offers = s.offers[:0]
	for b := rec[announceHead:]; n > 0; n-- {
		size := int(le.Uint32(b[idSize:]))
		s.offers = append(s.offers, wsproto.Offer{ID: swarm.ID(b[:idSize]), SDP: b[offerHead : offerHead+size]})
		b = b[offerHead+size:]
	}
	a.offers = s.offers
	s.serveAnnounce(&a)
}

// mailAnswer sends an answer to the owner of its torrent. It reports whether there was room.
func (s *Shard) mailAnswer(k int, a *answerAsk) bool {
	rec := s.reserve(k, answerHead+len(a.sdp), false)
	if rec == nil {
		return false
	}
	b := append(rec[:0], byte(mailAnswer), a.Key.Family)
	b = le.AppendUint32(b, a.From.Index)
	b = le.AppendUint32(b, a.From.Gen)
	for _, id := range []*swarm.ID{&a.Key.Hash, &a.Peer, &a.To, &a.Offer} {
		b = append(b, id[:]...)
	}
	b = append(b, a.sdp...)
	s.commitRecord(k, len(b))
	return true
}

// readAnswer serves an answer that shard from has mailed.
func (s *Shard) readAnswer(from int, rec []byte) {
	a := answerAsk{sdp: rec[answerHead:]}
	a.Key.Family = rec[1]
	a.From = swarm.Addr{Index: le.Uint32(rec[2:]), Gen: le.Uint32(rec[6:]), Shard: uint16(from)}
	for i, id := range []*swarm.ID{&a.Key.Hash, &a.Peer, &a.To, &a.Offer} {
		copy(id[:], rec[10+i*idSize:])
	}
	s.serveAnswer(&a)
}

// mailScrape sends a scrape to the next shard. It reports whether there was room.
func (s *Shard) mailScrape(k int, r *scrapeRecord) bool {
	rec := s.reserve(k, scrapeHead+len(r.files)*scrapeFileSize, k == int(r.from.Shard))
	if rec == nil {
		return false
	}
	b := append(rec[:0], byte(mailScrape), r.family)
	b = le.AppendUint16(b, r.from.Shard)
	b = le.AppendUint32(b, r.from.Index)
	b = le.AppendUint32(b, r.from.Gen)
	for i := range r.files {
		f := &r.files[i]
		b = append(b, f.Hash[:]...)
		b = le.AppendUint32(b, f.Complete)
		b = le.AppendUint32(b, f.Incomplete)
		b = le.AppendUint32(b, f.Downloaded)
		b = append(b, boolByte(r.filled[i]))
	}
	s.commitRecord(k, len(b))
	return true
}

// readScrape serves a scrape that another shard has mailed, or the result of one's own.
func (s *Shard) readScrape(rec []byte) {
	r := &s.scraped
	r.family = rec[1]
	r.from = swarm.Addr{Shard: le.Uint16(rec[2:]), Index: le.Uint32(rec[4:]), Gen: le.Uint32(rec[8:])}
	r.files, r.filled = r.files[:0], r.filled[:0]
	for b := rec[scrapeHead:]; len(b) > 0; b = b[scrapeFileSize:] {
		n := b[idSize:]
		r.files = append(r.files, wsproto.ScrapeFile{
			Hash: swarm.ID(b[:idSize]), Complete: le.Uint32(n), Incomplete: le.Uint32(n[4:]), Downloaded: le.Uint32(n[8:]),
		})
		r.filled = append(r.filled, n[12] != 0)
	}
	s.serveScrape(r)
	if int(r.from.Shard) == s.opt.ID {
		s.replied(r.from)
	}
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// roomInMail is roomFor for a connection of another shard: the frame is composed inside the record that carries it.
func (s *Shard) roomInMail(to swarm.Addr, n int, kind frameKind) []byte {
	rec := s.reserve(int(to.Shard), deliverHead+n, !kind.droppable())
	if rec == nil {
		s.stats.DroppedMail[kind]++
		return nil
	}
	b := append(rec[:0], byte(mailDeliver), byte(kind))
	b = le.AppendUint32(b, to.Index)
	b = le.AppendUint32(b, to.Gen)
	s.open = room{box: s.out[to.Shard], kind: kind}
	return b[deliverHead:]
}

// commitMail ends a reservation of roomInMail with a frame of n bytes.
func (s *Shard) commitMail(r *room, n int) {
	r.box.Commit(deliverHead + n)
	s.stats.MailOut++
}

// commitRecord ends any other record, of n bytes.
func (s *Shard) commitRecord(k, n int) {
	s.out[k].Commit(n)
	s.stats.MailOut++
}

// readDeliver copies a finished frame to the connection it is for.
func (s *Shard) readDeliver(rec []byte) {
	kind, frame := frameKind(rec[1]), rec[deliverHead:]
	to := swarm.Addr{Index: le.Uint32(rec[2:]), Gen: le.Uint32(rec[6:]), Shard: uint16(s.opt.ID)}
	if dst := s.roomAt(to, len(frame), kind); dst != nil {
		s.commit(append(dst, frame...))
	}
	if !kind.droppable() {
		s.replied(to)
	}
}

// asked remembers that a reply to the connection will come by mail.
func (c *conn) asked() {
	if c.asks < 1<<16-1 {
		c.asks++
	}
}

// replied ends a connection that has ended its own side and was only waiting for this reply.
func (s *Shard) replied(to swarm.Addr) {
	c := &s.conns[to.Index]
	if c.gen != to.Gen || c.asks == 0 {
		return
	}
	c.asks--
	if c.asks == 0 && c.state == stateOpen && c.flags.has(flagHungUp) {
		s.finish(to.Index, c, ReasonEOF)
	}
}

// readMail handles what the other shards have sent, each box in turn and at most maxMailPerStep records in all.
func (s *Shard) readMail() {
	share := maxMailPerStep / max(1, s.opt.Shards)
	for k, box := range s.in {
		if box == nil {
			continue
		}
		for range share {
			rec := box.Next()
			if rec == nil {
				break
			}
			s.readRecord(k, rec)
		}
		box.Release()
		s.moreWork = s.moreWork || !box.Empty()
	}
}

// readRecord handles one record from shard k.
func (s *Shard) readRecord(k int, rec []byte) {
	s.stats.MailIn++
	switch mailKind(rec[0]) {
	case mailAnnounce:
		s.readAnnounce(k, rec)
	case mailAnswer:
		s.readAnswer(k, rec)
	case mailScrape:
		s.readScrape(rec)
	case mailGone:
		s.gone(swarm.Addr{Index: le.Uint32(rec[1:]), Gen: le.Uint32(rec[5:]), Shard: uint16(k)})
	case mailDeliver:
		s.readDeliver(rec)
	case mailMove:
		s.readMove(k, rec)
	default:
		panic("BUG: mail of an unknown kind")
	}
}

// publishMail shows the others what this Step has written, and wakes those who sleep: at most once each.
func (s *Shard) publishMail() {
	for k, box := range s.out {
		if box != nil && box.Publish() && s.bells[k].Ring() {
			s.stats.Wakes++
			s.ops = append(s.ops, ring.Op{Kind: ring.OpWake, Target: uint16(k)})
		}
	}
}

// PrepareToSleep must be called by the loop before it blocks: it reports whether there is nothing to read, and from
// then on the others wake this shard when they write to it.
func (s *Shard) PrepareToSleep() bool {
	bell := &s.bells[s.opt.ID]
	bell.Sleep()
	for _, box := range s.in {
		if box != nil && !box.Empty() {
			bell.Awake()
			return false
		}
	}
	return true
}

// AwakeAgain is called by the loop after its wait.
func (s *Shard) AwakeAgain() { s.bells[s.opt.ID].Awake() }

// sendGone tells all owners in the mask that the connection has ended. Bit k%64 of the mask stands for shard k; telling
// one that held no peers does no harm.
func (s *Shard) sendGone(addr swarm.Addr, owners uint64) {
	for k := range s.opt.Shards {
		if owners>>(k%64)&1 == 0 {
			continue
		}
		if k == s.opt.ID {
			s.gone(addr)
		} else if rec := s.reserve(k, goneSize, true); rec != nil {
			s.putGone(k, rec, addr)
		} else {
			s.backlog[k] = append(s.backlog[k], addr)
			s.stats.Backlog++
			s.stats.Backlogged++
		}
	}
}

// putGone composes and commits the record that a connection has ended.
func (s *Shard) putGone(k int, rec []byte, addr swarm.Addr) {
	b := append(rec[:0], byte(mailGone))
	b = le.AppendUint32(b, addr.Index)
	b = le.AppendUint32(b, addr.Gen)
	s.commitRecord(k, len(b))
}

// flushBacklog mails the ends of connections that found a box full, oldest first. They may not be lost, or their peers
// would stay for ever. The backlog is bounded by the connections: one is told of only to shards that have mail from it,
// and shard k gets mail from no other one before it has heard of these. Every Step tries again, a tick at the latest.
func (s *Shard) flushBacklog() {
	if s.stats.Backlog == 0 {
		return
	}
	for k, waiting := range s.backlog {
		done := 0
		for done < len(waiting) {
			rec := s.out[k].Reserve(goneSize)
			if rec == nil {
				break
			}
			s.putGone(k, rec, waiting[done])
			done++
		}
		s.stats.Backlog -= done
		s.backlog[k] = waiting[done:]
		if len(s.backlog[k]) == 0 {
			s.backlog[k] = nil
		}
	}
}
