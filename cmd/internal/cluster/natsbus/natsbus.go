// Package natsbus carries the messages of a cluster's nodes over NATS, without ever letting the caller wait: what cannot leave or be taken
// in is dropped and counted. NATS may be away, slow, or come back elsewhere; the bus says so and goes on trying.
package natsbus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say which NATS it is. The contents of files are here, not their names: the process may have changed its root and user when it
// connects again.
type Options struct {
	URLs        []string
	Name        string   // of the client, as operators of NATS see it
	Credentials []byte   // of a NATS user, the content of a .creds file; nil: none
	CA          []byte   // PEM; nil: the authorities of the system
	Subjects    []string // to receive; of what is published under them a copy comes back
	Largest     int64    // bytes of a message that may be published
	Log         func(event string, err error)
}

// Bounds of the bus.
const (
	maxIn       = 256             // messages that have come and wait to be read
	maxOut      = 1024            // messages that wait to leave
	maxOutBytes = 16 << 20        // and their bytes
	dialTimeout = 2 * time.Second // for a connection, with its handshake
	sendTimeout = 2 * time.Second // for bytes to go to NATS, before the connection counts as broken
	pingEvery   = 2 * time.Second // two that are not answered break it too
	retryEvery  = time.Second / 2 // before NATS is tried again, and as much by chance
	closeWithin = time.Second     // for the last messages to leave
	sayEvery    = 5 * time.Second // at most, of what NATS complains of
)

// Bus is a connection to NATS.
type Bus struct {
	In <-chan *nats.Msg // what has come

	conn     *nats.Conn
	out      chan message
	outBytes atomic.Int64
	sender   sync.WaitGroup
	log      func(event string, err error)
	largest  int64

	saidAt time.Time // the last complaint; its fields belong to the callbacks, of which NATS makes one at a time
	unsaid int

	up, lamented                      atomic.Bool
	reconnects, droppedOut, droppedIn atomic.Uint64
}

type message struct {
	subject string
	data    []byte
	flushed chan<- struct{} // not nil: this is no message, and it is closed when all before it have left
}

// Stats are the figures of a bus. Their tags say how they are shown (see package stats).
type Stats struct {
	Connected  bool   `metric:"-"`
	Waiting    int    `metric:"-"` // bytes that wait to leave
	DroppedOut uint64 `metric:"cluster_bus_unsent_total" help:"Messages to other nodes that were dropped because NATS did not take them."`
	DroppedIn  uint64 `metric:"cluster_bus_unread_total" help:"Messages of other nodes that were dropped because this one was too slow."`
	Reconnects uint64 `metric:"cluster_reconnects_total" help:"Times that the connection to NATS was made again."`
}

// Check reports a mistake in the options that Open would find.
func (o *Options) Check() error {
	var opts nats.Options
	return o.secure(&opts)
}

// Open begins to connect, and does not wait for it. Errors are those of the options.
func Open(o Options) (*Bus, error) {
	in := make(chan *nats.Msg, maxIn)
	b := &Bus{In: in, out: make(chan message, maxOut), log: o.Log, largest: o.Largest}
	opts := nats.GetDefaultOptions()
	opts.Servers, opts.Name = o.URLs, o.Name
	opts.RetryOnFailedConnect, opts.MaxReconnect, opts.IgnoreAuthErrorAbort = true, -1, true
	opts.ReconnectWait, opts.ReconnectJitter, opts.ReconnectJitterTLS = retryEvery, retryEvery, retryEvery
	opts.ReconnectBufSize = -1 // what cannot leave now is of no use later
	opts.Timeout, opts.FlusherTimeout, opts.PingInterval, opts.MaxPingsOut = dialTimeout, sendTimeout, pingEvery, 2
	opts.ConnectedCB = func(c *nats.Conn) { b.connected(c) }
	opts.ReconnectedCB = func(c *nats.Conn) { b.reconnects.Add(1); b.connected(c) }
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) { b.disconnected(err) }
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) { b.lament(err) }
	opts.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { b.troubled(err) }
	if err := o.secure(&opts); err != nil {
		return nil, err
	}
	var err error
	if b.conn, err = opts.Connect(); err != nil {
		return nil, fmt.Errorf("cannot use NATS: %w", err)
	}
	for _, subject := range o.Subjects {
		if _, err := b.conn.ChanSubscribe(subject, in); err != nil {
			b.conn.Close()
			return nil, fmt.Errorf("cannot subscribe to %s: %w", subject, err)
		}
	}
	b.sender.Add(1)
	go b.send()
	return b, nil
}

