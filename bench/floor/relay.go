package floor

// This file writes the messages of a tracker: the reply to an announce, its offers to other peers of the torrent, and
// an answer to the peer that made the offer.

import (
	"encoding/binary"
	"strconv"

	"millrace/bench/load"
)

// relayed is an offer or answer on its way. Its bytes are views of the message that brought it.
type relayed struct {
	from    uint32 // connection of the sender
	to      uint32 // and of the receiver
	torrent uint32 // its number
	hash    []byte
	peer    []byte // id of the sender
	offerID []byte
	sdp     []byte // as JSON, without quotes
	answer  bool   // else it is an offer
	text    string // between peer id and sdp, where a fault wants another one
}

// The parts of the frames. They are those of the tracker, so that as many bytes are sent.
const (
	replyHash       = `{"action":"announce","info_hash":"`
	replyComplete   = `","complete":0,"incomplete":`
	replyInterval   = `,"interval":120}`
	relayPeer       = `","peer_id":"`
	relayOffer      = `","offer":{"type":"offer","sdp":"`
	relayAnswer     = `","answer":{"type":"answer","sdp":"`
	relayID         = `"},"offer_id":"`
	relayEnd        = `"}`
	scrapeHash      = `{"action":"scrape","files":{"`
	scrapeComplete  = `":{"complete":0,"incomplete":`
	scrapeEnd       = `,"downloaded":0}}}`
	textHeader      = 4 // of payloads of 126 to 65,535 bytes: nearly all of them
	largestHeader   = 10
	largestNumber   = 10
	relayRoom       = largestHeader + len(replyHash) + len(relayPeer) + len(relayAnswer) + len(relayID) + 3*20 + 2
	replyRoom       = largestHeader + len(replyHash) + 20 + len(replyComplete) + largestNumber + len(replyInterval)
	scrapeReplyRoom = largestHeader + len(scrapeHash) + 20 + len(scrapeComplete) + largestNumber + len(scrapeEnd)
)

// message handles one message of a client.
func (f *Floor) message(i uint32, c *conn, m []byte) {
	kind, l, offers := f.layouts.of(m)
	if kind == kindUnknown {
		f.stats.Unknown++
		return
	}
	hash := m[l.InfoHash : l.InfoHash+20]
	number := torrentNumber((*id)(hash))
	if number == none {
		f.stats.Unknown++
		return
	}
	switch kind {
	case kindAnnounce:
		f.announce(i, c, number, m, l, offers)
	case kindAnswer:
		f.answer(i, number, m, l)
	case kindScrape:
		f.scrape(i, c, number, hash)
	}
}

// announce replies, and relays the offers to the next peers of the torrent, one to each.
func (f *Floor) announce(i uint32, c *conn, number uint32, m []byte, l *load.Layout, offers int) {
	f.stats.Announces++
	peer := (*id)(m[l.PeerID:])
	if c.client == none || c.peer != *peer {
		f.introduce(i, c, *peer)
	}
	hash := m[l.InfoHash : l.InfoHash+20]
	if offers == 0 && stops(m) {
		f.leave(c, number)
		f.reply(i, c, number, hash)
		return
	}
	mine := f.member(i, c, number)
	if f.dueReply(Understate) {
		f.writeReply(i, c, 1, hash)
		return
	}
	f.reply(i, c, number, hash)
	t := &f.torrents[number]
	r := relayed{from: i, torrent: number, hash: hash, peer: peer[:]}
	for k := range min(offers, len(t.list)-1) {
		offer := m[l.Offers+k*l.Stride:]
		r.to = f.slab[t.pick(mine)].conn
		r.offerID = offer[l.OfferID : l.OfferID+20]
		r.sdp = offer[l.SDP : l.SDP+l.SDPSize]
		f.relay(&r)
	}
}

// pick returns the next membership of the torrent that is not mine. There is another one.
func (t *torrent) pick(mine uint32) uint32 {
	for {
		if t.next >= uint32(len(t.list)) {
			t.next = 0
		}
		to := t.list[t.next]
		t.next++
		if to != mine {
			return to
		}
	}
}

