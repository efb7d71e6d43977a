package guard

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
)

// This file owns the keyed hashes of addresses.

// Secret is the key of hashes of addresses, in plain bytes so that another process can have the same. Clients that know it can
// choose addresses that share an entry. The zero Secret is known to all.
type Secret [32]byte

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// The kinds of what is hashed, which are kept apart. Those of entries are the bits that an address shares with others of its
// entry.
const (
	kindFour   = 4 // an IPv4 address
	kindBlock  = 64
	kindNet    = 48
	kindSource = 1
)

// sum hashes at most 16 bytes of a kind. The secret, the kind and the bytes have one length in all, so SHA-256 over them is
// a keyed hash, and takes one block. It is computed once or twice for each connection, and not for messages.
func (s *Secret) sum(kind byte, b []byte) uint64 {
	var in [len(Secret{}) + 17]byte
	copy(in[:], s[:])
	in[len(s)] = kind
	copy(in[len(s)+1:], b)
	h := sha256.Sum256(in[:])
	return binary.LittleEndian.Uint64(h[:])
}

// Source returns the fingerprint of the part of an address that tells clients apart: all of an IPv4 address, mapped or not,
// and the first half of an IPv6 address.
func (s *Secret) Source(ip netip.Addr) uint64 {
	b := ip.As16()
	if !ip.Unmap().Is4() {
		clear(b[8:])
	}
	return s.sum(kindSource, b[:])
}

// keys returns the keyed hashes of an address and of its /48, which is 0 for IPv4. Neither is ever 0.
func (s *Secret) keys(ip netip.Addr) (block, net uint64) {
	b := ip.As16()
	if ip.Is4() {
		return s.sum(kindFour, b[:]) | keyBit, 0
	}
	return s.sum(kindBlock, b[:8]) | keyBit, s.sum(kindNet, b[:6]) | keyBit
}

// keyBit is set in the key of every entry that was ever used.
const keyBit = 1 << 63
