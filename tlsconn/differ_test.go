package tlsconn

// This file runs the record layer beside the record layer of crypto/tls. Both servers are sent the same records,
// protected with their own keys. Both must read the same data and come to the same end.

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
)

// outcome is the result of a script.
type outcome struct {
	data  string
	end   string // "", "EOF", "alert" (the client's), "failed" (with an alert of the server's)
	sends int    // KeyUpdates that the server sent
}

// errNothing is the error of the reference's connection when all has been read.
var errNothing = errors.New("nothing more to read")

// scriptConn is the connection of the reference server. After the handshake it reads the script.
type scriptConn struct {
	memConn
	sent   flight
	script []byte
	over   bool // the handshake
	out    []byte
}

func (s *scriptConn) Read(b []byte) (int, error) {
	if !s.over {
		return s.memConn.Read(b)
	}
	if len(s.script) == 0 {
		return 0, errNothing
	}
	n := copy(b, s.script)
	s.script = s.script[n:]
	return n, nil
}

func (s *scriptConn) Write(b []byte) (int, error) {
	if !s.over {
		s.sent.note(b)
		return s.memConn.Write(b)
	}
	s.out = append(s.out, b...)
	return len(b), nil
}

// reference is an established server of crypto/tls, with the client's keys.
type reference struct {
	rig
	server *tls.Conn
	wire   *scriptConn
}

// newReference makes a handshake between crypto/tls and itself and takes the client's keys from its key log.
func newReference(tb testing.TB, config *tls.Config, version uint16) *reference {
	tb.Helper()
	there, back := make(chan []byte, 16), make(chan []byte, 16)
	ref := &reference{wire: &scriptConn{memConn: memConn{from: there, to: back}}}
	ref.tb = tb
	ref.server = tls.Server(ref.wire, config)
	var keys keyLog
	var random []byte
	clientOf := clientConfig(version)
	clientOf.KeyLogWriter = writerFunc(func(line []byte) (int, error) {
		if f := bytes.Fields(line); len(f) == 3 {
			random = unhex(tb, f[1])
		}
		return keys.Write(line)
	})
	client := tls.Client(&memConn{from: back, to: there}, clientOf)
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(ref.server.Handshake(), <-done); err != nil {
		tb.Fatal(err)
	}
	ref.wire.over = true
	state := client.ConnectionState()
	s := suiteOf(state.CipherSuite)
	ref.conn = &Conn{suite: s, info: Info{Version: version}} // for the rig's methods
	if version == tls.VersionTLS13 {
		ref.out.setSecret(s, keys.client)
		ref.in.setSecret(s, keys.server)
	} else {
		ref.out, ref.in = keys12(s, keys.master, random, ref.wire.sent.serverRandom)
		ref.out.seq, ref.in.seq = 1, 1 // behind Finished
	}
	ref.out.aead, ref.in.aead = ref.expand(&ref.out), ref.expand(&ref.in)
	return ref
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func unhex(tb testing.TB, b []byte) []byte {
	tb.Helper()
	out := make([]byte, len(b)/2)
	for i := range out {
		for _, d := range b[2*i : 2*i+2] {
			out[i] = out[i]<<4 | byte(bytes.IndexByte([]byte("0123456789abcdef"), d))
		}
	}
	return out
}

// run gives the script to crypto/tls.
func (ref *reference) run(script []byte) (o outcome) {
	ref.wire.script = script
	var data bytes.Buffer
	_, err := io.CopyBuffer(&data, struct{ io.Reader }{ref.server}, make([]byte, 1000))
	o.data = data.String()
	return ref.judge(o, err, ref.open(ref.wire.out))
}

// run gives the script to this package, in pieces.
func (r *rig) run(script []byte, chop int) (o outcome) {
	data, err := r.read(script, chop)
	o.data = string(data)
	if err == io.EOF {
		err = nil
		o.end = "EOF"
	}
	return r.judge(o, err, r.drained())
}

// judge completes an outcome from the error at the end and the records that were sent.
func (r *rig) judge(o outcome, err error, sent []got) outcome {
	alerted := false
	for _, g := range sent {
		switch {
		case g.typ == typeAlert && g.content[0] == levelFatal:
			alerted = true
		case g.typ == typeHandshake:
			o.sends++
		}
	}
	switch {
	case alerted:
		o.end = "failed"
	case err == nil && o.end == "" && r.engine == nil: // crypto/tls: io.Copy hides EOF
		o.end = "EOF"
	case err != nil && !errors.Is(err, errNothing):
		o.end = "alert"
	}
	return o
}

// script turns arbitrary bytes into a client's records: each op is a byte, some with arguments behind it. It leaves out
// the cases in which the two servers may differ: renegotiation, unprotected change_cipher_spec, more than maxIdle
// records without data.
func (r *rig) script(ops []byte) (b []byte) {
	v13 := r.conn.info.Version == tls.VersionTLS13
	next := func() byte {
		if len(ops) == 0 {
			return 0
		}
		x := ops[0]
		ops = ops[1:]
		return x
	}
	for n := 0; len(ops) > 0 && n < maxIdle; n++ {
		switch op := next(); op % 12 {
		case 0, 1, 2:
			b = append(b, r.record(typeData, bytes.Repeat([]byte{op}, int(next())))...)
		case 3:
			b = append(b, r.record(typeData, make([]byte, maxPlaintext-2+int(next()%4)))...)
		case 4, 5:
			if v13 {
				b = append(b, r.record(typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, op % 2})...)
				r.updateOut()
			}
		case 6:
			if v13 {
				b = append(b, r.record(typeHandshake, []byte{next(), 0, 0, 1, next() % 3})...)
			}
		case 7:
			if v13 {
				inner := bytes.ReplaceAll([]byte{next(), next(), next()}, []byte{byte(typeHandshake)}, []byte{byte(typeData)})
				b = append(b, r.raw13(append(inner, make([]byte, next())...))...)
			}
		case 8:
			b = append(b, r.record(typeAlert, []byte{1 + next()%2, next()})...)
		case 9:
			rec := r.record(typeData, []byte("to be changed"))
			at := int(next()) % (len(rec) - headerLen)
			rec[headerLen+at] ^= 1 << (next() % 8)
			b = append(b, rec...)
		case 10:
			b = append(b, byte(typeData), 3, 3, next(), next())
		case 11:
			b = append(b, r.record(recordType(next()), nil)...)
		}
	}
	return b
}