// secure puts the credentials and the authority into force.
func (o *Options) secure(opts *nats.Options) error {
	var bad error
	if o.Credentials != nil {
		if err := nats.UserCredentialBytes(o.Credentials)(opts); err != nil {
			bad = fmt.Errorf("cannot use cluster.credentials_file: %w", err)
		}
	}
	opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return errors.Join(bad, errors.New("cannot use cluster.tls_ca_path: the file has no certificate in PEM"))
		}
		opts.TLSConfig.RootCAs = pool
	}
	return bad
}

// lament says once that there is no connection, and why: there are two tries a second. Of a refused connection the client first says that
// there is no server, and the reason with the next try.
func (b *Bus) lament(err error) {
	if !errors.Is(err, nats.ErrNoServers) && !b.lamented.Swap(true) {
		b.log("cannot connect to NATS, and goes on trying", err)
	}
}

func (b *Bus) connected(c *nats.Conn) {
	b.lamented.Store(false)
	b.up.Store(true)
	b.log("connected to NATS at "+c.ConnectedUrlRedacted(), nil)
	if most := c.MaxPayload(); most < b.largest {
		b.log("messages to other nodes can get lost", fmt.Errorf("NATS takes messages of %d bytes at most (max_payload), and nodes send up to %d", most, b.largest))
	}
}

func (b *Bus) disconnected(err error) {
	if b.up.Swap(false) {
		b.log("the connection to NATS has ended", err)
	}
}

// troubled takes an error of NATS that belongs to no call: a slow reader, or rights that are missing.
func (b *Bus) troubled(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		b.droppedIn.Add(1)
		return
	}
	b.unsaid++
	if time.Since(b.saidAt) < sayEvery {
		return
	}
	event := "NATS reports an error"
	if b.unsaid > 1 {
		event = fmt.Sprintf("NATS reports errors, %d since this was said last", b.unsaid)
	}
	b.saidAt, b.unsaid = time.Now(), 0
	b.log(event, err)
}

// Connected reports whether there is a connection at this moment.
func (b *Bus) Connected() bool { return b.up.Load() }

// Publish sends a copy of a message to all that receive its subject. It does not wait, and is false where the message is dropped.
func (b *Bus) Publish(subject string, data []byte) bool {
	n := int64(len(data))
	if !b.up.Load() {
		b.droppedOut.Add(1)
		return false
	}
	if b.outBytes.Add(n) <= maxOutBytes {
		select {
		case b.out <- message{subject: subject, data: append([]byte(nil), data...)}:
			return true
		default:
		}
	}
	b.outBytes.Add(-n)
	b.droppedOut.Add(1)
	return false
}

// send gives messages to NATS, which may let it wait.
func (b *Bus) send() {
	defer b.sender.Done()
	for m := range b.out {
		if m.flushed != nil {
			_ = b.conn.FlushTimeout(closeWithin) // what does not leave in time is lost, as all may be
			close(m.flushed)
			continue
		}
		if err := b.conn.Publish(m.subject, m.data); err != nil {
			b.droppedOut.Add(1)
		}
		b.outBytes.Add(-int64(len(m.data)))
	}
}

// Flush waits until what was published has left, for about a second.
func (b *Bus) Flush() {
	if !b.up.Load() {
		return
	}
	done := make(chan struct{})
	b.out <- message{flushed: done}
	<-done
}

// Stats returns the figures of this moment.
func (b *Bus) Stats() Stats {
	return Stats{
		Connected: b.up.Load(), Waiting: int(b.outBytes.Load()), Reconnects: b.reconnects.Load(),
		DroppedOut: b.droppedOut.Load(), DroppedIn: b.droppedIn.Load(),
	}
}

// Close gives NATS a second for the last messages, and ends the connection. Nothing may be published any more.
func (b *Bus) Close() {
	close(b.out)
	b.sender.Wait()
	if b.up.Load() {
		_ = b.conn.FlushTimeout(closeWithin) // what does not leave in time is lost, as all may be
	}
	b.conn.Close()
}
