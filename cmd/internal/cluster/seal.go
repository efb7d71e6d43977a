package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"millrace/cmd/internal/cluster/record"
)

// This file owns the seal of messages: AES-256-GCM with a key for each life of a node, made of the cluster's secret. The header of a message
// is not secret but sealed too. So are the subject and, if there is one, the life of the receiver: a message that somebody without the
// secret sends on to another node, or that is meant for an earlier life of its receiver, cannot be opened.

// keyFor returns the key of one life of a node.
func keyFor(secret []byte, of record.Incarnation) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, of[:], "millrace cluster seal", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// envelope is what a message says besides its records.
type envelope struct {
	record.Header
	subject string
	to      record.Incarnation // zero: it is for all
}

// appendExtra appends the bytes that are sealed and not secret.
func (e *envelope) appendExtra(dst []byte) []byte {
	return append(append(e.Header.Append(dst), e.to[:]...), e.subject...)
}

// nonce never repeats for one key, since the number does not.
func (e *envelope) nonce() (n [12]byte) {
	binary.BigEndian.PutUint64(n[4:], e.Number)
	return n
}

// seal makes messages of one life of a node.
type seal struct {
	key        cipher.AEAD
	from       record.Incarnation
	number     uint64 // of the last message: one counter for all subjects
	out, extra []byte
}

// close seals records. The message is good until the next one.
func (s *seal) close(subject string, to record.Incarnation, records []byte) []byte {
	s.number++
	e := envelope{record.Header{Version: record.Version, From: s.from, Number: s.number}, subject, to}
	s.extra = e.appendExtra(s.extra[:0])
	s.out = e.Header.Append(s.out[:0])
	nonce := e.nonce()
	s.out = s.key.Seal(s.out, nonce[:], records, s.extra)
	return s.out
}

// opener opens messages of others. What it opens is good until the next one.
type opener struct{ out, extra []byte }

// open returns the records of a message.
func (o *opener) open(key cipher.AEAD, e *envelope, msg []byte) ([]byte, bool) {
	nonce := e.nonce()
	o.extra = e.appendExtra(o.extra[:0])
	out, err := key.Open(o.out[:0], nonce[:], msg[record.HeaderSize:], o.extra)
	if err != nil {
		return nil, false
	}
	o.out = out
	return out, true
}
