package tlsconn

// This file owns the key schedule: from the secrets of the handshake to the keys of each direction.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite, as the record layer sees it.
type suite struct {
	id       uint16
	keyLen   int
	hash     func() hash.Hash
	hashLen  int
	aead     func(key []byte) cipher.AEAD
	explicit bool // TLS 1.2 AES-GCM: 8 of the nonce's 12 bytes travel in each record
}

const (
	maxKeyLen  = 32
	maxHashLen = sha512.Size384
	ivLen      = 12
	tagLen     = 16
)

// suites are all suites that [NewConfig] allows.
var suites = []suite{
	{tls.TLS_AES_128_GCM_SHA256, 16, sha256.New, sha256.Size, newGCM, false},
	{tls.TLS_AES_256_GCM_SHA384, 32, sha512.New384, sha512.Size384, newGCM, false},
	{tls.TLS_CHACHA20_POLY1305_SHA256, 32, sha256.New, sha256.Size, newChaCha, false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 16, sha256.New, sha256.Size, newGCM, true},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 32, sha512.New384, sha512.Size384, newGCM, true},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 32, sha256.New, sha256.Size, newChaCha, false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 16, sha256.New, sha256.Size, newGCM, true},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 32, sha512.New384, sha512.Size384, newGCM, true},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 32, sha256.New, sha256.Size, newChaCha, false},
}

// suiteOf returns the suite with the number id, nil if it is none of ours.
func suiteOf(id uint16) *suite {
	for i := range suites {
		if suites[i].id == id {
			return &suites[i]
		}
	}
	return nil
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: AES refuses a key of the suite's length: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: GCM refuses AES: " + err.Error())
	}
	return aead
}

func newChaCha(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic("BUG: ChaCha20-Poly1305 refuses a key of the suite's length: " + err.Error())
	}
	return aead
}

// half is the protection of one direction. Its key is expanded when it is needed ([Engine.expand]) and may be dropped
// at any time: the expanded form takes most of a connection's memory.
type half struct {
	aead   cipher.AEAD // nil: not expanded
	seq    uint64      // number of the next record
	secret [maxHashLen]byte
	key    [maxKeyLen]byte
	iv     [ivLen]byte
}

// setSecret derives key and nonce base from a TLS 1.3 traffic secret and starts at record 0.
//
// RFC 8446 §7.3: «[sender]_write_key = HKDF-Expand-Label(Secret, "key", "", key_length)», «[sender]_write_iv =
// HKDF-Expand-Label(Secret, "iv", "", iv_length)». RFC 8446 §5.3: «Each sequence number is set to zero at the beginning
// of a connection and whenever the key is changed».
func (h *half) setSecret(s *suite, secret []byte) {
	*h = half{}
	copy(h.secret[:], secret)
	expandLabel(s, h.key[:s.keyLen], secret, "key")
	expandLabel(s, h.iv[:], secret, "iv")
}

// update moves to the next generation of keys, at record 0.
//
// RFC 8446 §7.2: «application_traffic_secret_N+1 = HKDF-Expand-Label(application_traffic_secret_N, "traffic upd", "",
// Hash.length)».
func (h *half) update(s *suite) {
	var next [maxHashLen]byte
	expandLabel(s, next[:s.hashLen], h.secret[:s.hashLen], "traffic upd")
	h.setSecret(s, next[:s.hashLen])
}

// expandLabel fills out by HKDF-Expand-Label (RFC 8446 §7.1) with an empty context.
func expandLabel(s *suite, out, secret []byte, label string) {
	info := make([]byte, 0, 32)
	info = append(info, byte(len(out)>>8), byte(len(out)), byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "...)
	info = append(info, label...)
	info = append(info, 0)
	b, err := hkdf.Expand(s.hash, secret, string(info), len(out))
	if err != nil {
		panic("BUG: HKDF refuses the lengths of TLS: " + err.Error())
	}
	copy(out, b)
}

// keys12 derives the keys of both directions of a TLS 1.2 connection, as the server sees them, at record 0.
//
// RFC 5246 §6.3: «key_block = PRF(SecurityParameters.master_secret, "key expansion",
// SecurityParameters.server_random + SecurityParameters.client_random)». It is cut into client_write_key,
// server_write_key, client_write_IV and server_write_IV; AEADs have no MAC keys.
func keys12(s *suite, master, clientRandom, serverRandom []byte) (in, out half) {
	nonce := ivLen
	if s.explicit {
		nonce = 4 // RFC 5288 §3: «struct { opaque salt[4]; opaque nonce_explicit[8]; } GCMNonce;»
	}
	seed := append([]byte("key expansion"), serverRandom...)
	seed = append(seed, clientRandom...)
	block := make([]byte, 2*(s.keyLen+nonce))
	prf12(s, block, master, seed)
	block = block[copy(in.key[:], block[:s.keyLen]):]
	block = block[copy(out.key[:], block[:s.keyLen]):]
	block = block[copy(in.iv[:], block[:nonce]):]
	copy(out.iv[:], block[:nonce])
	return in, out
}

// prf12 fills out with P_hash(secret, labelAndSeed).
//
// RFC 5246 §5: «P_hash(secret, seed) = HMAC_hash(secret, A(1) + seed) + HMAC_hash(secret, A(2) + seed) + ...»,
// «A(0) = seed», «A(i) = HMAC_hash(secret, A(i-1))».
func prf12(s *suite, out, secret, labelAndSeed []byte) {
	mac := hmac.New(s.hash, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	for a := sum(labelAndSeed); len(out) > 0; a = sum(a) {
		out = out[copy(out, sum(a, labelAndSeed)):]
	}
}