// FuzzAgainstCryptoTLS proves that this package and crypto/tls read the same data from any script and end alike.
func FuzzAgainstCryptoTLS(f *testing.F) {
	f.Add(false, uint16(1), []byte{0, 10, 4, 0, 5, 1, 9, 5, 2, 200})
	f.Add(true, uint16(7), []byte{0, 10, 3, 0, 1, 9, 3, 3, 3, 2, 0, 0})
	f.Add(true, uint16(100), []byte{0, 10, 8, 0, 0, 0, 1})
	f.Add(false, uint16(100), []byte{0, 10, 8, 0, 0, 0, 1})
	f.Add(false, uint16(100), []byte{0, 10, 8, 1, 40, 0, 1})
	f.Add(true, uint16(100), []byte{0, 10, 8, 0, 90, 0, 1})
	f.Add(true, uint16(100), []byte{0, 10, 8, 1, 90, 0, 1})
	f.Add(false, uint16(100), []byte{0, 10, 8, 1, 90, 0, 1})
	f.Add(false, uint16(5), []byte{7, 1, 23, 0, 4, 7, 0, 0, 0, 0})
	f.Add(false, uint16(5), []byte{6, 24, 2, 0, 5})
	f.Add(false, uint16(5), []byte{9, 20, 3, 0, 7})
	f.Add(true, uint16(5), []byte{9, 20, 3, 0, 7})
	f.Add(true, uint16(5), []byte{10, 3, 3, 0, 7})
	f.Add(false, uint16(5), []byte{11, 22, 3, 0, 7})
	l, err := Load(testCert(f, "ecdsa"))
	if err != nil {
		f.Fatal(err)
	}
	config := NewConfig(l, PostQuantum)
	e := testEngine(f, testCerts(f, "ecdsa"), nil)
	f.Fuzz(func(t *testing.T, v12 bool, chop uint16, ops []byte) {
		version := uint16(tls.VersionTLS13)
		if v12 {
			version = tls.VersionTLS12
		}
		r := newRigIn(t, e, version, 0)
		defer r.conn.Close()
		ref := newReference(t, config, version)
		got := r.run(r.script(ops), int(chop)+1)
		if want := ref.run(ref.script(ops)); got != want {
			t.Errorf("%x: got  %d bytes, %q, %d\nwant %d bytes, %q, %d", ops, len(got.data), got.end, got.sends,
				len(want.data), want.end, want.sends)
		}
		if r.conn.held != nil && !r.conn.Partial() {
			t.Error("a buffer is held")
		}
	})
}
