package load

// This file makes and reads the ids of a run: numbers written in 64 letters, with a keyed check. A receiver of such an
// id knows its client, its time and its right content without any record. The ids hold letters, digits, '-' and '_'
// only, so that they read the same raw and in JSON.
//
//	info hash   torrent (4 bytes), 11 bytes of a keyed hash of it
//	peer id     "-ML0001-", connection (4 bytes), incarnation (2), check (3)
//	offer id    connection (4 bytes), incarnation (2), number of the announce (4), of the offer (1), check (4)

import (
	"encoding/binary"
	"math/bits"
)

// id is an info hash, a peer id or an offer id.
type id = [20]byte

// peerPrefix is the client's name in its peer ids, in the form of BEP 20.
const peerPrefix = "-ML0001-"

// identity makes and reads the ids of one run. Runs with different seeds do not know each other's.
type identity struct {
	seed uint64
}

// Purposes of the keyed hash.
const (
	forHash uint64 = iota + 1
	forHashToo
	forPeer
	forOffer
	forContent
	forAnswer
	forSeeder
	forReply
	forKey
	forSlow
)

// mix is a keyed hash of two words.
func (d identity) mix(purpose, a, b uint64) uint64 {
	const m1, m2 = 0x9e3779b97f4a7c15, 0xe7037ed1a0b428db
	hi, lo := bits.Mul64(a^m1^d.seed, b^m2^purpose<<56)
	hi2, lo2 := bits.Mul64(hi^lo^m2, d.seed^purpose*m1)
	hi, lo = bits.Mul64(hi2^lo2^a, m1^b)
	return hi ^ lo
}

// infoHash returns the info hash of a torrent.
func (d identity) infoHash(torrent uint32) (h id) {
	var b [15]byte
	binary.BigEndian.PutUint32(b[:], torrent)
	binary.BigEndian.PutUint64(b[4:], d.mix(forHash, uint64(torrent), 0))
	var more [8]byte
	binary.BigEndian.PutUint64(more[:], d.mix(forHashToo, uint64(torrent), 0))
	copy(b[12:], more[:])
	encode64(h[:], b[:])
	return h
}

// TorrentIndex reads the number of a torrent out of its info hash. It does not check anything: a server that only moves
// bytes uses it.
func TorrentIndex(infoHash []byte) uint32 { return decodeUint32(infoHash) }

// peerID returns the peer id of a connection's incarnation: its name from one opening to the next.
func (d identity) peerID(connection uint32, incarnation uint16) (p id) {
	var b [9]byte
	binary.BigEndian.PutUint32(b[:], connection)
	binary.BigEndian.PutUint16(b[4:], incarnation)
	check := d.mix(forPeer, uint64(connection), uint64(incarnation))
	b[6], b[7], b[8] = byte(check>>16), byte(check>>8), byte(check)
	copy(p[:], peerPrefix)
	encode64(p[len(peerPrefix):], b[:])
	return p
}

// PeerIndex reads the number of a connection out of a peer id. It does not check anything.
func PeerIndex(peerID []byte) uint32 { return decodeUint32(peerID[len(peerPrefix):]) }

// parsePeer reads a peer id. It is false for one that no client of this run has.
func (d identity) parsePeer(p *id) (connection uint32, incarnation uint16, ok bool) {
	var b [9]byte
	if !decode64(b[:], p[len(peerPrefix):]) {
		return 0, 0, false
	}
	connection = binary.BigEndian.Uint32(b[:])
	incarnation = binary.BigEndian.Uint16(b[4:])
	return connection, incarnation, d.peerID(connection, incarnation) == *p
}

// offerRef names an offer: it is the number-th one in the announce seq of a connection.
type offerRef struct {
	connection  uint32
	seq         uint32
	incarnation uint16
	number      uint8
}

// content is the seed of the offer's session description.
func (d identity) content(r offerRef) uint64 {
	return d.mix(forContent, uint64(r.connection)<<32|uint64(r.seq), uint64(r.incarnation)<<8|uint64(r.number))
}

// offerID returns the offer's id.
func (d identity) offerID(r offerRef) (o id) {
	var b [15]byte
	binary.BigEndian.PutUint32(b[:], r.connection)
	binary.BigEndian.PutUint16(b[4:], r.incarnation)
	binary.BigEndian.PutUint32(b[6:], r.seq)
	b[10] = r.number
	binary.BigEndian.PutUint32(b[11:], d.offerCheck(r))
	encode64(o[:], b[:])
	return o
}

func (d identity) offerCheck(r offerRef) uint32 {
	return uint32(d.mix(forOffer, uint64(r.connection)<<32|uint64(r.seq), uint64(r.incarnation)<<8|uint64(r.number)))
}

// parseOffer reads an offer id. It is false for one that no client of this run can have made.
func (d identity) parseOffer(o *id) (r offerRef, ok bool) {
	var b [15]byte
	if !decode64(b[:], o[:]) {
		return r, false
	}
	r = offerRef{
		connection:  binary.BigEndian.Uint32(b[:]),
		incarnation: binary.BigEndian.Uint16(b[4:]),
		seq:         binary.BigEndian.Uint32(b[6:]),
		number:      b[10],
	}
	return r, binary.BigEndian.Uint32(b[11:]) == d.offerCheck(r)
}

// letters are the 64 of RFC 4648 §5. They need no escape in JSON.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// letterValues is the reverse of letters; 0xff is none.
var letterValues = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(letters) {
		t[letters[i]] = byte(i)
	}
	return t
}()

// encode64 writes src, a multiple of 3 bytes, as letters.
func encode64(dst, src []byte) {
	for len(src) >= 3 && len(dst) >= 4 {
		v := uint32(src[0])<<16 | uint32(src[1])<<8 | uint32(src[2])
		dst[0], dst[1], dst[2], dst[3] = letters[v>>18], letters[v>>12&63], letters[v>>6&63], letters[v&63]
		dst, src = dst[4:], src[3:]
	}
}

// decode64 is the reverse of encode64. It is false when src holds anything but letters.
func decode64(dst, src []byte) bool {
	bad := byte(0)
	for len(dst) >= 3 && len(src) >= 4 {
		a, b, c, d := letterValues[src[0]], letterValues[src[1]], letterValues[src[2]], letterValues[src[3]]
		bad |= a | b | c | d
		v := uint32(a&63)<<18 | uint32(b&63)<<12 | uint32(c&63)<<6 | uint32(d&63)
		dst[0], dst[1], dst[2] = byte(v>>16), byte(v>>8), byte(v)
		dst, src = dst[3:], src[4:]
	}
	return bad < 64
}

// decodeUint32 reads the number that the first 6 letters hold.
func decodeUint32(s []byte) uint32 {
	var b [6]byte
	if len(s) < 8 || !decode64(b[:], s[:8]) {
		return ^uint32(0)
	}
	return binary.BigEndian.Uint32(b[:])
}
