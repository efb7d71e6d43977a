package load

// This file tests that ids are read back, and that a changed one is refused.

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestIDsRoundTrip proves that ids can be read back, hold only letters that JSON writes as they are, and that the
// numbers a plain server needs are found without the seed.
func TestIDsRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		who := identity{seed: random.Uint64()}
		connection, incarnation, torrent := random.Uint32(), uint16(random.Uint32()), random.Uint32()
		peer, hash := who.peerID(connection, incarnation), who.infoHash(torrent)
		ref := offerRef{connection, random.Uint32(), incarnation, uint8(random.Uint32())}
		offer := who.offerID(ref)
		if c, i, ok := who.parsePeer(&peer); c != connection || i != incarnation || !ok {
			t.Fatalf("peer %d/%d is read as %d/%d, %v", connection, incarnation, c, i, ok)
		}
		if r, ok := who.parseOffer(&offer); r != ref || !ok {
			t.Fatalf("offer %+v is read as %+v, %v", ref, r, ok)
		}
		if PeerIndex(peer[:]) != connection || TorrentIndex(hash[:]) != torrent {
			t.Fatalf("the numbers %d and %d are read as %d and %d", connection, torrent, PeerIndex(peer[:]),
				TorrentIndex(hash[:]))
		}
		for _, i := range []id{peer, hash, offer} {
			if strings.Trim(string(i[:]), letters) != "" {
				t.Fatalf("the id %q has other letters", i)
			}
		}
		other := identity{seed: who.seed + 1}
		if _, _, ok := other.parsePeer(&peer); ok {
			t.Fatal("another run knows the peer id")
		}
		if _, ok := other.parseOffer(&offer); ok {
			t.Fatal("another run knows the offer id")
		}
	}
}

// TestChangedIDs proves that an id with any one letter changed is refused.
func TestChangedIDs(t *testing.T) {
	who := identity{seed: 3}
	peer, offer := who.peerID(70_000, 12), who.offerID(offerRef{70_000, 1_000_000, 12, 9})
	for i := range idSize {
		for _, c := range []byte("A_z\"\x00\xff") {
			p, o := peer, offer
			p[i], o[i] = c, c
			if _, _, ok := who.parsePeer(&p); ok && p != peer {
				t.Errorf("peer id %q is taken", p)
			}
			if _, ok := who.parseOffer(&o); ok && o != offer {
				t.Errorf("offer id %q is taken", o)
			}
		}
	}
}
