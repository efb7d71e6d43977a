package post

import (
	"millrace/cmd/internal/guard"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the records with payloads for connections, which go to the shard that holds the connection, and the
// records about connections themselves.

// Reply sends the reply to an announce to the shard that holds the connection.
func (p *Post) Reply(to swarm.Addr, r *Reply) bool {
	b := p.begin(int(to.Shard), replySize, KindReply, true)
	if b == nil {
		return false
	}
	b = appendIDs(appendAddr(b, to), &r.Hash)
	b = le.AppendUint32(le.AppendUint32(b, r.Complete), r.Incomplete)
	b = le.AppendUint64(b, uint64(r.Came))
	return p.commit(int(to.Shard), b)
}

// ReadReply decodes a record of KindReply.
func ReadReply(rec []byte, r *Reply) {
	n := rec[1+addrSize:]
	r.Hash, r.Complete, r.Incomplete = swarm.ID(n[:idSize]), le.Uint32(n[idSize:]), le.Uint32(n[idSize+4:])
	r.Came = int64(le.Uint64(n[idSize+8:]))
}

// Failure sends a failure to the shard that holds the connection.
func (p *Post) Failure(to swarm.Addr, f *Failure) bool {
	b := p.begin(int(to.Shard), failureSize, KindFailure, true)
	if b == nil {
		return false
	}
	b = appendAddr(b, to)
	b = append(b, byte(f.Action), boolByte(f.HasHash), byte(f.Why))
	return p.commit(int(to.Shard), append(b, f.Hash[:]...))
}

// ReadFailure decodes a record of KindFailure.
func ReadFailure(rec []byte, f *Failure) {
	b := rec[1+addrSize:]
	f.Action, f.HasHash, f.Why, f.Hash = wsproto.Action(b[0]), b[1] != 0, wsproto.Failure(b[2]), swarm.ID(b[3:])
}

// Offer sends an offer to the shard that holds the peer it is for.
func (p *Post) Offer(to swarm.Addr, r *Relay) bool { return p.relay(to, r, KindOffer) }

// Answered sends an answer to the shard that holds the peer that made the offer.
func (p *Post) Answered(to swarm.Addr, r *Relay) bool { return p.relay(to, r, KindAnswered) }

func (p *Post) relay(to swarm.Addr, r *Relay, kind Kind) bool {
	b := p.begin(int(to.Shard), relayHead+len(r.SDP), kind, false)
	if b == nil {
		return false
	}
	b = appendIDs(appendAddr(b, to), &r.Hash, &r.Peer, &r.Offer)
	return p.commit(int(to.Shard), append(le.AppendUint32(b, r.Origin), r.SDP...))
}

// ReadRelay decodes a record of KindOffer or KindAnswered. r.SDP points into the record.
func ReadRelay(rec []byte, r *Relay) {
	b := rec[1+addrSize:]
	r.Hash, r.Peer, r.Offer = swarm.ID(b[:idSize]), swarm.ID(b[idSize:]), swarm.ID(b[2*idSize:])
	r.Origin = le.Uint32(b[3*idSize:])
	r.SDP = rec[relayHead:]
}

// ReadAddr returns the connection that a record of KindReply, KindFailure, KindOffer, KindAnswered or KindChallenge
// names. It is one of the given shard, the reader.
func ReadAddr(rec []byte, shard int) swarm.Addr { return addrAt(rec[1:], shard) }

// ReadSender returns the connection, of any shard, that a record of KindEnded or KindYield names.
func ReadSender(rec []byte) swarm.Addr { return senderAt(rec[1:]) }

// Challenge tells the shard of a connection that another one announces one of its peers. It may be lost where the box has
// no room: the next announce of the other one brings it up again.
func (p *Post) Challenge(to swarm.Addr) bool {
	k := int(to.Shard)
	b := p.begin(k, challengeSize, KindChallenge, false)
	return b != nil && p.commit(k, appendAddr(b, to))
}

// Yield tells all shards in the mask, as of Ended, that a connection does not answer. It reports false if one of them had
// no room for that. The news may be lost: then the peers there stay until the next challenge.
func (p *Post) Yield(addr swarm.Addr, owners uint64) bool {
	all := true
	for k := range p.shards {
		if k != p.self && owners>>(k%64)&1 != 0 {
			b := p.begin(k, endedSize, KindYield, false)
			all = b != nil && p.commit(k, appendSender(b, addr)) && all
		}
	}
	return all
}

// Return gives a torrent that this shard holds back to its home. seen is the number of the last announce that the home
// has passed on.
func (p *Post) Return(home int, hash *swarm.ID, seen uint32) bool {
	b := p.begin(home, returnSize, KindReturn, true)
	return b != nil && p.commit(home, le.AppendUint32(append(b, hash[:]...), seen))
}

// ReadReturn decodes a record of KindReturn.
func ReadReturn(rec []byte) (hash swarm.ID, seen uint32) {
	return swarm.ID(rec[1 : 1+idSize]), le.Uint32(rec[1+idSize:])
}

// Move sends a connection to shard k.
func (p *Post) Move(k int, m *Move) bool {
	b := p.begin(k, moveHead+len(m.Unread), KindMove, false)
	if b == nil {
		return false
	}
	b = le.AppendUint32(le.AppendUint32(b, m.Flags), uint32(m.FD))
	b = le.AppendUint16(append(b, m.Addr[:]...), m.Port)
	b = le.AppendUint64(b, m.Guard.Word())
	b = le.AppendUint64(le.AppendUint64(le.AppendUint32(b, m.Used.Since), m.Used.BytesIn), m.Used.BytesOut)
	b = le.AppendUint32(le.AppendUint32(b, m.Used.Messages), m.Used.Dropped)
	return p.commit(k, append(b, m.Unread...))
}

// ReadMove decodes a record of KindMove. m.Unread points into the record.
func ReadMove(rec []byte, m *Move) {
	m.Flags, m.FD = le.Uint32(rec[1:]), int32(le.Uint32(rec[5:]))
	m.Addr, m.Port, m.Guard = [16]byte(rec[9:]), le.Uint16(rec[25:]), guard.RefOf(le.Uint64(rec[27:]))
	n := rec[35:]
	m.Used = Used{le.Uint32(n), le.Uint64(n[4:]), le.Uint64(n[12:]), le.Uint32(n[20:]), le.Uint32(n[24:])}
	m.Unread = rec[moveHead:]
}

// Ended tells all shards in the mask that a connection of this shard has ended, this one excepted. Bit k%64 stands for
// shard k; a shard that held no peers of it is not harmed. The news may not be lost, or the peers would stay for ever: it
// waits in the backlog where a box has no room.
func (p *Post) Ended(addr swarm.Addr, owners uint64) {
	for k := range p.shards {
		switch {
		case k == p.self || owners>>(k%64)&1 == 0:
		case p.backlog[k].Len() > 0 || !p.putEnded(k, addr):
			p.putBack(k, addr)
		}
	}
}

// PassEnded is Ended for the end of a connection of any shard: a home tells it to the shards that hold torrents of its. They
// may have no peer of the connection, so this backlog is not bounded by the connections. While it is full the news are
// lost: such peers go when they are too old.
func (p *Post) PassEnded(addr swarm.Addr, holders uint64) {
	for k := range p.shards {
		switch {
		case k == p.self || holders>>(k%64)&1 == 0:
		case p.backlog[k].Len() == 0 && p.putEnded(k, addr):
		case p.backlog[k].Len() < maxPassedOn:
			p.putBack(k, addr)
		default:
			p.stats.EndsLost++
		}
	}
}

// maxPassedOn is the length of the backlog to a shard at which it takes no more ends that are passed on.
const maxPassedOn = 1 << 16

func (p *Post) putBack(k int, addr swarm.Addr) {
	p.backlog[k].Push(addr)
	p.stats.Backlog++
	p.stats.Backlogged++
}

func (p *Post) putEnded(k int, addr swarm.Addr) bool {
	rec := p.out[k].Reserve(endedSize)
	if rec == nil {
		return false
	}
	return p.commit(k, appendSender(append(rec[:0], byte(KindEnded)), addr))
}

// maxFlushPerStep bounds the ends of connections that one Step mails from the backlog, to all shards together.
const maxFlushPerStep = 4096

// FlushBacklog mails the ends of connections that found a box full, oldest first. The backlog, but for what is passed on, is
// bounded by the connections: a connection's end is told only to shards that have mail from it, and shard k gets mail from no
// other connection before it has heard of these. Every Step tries again, a tick at the latest.
func (p *Post) FlushBacklog() {
	if p.stats.Backlog == 0 {
		return
	}
	for k := range p.backlog {
		waiting, left := &p.backlog[k], max(1, maxFlushPerStep/len(p.backlog))
		for waiting.Len() > 0 && left > 0 && p.putEnded(k, waiting.Front()) {
			waiting.Pop()
			p.stats.Backlog--
			left--
		}
		p.turn.More = p.turn.More || waiting.Len() > 0 && left == 0
	}
}

// NextMove reads on to the next connection that another shard has sent here and nobody has taken in. It is called when all
// loops have ended, and reports false when there is none.
func (p *Post) NextMove(m *Move) bool {
	for _, box := range p.in {
		if box == nil {
			continue
		}
		for rec := box.Next(); rec != nil; rec = box.Next() {
			if KindOf(rec) == KindMove {
				ReadMove(rec, m)
				return true
			}
		}
	}
	return false
}
