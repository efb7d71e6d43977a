package main

// This file owns a record layer of TLS 1.3 that can send KeyUpdates, which crypto/tls cannot. It takes over the
// client's side of a connection after a handshake by crypto/tls.

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite of TLS 1.3.
type suite struct {
	keySize int
	hash    func() hash.Hash
	aead    func(key []byte) (cipher.AEAD, error)
}

var suites = map[uint16]suite{
	tls.TLS_AES_128_GCM_SHA256:       {16, sha256.New, newGCM},
	tls.TLS_AES_256_GCM_SHA384:       {32, sha512.New384, newGCM},
	tls.TLS_CHACHA20_POLY1305_SHA256: {32, sha256.New, chacha20poly1305.New},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Content types of records (RFC 8446 §5.1), and the message that asks for new keys of both sides (§4.6.3).
const (
	typeHandshake = 22
	typeData      = 23
)

var keyUpdateRequested = []byte{24, 0, 0, 1, 1}

// sealer protects the records of one direction.
type sealer struct {
	suite
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// newSealer derives the keys from a traffic secret (RFC 8446 §7.3).
func newSealer(s suite, secret []byte) (*sealer, error) {
	k := &sealer{suite: s, secret: secret}
	key, err := k.expand("key", s.keySize)
	if err != nil {
		return nil, err
	}
	if k.iv, err = k.expand("iv", 12); err != nil {
		return nil, err
	}
	k.aead, err = s.aead(key)
	return k, err
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func (k *sealer) expand(label string, n int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	return hkdf.Expand(k.hash, k.secret, string(append(info, 0)), n)
}

// seal appends one record.
func (k *sealer) seal(dst []byte, kind byte, content []byte) []byte {
	plain := append(append([]byte(nil), content...), kind)
	at := len(dst)
	dst = append(dst, typeData, 3, 3)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(plain)+k.aead.Overhead()))
	nonce := bytes.Clone(k.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^k.seq)
	k.seq++
	return k.aead.Seal(dst, nonce, plain, bytes.Clone(dst[at:]))
}

// update appends a KeyUpdate that asks for one of the other side, and goes on to the next keys (RFC 8446 §7.2).
func (k *sealer) update(dst []byte) ([]byte, error) {
	dst = k.seal(dst, typeHandshake, keyUpdateRequested)
	secret, err := k.expand("traffic upd", len(k.secret))
	if err != nil {
		return dst, err
	}
	next, err := newSealer(k.suite, secret)
	if err == nil {
		*k = *next
	}
	return dst, err
}

// takeOver makes a handshake by crypto/tls and returns the sealer of the client's next records.
func takeOver(c net.Conn, config *tls.Config) (*sealer, error) {
	var keys bytes.Buffer
	config = config.Clone()
	config.MinVersion, config.KeyLogWriter, config.ClientSessionCache = tls.VersionTLS13, &keys, nil
	secure := tls.Client(c, config)
	c.SetDeadline(time.Now().Add(patience))
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Time{})
	for line := range strings.Lines(keys.String()) {
		fields := strings.Fields(line) // label, random of the client, secret
		if len(fields) == 3 && fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				return nil, err
			}
			chosen := secure.ConnectionState().CipherSuite
			s, ok := suites[chosen]
			if !ok {
				return nil, fmt.Errorf("the cipher suite %#x is not one of TLS 1.3", chosen)
			}
			return newSealer(s, secret)
		}
	}
	return nil, errors.New("crypto/tls has not told the secret of the client's records")
}

// Each block of a KeyUpdate flood has keyUpdates of them and one byte of data, which the tracker takes for progress.
const (
	keyUpdates     = 16
	keyUpdateBytes = 3_000_000 // a second, over all connections
	floodTick      = 10 * time.Millisecond
)

// floodKeyUpdates upgrades a connection and then sends KeyUpdates at a fixed rate. A deaf flooder does not read.
func floodKeyUpdates(ctx context.Context, s *scene, c *client, deaf bool) error {
	keys, err := takeOver(c, s.tls)
	if err != nil {
		return err
	}
	if !deaf {
		go discard(c)
	}
	if _, err := c.Write(keys.seal(nil, typeData, []byte(upgradeRequest))); err != nil {
		return err
	}
	s.entered.Add(1)
	rate := keyUpdateBytes / scaled(s.connections, s.Scale)
	pings := bytes.NewReader(nil)
	began, sent := time.Now(), 0
	tick := time.NewTicker(floodTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		var out []byte
		for budget := int(time.Since(began).Seconds()*float64(rate)) - sent; len(out) < budget; {
			for range keyUpdates {
				if out, err = keys.update(out); err != nil {
					return err
				}
			}
			if pings.Len() == 0 {
				pings.Reset(appendFrame(nil, opPing, ""))
			}
			one, _ := pings.ReadByte()
			out = keys.seal(out, typeData, []byte{one})
		}
		sent += len(out)
		if _, err := c.Write(out); err != nil {
			return err
		}
		<-tick.C
	}
	return nil
}
