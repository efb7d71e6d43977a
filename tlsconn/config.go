package tlsconn

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// NewConfig returns how handshakes are made with a certificate.
//
//   - TLS 1.2 and 1.3; in 1.2 only the suites with forward secrecy and an AEAD, which all browsers have had since 2016. The
//     order is crypto/tls's, which knows whether the processors of both sides have AES instructions.
//   - ALPN "http/1.1". A client that offers only others, such as "h2", is refused: RFC 7301 §3.2: «In the event that the
//     server supports no protocols that the client advertises, then the server SHALL respond with a fatal
//     "no_application_protocol" alert.» To take it in would only move the failure to its first bytes, which would not be
//     an HTTP/1.1 request. A client without ALPN is served.
//   - Keys are exchanged as x says.
//   - No client certificates.
func NewConfig(l *Loaded, x KeyExchange) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{l.cert},
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

// KeyExchange says how the two sides come to a common secret.
type KeyExchange uint8

const (
	// PostQuantum uses a hybrid of an elliptic curve and ML-KEM, X25519MLKEM768 for example, with clients that offer one,
	// as all current browsers do, and an elliptic curve with the others. What somebody records stays secret even from a
	// quantum computer to come. The hybrid takes a quarter to a third of the CPU of a handshake, full or resumed.
	PostQuantum KeyExchange = iota

	// Classic uses elliptic curves only.
	Classic
)

const (
	ticketKeyPeriod = 24 * time.Hour     // how long one key seals session tickets
	ticketKeyLife   = 7 * 24 * time.Hour // how long it opens them: crypto/tls accepts no older tickets
)

// Certificates is the certificate that handshakes use, and the keys of session tickets. Both can be changed while
// handshakes run; tickets stay good across a change of certificate and on every shard. It is safe for concurrent use.
type Certificates struct {
	current  atomic.Pointer[current]
	exchange KeyExchange

	mu      sync.Mutex
	tickets []ticketKey // newest first, never empty
}

// current is what a handshake uses from its beginning to its end.
type current struct {
	loaded     *Loaded
	config     *tls.Config
	generation uint32
}

type ticketKey struct {
	key  [32]byte
	made time.Time
}

// NewCertificates returns Certificates that use l, for now and for ever the key exchange x, and a new ticket key made at
// the time now.
func NewCertificates(l *Loaded, x KeyExchange, now time.Time) *Certificates {
	k := &Certificates{exchange: x, tickets: []ticketKey{newTicketKey(now)}}
	k.use(l, 1)
	return k
}

// Swap makes l the certificate of the handshakes that begin from now on and returns its generation, which counts from 1
// and is what [Info] says of connections.
func (k *Certificates) Swap(l *Loaded) (generation uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	generation = k.current.Load().generation + 1
	k.use(l, generation)
	return generation
}

// Current returns the certificate in use and its generation.
func (k *Certificates) Current() (l *Loaded, generation uint32) {
	c := k.current.Load()
	return c.loaded, c.generation
}

// Rotate replaces the ticket key when it has been in use for a day and forgets keys after seven. It is to be called now
// and then, every hour for example.
func (k *Certificates) Rotate(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.tickets[0].made) < ticketKeyPeriod {
		return
	}
	kept := []ticketKey{newTicketKey(now)}
	for _, t := range k.tickets {
		// A key was the one that seals for a period, so its last tickets are that much younger than it.
		if now.Sub(t.made) < ticketKeyPeriod+ticketKeyLife {
			kept = append(kept, t)
		}
	}
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
		keys[i] = k.tickets[i].key
	}
	config.SetSessionTicketKeys(keys)
}

func newTicketKey(now time.Time) ticketKey {
	t := ticketKey{made: now}
	rand.Read(t.key[:]) // never fails (crypto/rand)
	return t
}
