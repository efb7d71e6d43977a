package load

// This file drives the clients that hardly read. A ring always receives, so each of them has a goroutine and a socket
// of its own with a small receive buffer, from which it takes a few bytes now and then. They announce like the others
// and never answer. Messages that they do not read are not missed.

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	slowBuffer    = 4096                   // bytes of the receive buffer that is asked for
	slowPause     = 100 * time.Millisecond // between two reads
	slowHandshake = 30 * time.Second
	maxSlow       = 20_000 // goroutines
)

// chooseSlow says which connections hardly read; nil if there are none.
func chooseSlow(c *Config, who identity) (slow []bool, err error) {
	if c.SlowShare <= 0 {
		return nil, nil
	}
	slow = make([]bool, c.Connections)
	n := 0
	for i := range slow {
		slow[i] = inShare(who.mix(forSlow, uint64(i), 0), c.SlowShare)
		if slow[i] {
			n++
		}
	}
	if n > maxSlow {
		return nil, fmt.Errorf("%d connections that hardly read are too many: lower slow_share so that they are at most %d",
			n, maxSlow)
	}
	return slow, nil
}

// slowClients drives all of them.
type slowClients struct {
	*site
	wg     sync.WaitGroup
	mu     sync.Mutex
	counts Counts
	errors map[string]uint64
}

// start begins all of them; they end with ctx.
func (s *slowClients) start(ctx context.Context) {
	s.errors = make(map[string]uint64)
	for g := range s.slow {
		if !s.slow[g] {
			continue
		}
		for _, t := range s.books.places.of(uint32(g)) {
			s.books.left[t].Store(neverBack)
		}
		s.wg.Go(func() {
			var n Counts
			err := s.drive(ctx, uint32(g), &n)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.counts.add(&n)
			if err != nil && ctx.Err() == nil {
				s.errors["slow client: "+firstLine(err)]++
			}
		})
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	var op *net.OpError
	if errors.As(err, &op) {
		line = op.Op + ": " + op.Err.Error() // without addresses, which are different every time
	}
	return line
}

// drive runs one of them until ctx ends.
func (s *slowClients) drive(ctx context.Context, g uint32, n *Counts) error {
	ramp := time.Duration(float64(seconds(s.config.Ramp)) * float64(g) / float64(s.config.Connections))
	if !sleep(ctx, ramp-s.clock()) {
		return nil
	}
	conn, err := s.dial(ctx, g, n)
	if err != nil {
		n.ConnectFailed++
		return err
	}
	defer conn.Close()
	n.Connected++
	peer := s.books.who.peerID(g, 0)
	buffer := make([]byte, max(s.config.SlowBytes/int(time.Second/slowPause), 1))
	interval := seconds(s.config.Interval)
	next := s.clock()
	var frame []byte
	for seq := uint32(0); sleep(ctx, slowPause); {
		conn.SetDeadline(time.Now().Add(slowPause))
		k, err := conn.Read(buffer)
		n.BytesReceived += uint64(k)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			n.Disconnected++
			return err
		}
		if plan := s.plans.Load(); s.clock() < next || plan != nil && s.clock() >= plan.end || s.config.OnlyOnce && seq > 0 {
			continue
		}
		s.books.settle(g, s.books.record(g, seq), n)
		s.books.begin(g, seq, 0, next)
		a := announce{&s.books.hashes[s.books.places.torrent(g, seq)], &peer, g, seq, 0, updateEvent, false}
		frame = s.books.appendAnnounce(frame[:0], &a, uint32(s.books.who.mix(forKey, uint64(g), uint64(seq))))
		head, _ := maskedHead(frame)
		n.PayloadSent += uint64(len(frame) - head)
		next += interval
		seq++
		conn.SetDeadline(time.Now().Add(slowHandshake))
		k, err = conn.Write(frame)
		n.BytesSent += uint64(k)
		if err != nil {
			n.Disconnected++
			return err
		}
		n.Announces++
		n.OffersSent += uint64(s.books.offers)
	}
	return nil
}

// sleep pauses, and is false when ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// dial opens a connection with a small receive buffer, up to the end of the WebSocket handshake.
func (s *slowClients) dial(ctx context.Context, g uint32, n *Counts) (net.Conn, error) {
	var d net.Dialer
	at := s.nodeOf(g)
	if len(at.locals) > 0 {
		d.LocalAddr = net.TCPAddrFromAddrPort(at.locals[int(g)%len(at.locals)])
	}
	conn, err := d.DialContext(ctx, "tcp", at.remote.String())
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(slowBuffer)
	_ = conn.SetDeadline(time.Now().Add(slowHandshake))
	if s.encrypted {
		conn = tls.Client(conn, at.tlsConfig(nil))
	}
	key := upgradeKey(s.books.who, g, 0, 0)
	var agreed agreement
	if _, err = conn.Write(upgradeRequest(&at.target, key)); err == nil {
		agreed, err = readHead(conn, string(key[:]), at.deflate)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	if agreed.on {
		n.Agreed++ // it reads nothing, and sends its messages as they are
	}
	s.books.life[g].Store(math.MaxUint16 | liveBit) // no incarnation is the live one: its answers are not missed
	return conn, nil
}

// readHead reads the response to an upgrade. It reads byte by byte and leaves the bytes that follow.
func readHead(conn net.Conn, key string, offer deflateOffer) (agreement, error) {
	var head []byte
	one := bufio.NewReaderSize(conn, 16)
	for len(head) < maxHead {
		c, err := one.ReadByte()
		if err != nil {
			return agreement{}, err
		}
		if head = append(head, c); strings.HasSuffix(string(head[max(len(head)-4, 0):]), "\r\n\r\n") {
			agreed, why := checkHead(string(head[:len(head)-4]), key, offer)
			if why != "" {
				return agreement{}, errors.New(why)
			}
			return agreed, nil
		}
	}
	return agreement{}, errors.New("the response to the upgrade is too long")
}
