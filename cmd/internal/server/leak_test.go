package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
)

// This file proves, on trackers in this process, that they give back everything that clients or a run have taken.

// patience bounds a hang; no test passes because of it.
const patience = 60 * time.Second

// startTest starts a tracker in this process, with changes to the default configuration.
func startTest(t *testing.T, change func(*config.Config)) *Server {
	t.Helper()
	cfg, err := config.Load("test", []byte("[network]\naddress = '127.0.0.1:0'\n"))
	if err != nil {
		t.Fatal(err)
	}
	// Two shards have to fit into the 8 MiB that an ordinary user may lock, beside those that are just being given
	// back.
	cfg.IOUring.Entries, cfg.IOUring.ReceiveBuffers, cfg.IOUring.SendMemory = 256, 64, 1<<20
	change(cfg)
	s, err := Start(cfg, Process{
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		Lost: func() uint64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := s.Err(); err != nil {
			t.Errorf("the tracker failed: %v", err)
		}
	})
	return s
}

// figures returns the sums over all shards, of this moment.
func figures(t *testing.T, s *Server) (total shard.Stats, rings ring.Stats) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, p := range s.Snapshot(ctx) {
		total.Add(&p.Shard)
		rings.Connections += p.Ring.Connections
		rings.BuffersInUse += p.Ring.BuffersInUse
		rings.Vanished += p.Ring.Vanished
	}
	return total, rings
}

// Ten thousand connections come and go, each left in another state of its life and in another way, some of them cut in
// the middle of a message. Afterwards no slot, no buffer and no peer is left, and every connection has been closed for
// a reason that is counted.
func TestNothingLeaks(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			s := startTest(t, func(c *config.Config) {
				c.SocketWorkers = shards
				c.Network.CloseTimeout, c.Network.HandshakeTimeout = 1, 1
				c.Limits.BadMessagesPerConnection = 1
			})
			const total, wave = 10_000, 500
			rng := rand.New(rand.NewPCG(1, uint64(shards)))
			for n := 0; n < total; n += wave {
				var open []net.Conn
				for k := range wave {
					open = append(open, leaveSomewhere(t, s, rng, n+k))
				}
				rng.Shuffle(wave, func(i, j int) { open[i], open[j] = open[j], open[i] })
				for _, c := range open {
					end(c, rng)
				}
			}
			waitEmpty(t, s, total)
		})
	}
}

// waitEmpty waits until nothing is left of any connection. It is driven by the shards' own publications.
func waitEmpty(t *testing.T, s *Server, came uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		f, rings := figures(t, s)
		if f.Open() == 0 && rings.Connections == 0 && rings.BuffersInUse == 0 && f.Outbox.SendMemory == 0 && f.Inbox.AssemblyMemory == 0 &&
			f.Torrents.Swarm.Peers == 0 && f.Torrents.Swarm.Torrents == 0 && f.Torrents.Swarm.Connections == 0 && f.Post.MailDepth == 0 &&
			f.Door.Accepted+rings.Vanished == came && sum(f.Table.Closed[:]) == f.Door.Accepted {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %d connections something is left: %+v, %+v", came, rings, f)
		}
	}
}

// leaveSomewhere connects a client and brings it to some state.
func leaveSomewhere(t *testing.T, s *Server, rng *rand.Rand, n int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	head := "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	text := func(hash int) string {
		return masked(0x81, fmt.Sprintf(`{"action":"announce","info_hash":"torrent-%012d","peer_id":"peer----%012d","offers":[`+
			`{"offer_id":"offer---%012d","offer":{"type":"offer","sdp":"%s"}}]}`, hash, n, n, strings.Repeat("s", rng.IntN(3000))))
	}
	write := func(data string) { io.WriteString(c, data) } // the tracker may have closed: then the state is reached
	switch rng.IntN(9) {
	case 0: // connected
	case 1:
		write(head[:rng.IntN(len(head))])
	case 2:
		write("hello\r\n\r\n")
	case 3:
		write(head)
	case 4:
		m := text(rng.IntN(50))
		write(head + m[:rng.IntN(len(m))])
	case 5:
		write(head + masked(0x01, `{"action":`) + masked(0x89, "ping"))
	case 6:
		write(head + masked(0x88, "\x03\xe8"))
	case 7:
		write(head + masked(0x81, "x") + masked(0x81, "y"))
	default:
		write(head)
		for range 1 + rng.IntN(4) {
			write(text(rng.IntN(50)))
		}
	}
	return c
}

// masked returns a client's frame.
func masked(b0 byte, payload string) string {
	f := []byte{b0, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		f = binary.BigEndian.AppendUint16([]byte{b0, 0x80 | 126}, uint16(len(payload)))
	}
	return string(append(f, 0, 0, 0, 0)) + payload
}

// end leaves in one of the ways that clients leave.
func end(c net.Conn, rng *rand.Rand) {
	switch rng.IntN(3) {
	case 0:
		c.(*net.TCPConn).SetLinger(0) // a reset
	case 1:
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, c)
	}
	c.Close()
}

// A tracker gives back its descriptors and its threads' rings when it stops, so that another can take its port.
func TestStopGivesEverythingBack(t *testing.T) {
	before := descriptors(t)
	s := startTest(t, func(c *config.Config) { c.SocketWorkers = 2 })
	address := s.Addr()
	s.Stop()
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	again := startTest(t, func(c *config.Config) { c.Network.Address = address })
	again.Stop()
	if err := again.Err(); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// descriptors returns how many file descriptors this process has open, the runtime's own poller apart.
func descriptors(t *testing.T) int {
	t.Helper()
	c, err := net.Dial("udp", "127.0.0.1:9") // makes the runtime open its poller
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
