package tlsconn

// This file owns the configuration of handshakes, and the certificate and ticket keys in use, which can be changed
// while handshakes run.

import (
	"crypto/rand"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// NewConfig returns the configuration of handshakes with these certificates.
//
//   - TLS 1.2 and 1.3. In 1.2 only suites with forward secrecy and an AEAD, which all browsers have had since 2016.
//     crypto/tls orders them: it knows whether the processors of both sides have AES instructions.
//   - ALPN "http/1.1". A client that offers only others, such as "h2", is refused. RFC 7301 §3.2: «In the event that
//     the server supports no protocols that the client advertises, then the server SHALL respond with a fatal
//     "no_application_protocol" alert.» A client without ALPN is served.
//   - The key exchange x.
//   - No client certificates.
func NewConfig(l *Loaded, x KeyExchange) *tls.Config {
	c := &tls.Config{
		Certificates: l.certs,
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
		MaxVersion:   tls.VersionTLS13,
	}
	if x == Classic {
		c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	}
	for _, s := range suites {
		if s.id>>8 != 0x13 { // crypto/tls has no choice of TLS 1.3 suites
			c.CipherSuites = append(c.CipherSuites, s.id)
		}
	}
	return c
}

// KeyExchange is the way in which the two sides agree on a common secret.
type KeyExchange uint8

const (
	// PostQuantum uses a hybrid of an elliptic curve and ML-KEM, X25519MLKEM768 for example, with clients that offer
	// one, as all current browsers do, and an elliptic curve with the others. Recorded traffic stays secret even from a
	// quantum computer to come. The hybrid takes a quarter to a third of the CPU of a handshake, full or resumed.
	PostQuantum KeyExchange = iota

	// Classic uses elliptic curves only.
	Classic
)

const (
	ticketKeyPeriod = 24 * time.Hour     // one key seals session tickets for this time
	ticketKeyLife   = 7 * 24 * time.Hour // it opens each for this time: crypto/tls accepts no older tickets
)

// Certificates is the certificate in use and the keys of session tickets. Both can be changed while handshakes run.
// Tickets stay good across a change of certificate, and in every event loop. It is safe for concurrent use.
type Certificates struct {
	current   atomic.Pointer[current]
	challenge func(serverName string) *tls.Certificate // nil: none

	mu       sync.Mutex
	exchange KeyExchange
	tickets  []TicketKey // newest first, never empty
}

// current holds the values that a handshake uses from its beginning to its end.
type current struct {
	loaded     *Loaded
	config     *tls.Config
	generation uint32
}

// TicketKey is a key that seals session tickets for a day and opens them for seven more. It opens the traffic of
// TLS 1.2 sessions that were recorded with their tickets: it must stay as secret as the certificate's key.
type TicketKey struct {
	Key  [32]byte
	Made time.Time
}

// NewCertificates returns Certificates that use l and the key exchange x until the first Swap, and a new ticket key that is
// made at the time now.
func NewCertificates(l *Loaded, x KeyExchange, now time.Time) *Certificates {
	k := &Certificates{exchange: x, tickets: []TicketKey{newTicketKey(now)}}
	k.use(l, 1)
	return k
}

// Swap makes l the certificate, and x the key exchange, of all handshakes that begin from now on. It returns the generation
// of l, which counts from 1 and stands in the [Info] of connections.
func (k *Certificates) Swap(l *Loaded, x KeyExchange) (generation uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exchange = x
	generation = k.current.Load().generation + 1
	k.use(l, generation)
	return generation
}

// Refresh is Swap without another generation: for the same certificates with fresh OCSP responses, or with another key
// exchange, and before the first handshake.
func (k *Certificates) Refresh(l *Loaded, x KeyExchange) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.exchange = x
	k.use(l, k.current.Load().generation)
}

// Answer has f asked for the certificate that proves to an ACME server that a name is served here (RFC 8737); nil is none. f
// is called by event loops, at each handshake of such a server, and must not block. Answer is called before any handshake.
func (k *Certificates) Answer(f func(serverName string) *tls.Certificate) { k.challenge = f }

// Current returns the certificate in use and its generation.
func (k *Certificates) Current() (l *Loaded, generation uint32) {
	c := k.current.Load()
	return c.loaded, c.generation
}

// Rotate replaces a ticket key that has been in use for a day, and forgets a key when its last tickets are seven days
// old. It reports whether it was time. Call it now and then, every hour for example.
func (k *Certificates) Rotate(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.tickets[0].Made) < ticketKeyPeriod {
		return false
	}
	k.keepTickets(k.tickets, now)
	return true
}

// TicketKeyMade returns when the newest key of session tickets was made.
func (k *Certificates) TicketKeyMade() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tickets[0].Made
}

// TicketKeys returns the keys of session tickets, newest first. They are copies, which the caller overwrites after use.
func (k *Certificates) TicketKeys() []TicketKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.tickets)
}

// UseTicketKeys takes keys of an earlier process over, so that its clients can resume here. Keys that are too old, or of a
// time that is still to come, are left out. The newest goes on sealing until it has done so for a day. The caller overwrites keys.
func (k *Certificates) UseTicketKeys(keys []TicketKey, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	own := slices.Clone(keys)
	defer clear(own)
	keys = slices.DeleteFunc(own, func(t TicketKey) bool { return t.Made.After(now) })
	slices.SortStableFunc(keys, func(a, b TicketKey) int { return b.Made.Compare(a.Made) })
	k.keepTickets(keys, now)
}

// keepTickets puts those of keys in force that are not too old, and before them a new one where the newest has sealed for
// long enough or there is none.
func (k *Certificates) keepTickets(keys []TicketKey, now time.Time) {
	kept := make([]TicketKey, 0, len(keys)+1) // nothing is left behind by a slice that grows
	if len(keys) == 0 || now.Sub(keys[0].Made) >= ticketKeyPeriod {
		kept = append(kept, newTicketKey(now))
	}
	for _, t := range keys {
		// A key seals for a period, so its last tickets are that much younger than the key.
		if now.Sub(t.Made) < ticketKeyPeriod+ticketKeyLife {
			kept = append(kept, t)
		}
	}
	clear(k.tickets)
	k.tickets = kept
	k.setTicketKeys(k.current.Load().config)
}

// use makes l current.
func (k *Certificates) use(l *Loaded, generation uint32) {
	config := NewConfig(l, k.exchange)
	k.setTicketKeys(config)
	k.current.Store(&current{l, config, generation})
}

func (k *Certificates) setTicketKeys(config *tls.Config) {
	keys := make([][32]byte, len(k.tickets))
	for i := range keys {
		keys[i] = k.tickets[i].Key
	}
	config.SetSessionTicketKeys(keys)
	clear(keys)
}

func newTicketKey(now time.Time) TicketKey {
	t := TicketKey{Made: now}
	rand.Read(t.Key[:]) // never fails (crypto/rand)
	return t
}
