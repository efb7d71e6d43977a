package cluster

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"millrace/swarm"
)

// This file names the home of a torrent: of all live nodes the one that scores highest for its hash. So a node that comes or goes moves its
// own share of the torrents and no others. Clients choose info hashes, so the hash is keyed with the cluster's secret.

// compass knows the key.
type compass struct{ key [32]byte }

func newCompass(secret []byte) (c compass, err error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "millrace cluster home", len(c.key))
	copy(c.key[:], key)
	return c, err
}

// sum hashes a torrent. The key and the bytes have one length, so SHA-256 over them is a keyed hash, and takes one block.
func (c *compass) sum(hash *swarm.ID) uint64 {
	var in [len(c.key) + len(swarm.ID{})]byte
	copy(in[:], c.key[:])
	copy(in[len(c.key):], hash[:])
	h := sha256.Sum256(in[:])
	return binary.LittleEndian.Uint64(h[:])
}

// lot is the part of a node in all scores. A node that comes back has the same.
func (c *compass) lot(id string) uint64 {
	h := sha256.Sum256(append(append(append([]byte{}, c.key[:]...), "node "...), id...))
	return binary.LittleEndian.Uint64(h[:])
}

// score mixes both, as the end of MurmurHash3 does.
func score(sum, lot uint64) uint64 {
	x := sum ^ lot
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