// answer relays an answer to the peer that its to_peer_id names.
func (f *Floor) answer(i, number uint32, m []byte, l *load.Layout) {
	to := f.connOf((*id)(m[l.ToPeerID:]))
	if to == none {
		f.drop(true)
		return
	}
	r := relayed{from: i, to: to, torrent: number, hash: m[l.InfoHash : l.InfoHash+20], peer: m[l.PeerID : l.PeerID+20],
		offerID: m[l.OfferID : l.OfferID+20], sdp: m[l.SDP : l.SDP+l.SDPSize], answer: true}
	f.relay(&r)
}

// relay hands an offer or answer to its receiver, or applies the fault to it.
func (f *Floor) relay(r *relayed) {
	if s := f.faultOf(r); s != nil {
		f.relayFaulty(s, r)
		return
	}
	f.write(r)
}

// write appends a relayed message to the bytes that wait for its receiver.
func (f *Floor) write(r *relayed) {
	c := &f.conns[r.to]
	n := relayRoom + len(r.sdp)
	if int(c.outSize)+n > maxWaiting && c.outSize > 0 {
		f.drop(r.answer)
		return
	}
	dst := f.room(r.to, c, n)
	if dst == nil {
		f.drop(r.answer)
		return
	}
	text := relayOffer
	if r.answer {
		text = relayAnswer
		f.stats.Answers++
	} else {
		f.stats.Offers++
	}
	if r.text != "" {
		text = r.text
	}
	b := append(append(dst[:textHeader], replyHash...), r.hash...)
	b = append(append(b, relayPeer...), r.peer...)
	b = append(append(b, text...), r.sdp...)
	b = append(append(b, relayID...), r.offerID...)
	f.fill(c, finish(append(b, relayEnd...)))
}

// reply replies to an announce, unless a fault prevents it.
func (f *Floor) reply(i uint32, c *conn, number uint32, hash []byte) {
	if f.dueReply(LoseReply) {
		return
	}
	if f.dueReply(DoubleReply) {
		f.writeReply(i, c, f.size(number), hash)
	}
	f.writeReply(i, c, f.size(number), hash)
}

// writeReply appends the reply to an announce to the bytes that wait for its sender.
func (f *Floor) writeReply(i uint32, c *conn, peers int, hash []byte) {
	dst := f.room(i, c, replyRoom)
	if dst == nil {
		return
	}
	b := append(append(dst[:textHeader], replyHash...), hash...)
	b = strconv.AppendInt(append(b, replyComplete...), int64(peers), 10)
	f.fill(c, finish(append(b, replyInterval...)))
}

// scrape appends the reply to a scrape of one torrent.
func (f *Floor) scrape(i uint32, c *conn, number uint32, hash []byte) {
	dst := f.room(i, c, scrapeReplyRoom)
	if dst == nil {
		return
	}
	b := append(append(dst[:textHeader], scrapeHash...), hash...)
	b = strconv.AppendInt(append(b, scrapeComplete...), int64(f.size(number)), 10)
	f.fill(c, finish(append(b, scrapeEnd...)))
}

// size returns how many peers a torrent has.
func (f *Floor) size(number uint32) int {
	if number >= uint32(len(f.torrents)) {
		return 0
	}
	return len(f.torrents[number].list)
}

// finish writes the header of the text frame whose payload begins at b[textHeader], and returns the size of the frame.
func finish(b []byte) int {
	n := len(b) - textHeader
	b[0] = finBit | opText
	switch {
	case n < 126:
		b[1] = byte(n)
		return 2 + copy(b[2:], b[textHeader:])
	case n < 1<<16:
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
		return len(b)
	}
	wide := b[:len(b)+6]
	copy(wide[largestHeader:], b[textHeader:])
	wide[1] = 127
	binary.BigEndian.PutUint64(wide[2:], uint64(n))
	return len(wide)
}
