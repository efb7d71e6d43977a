package tlsconn

// This file owns the work of a handshake: crypto/tls, and the takeover of its keys.

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// handshake is one handshake in flight. Its engine says in queue.go when it computes.
type handshake struct {
	engine    *Engine
	conn      *Conn
	pipe      pipe
	coroutine *coroutine // nil before it computes for the first time, and when it is done
	keys      keyLog
	done      bool
	result    session
	err       error

	begun, flown time.Duration // when it began, and when our last flight was sent: [Engine.SetTime]
	ticket       uint64        // grows from flight to flight
	placed       bool          // it has one of the places
	queue        *queue
	prev, next   *handshake
}

// session is the outcome of a handshake: the needs of the record layer, and the caller's Info.
type session struct {
	suite *suite
	info  Info
	in    half
	out   half
}

// keyLog takes the secrets from crypto/tls, which gives them in one form only: the lines of tls.Config.KeyLogWriter.
// They stay in memory.
type keyLog struct {
	master []byte // TLS 1.2
	client []byte // TLS 1.3
	server []byte
}

// Write takes one line: a label, the client's random and the secret, both in hexadecimal.
func (k *keyLog) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return 0, fmt.Errorf("cannot read a line of %d fields in the key log of crypto/tls", len(fields))
	}
	var secret *[]byte
	switch string(fields[0]) {
	case "CLIENT_RANDOM":
		secret = &k.master
	case "CLIENT_TRAFFIC_SECRET_0":
		secret = &k.client
	case "SERVER_TRAFFIC_SECRET_0":
		secret = &k.server
	default:
		return len(line), nil
	}
	var err error
	*secret, err = hex.AppendDecode(nil, fields[2])
	return len(line), err
}

// compute makes the handshake and takes the keys over.
func (hs *handshake) compute() (session, error) {
	current := hs.engine.current()
	server := tls.Server(&hs.pipe, current.config)
	if err := server.Handshake(); err != nil {
		if hs.pipe.broken != nil {
			err = hs.pipe.broken
		}
		return session{}, err
	}
	state := server.ConnectionState()
	s, err := hs.takeOver(&state)
	s.info = Info{
		Version:    state.Version,
		Suite:      state.CipherSuite,
		Resumed:    state.DidResume,
		Generation: current.generation,
	}
	return s, err
}

// masterMark stands before the master secret in the extra data of TLS 1.2 session tickets.
const masterMark = "millrace master secret:"

// current returns the certificate in use with the engine's own key log in its configuration. crypto/tls logs no secret
// when it resumes a TLS 1.2 session. So the secret travels in the ticket, encrypted, where crypto/tls keeps it as well.
// The callbacks run in the handshake that computes.
func (e *Engine) current() *current {
	now := e.opt.Certificates.current.Load()
	if now == e.origin {
		return e.own
	}
	base, c := now.config, now.config.Clone()
	c.KeyLogWriter = keyLogs{e}
	c.WrapSession = func(cs tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		if cs.Version == tls.VersionTLS12 {
			s.Extra = append(s.Extra, append([]byte(masterMark), e.computing.keys.master...))
		}
		return base.EncryptTicket(cs, s)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		s, err := base.DecryptTicket(ticket, cs)
		if err != nil || s == nil {
			return nil, err
		}
		for _, extra := range s.Extra {
			if master, ok := bytes.CutPrefix(extra, []byte(masterMark)); ok {
				e.computing.keys.master = master
			}
		}
		return s, nil
	}
	if challenge := e.opt.Certificates.challenge; challenge != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return answer(c, hello, challenge), nil }
	}
	e.origin, e.own = now, &current{now.loaded, c, now.generation}
	return e.own
}

// acmeProtocol is the protocol in ALPN of an ACME server that validates a name.
const acmeProtocol = "acme-tls/1"

// answer returns the configuration for an ACME server; nil for other clients, and where it has asked for nothing.
//
// RFC 8737 §3: «The ACME server MUST provide an ALPN extension with the single protocol name "acme-tls/1" and an SNI extension
// containing only the domain name being validated».
func answer(c *tls.Config, hello *tls.ClientHelloInfo, challenge func(string) *tls.Certificate) *tls.Config {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeProtocol {
		return nil
	}
	cert := challenge(hello.ServerName)
	if cert == nil {
		return nil
	}
	c = c.Clone()
	c.Certificates, c.NextProtos, c.GetConfigForClient = []tls.Certificate{*cert}, hello.SupportedProtos, nil
	return c
}

// keyLogs takes the lines of all handshakes of an engine. The one that computes has written the line.
type keyLogs struct {
	engine *Engine
}

func (k keyLogs) Write(line []byte) (int, error) { return k.engine.computing.keys.Write(line) }

// maxTakenOver bounds the records that crypto/tls may have written with the application keys. It writes one: a session
// ticket (TLS 1.3) or its Finished (TLS 1.2).
const maxTakenOver = 8

// takeOver derives the keys of the connection and finds the numbers of the next records.
//
// The client's next record is 0 in TLS 1.3, where its Finished had other keys. In TLS 1.2 its records behind
// ChangeCipherSpec were counted. Mostly there is one, but a client may cut its Finished. RFC 5246 §6.2.1: «a single
// message MAY be fragmented across several records». Ours is found with the last record that crypto/tls has written: the
// number that opens it is the last one used. That also proves the keys: in TLS 1.2 such a record always exists, in TLS
// 1.3 unless the client takes no tickets.
func (hs *handshake) takeOver(state *tls.ConnectionState) (session, error) {
	s := session{suite: suiteOf(state.CipherSuite)}
	if s.suite == nil {
		return s, fmt.Errorf("BUG: the suite %s was negotiated", tls.CipherSuiteName(state.CipherSuite))
	}
	if state.Version == tls.VersionTLS13 {
		if len(hs.keys.client) != s.suite.hashLen || len(hs.keys.server) != s.suite.hashLen {
			return s, errors.New("BUG: crypto/tls did not log the traffic secrets")
		}
		s.in.setSecret(s.suite, hs.keys.client)
		s.out.setSecret(s.suite, hs.keys.server)
	} else {
		if len(hs.keys.master) == 0 {
			return s, errors.New("BUG: crypto/tls did not log the master secret")
		}
		s.in, s.out = keys12(s.suite, hs.keys.master, hs.pipe.clientRandom(), hs.pipe.sent.serverRandom)
		s.in.seq = hs.pipe.seq
	}
	next, found := nextSeq(&s, state.Version, hs.pipe.sent.last)
	if !found && state.Version != tls.VersionTLS13 {
		return s, errors.New("BUG: the keys derived from the master secret do not open our Finished")
	}
	s.out.seq = next
	return s, nil
}

// nextSeq returns the number of our next record, and whether rec, the last one written, opens with the keys of s.out.
// It leaves them expanded, since the answer to the client's first request is about to need them.
func nextSeq(s *session, version uint16, rec []byte) (uint64, bool) {
	var mem scratch
	s.out.aead = s.suite.aead(s.out.key[:s.suite.keyLen])
	h := s.out
	for seq := range uint64(maxTakenOver) {
		h.seq = seq
		if _, _, bad := open(&mem, &h, s.suite, version, bytes.Clone(rec)); bad == 0 {
			return seq + 1, true
		}
	}
	return 0, false
}
