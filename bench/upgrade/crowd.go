package main

// This file measures a hand-over of many peers: few clients are in many torrents each, and announce without offers.

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
)

const (
	torrentsPerClient = 5000
	askedAtOnce       = 64 // announces of a client without a reply
	crowdHandOvers    = 3  // of each number of shards
)

// crowd are clients that stay.
type crowd struct {
	clients []*member
	swarm   int // members of a torrent
}

// member is a client over ws.
type member struct {
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// crowds measures hand-overs from one shard to one, from two to two, and so on.
func (h *harness) crowds(ctx context.Context, stdout io.Writer) error {
	fmt.Fprintf(stdout, "\n%d peers, %d in a swarm, over %d connections\n\n| shards | nobody_served_ms | took_ms | memory before | after |\n"+
		"|---:|---:|---:|---:|---:|\n", h.peers, h.swarm, max(h.peers/torrentsPerClient, 1))
	for shards := 1; shards <= h.shards; shards++ {
		if err := h.crowd(ctx, shards, stdout); err != nil {
			return fmt.Errorf("%d peers, %d shards: %w", h.peers, shards, err)
		}
	}
	return nil
}

func (h *harness) crowd(ctx context.Context, shards int, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "millrace-upgrade")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the tracker: %w", err)
	}
	defer os.RemoveAll(dir)
	t, err := startTracker(h.binary, dir, false, shards, "")
	if err != nil {
		return err
	}
	defer t.stop()
	c := &crowd{swarm: h.swarm}
	defer c.close()
	if err := c.come(ctx, t.address, h.peers); err != nil {
		return err
	}
	for range crowdHandOvers {
		before := t.resident()
		done, err := t.handOver(shards)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "| %d | %d | %d | %d MiB | %d MiB |\n", shards, done.Frozen, done.Took, before>>20, t.resident()>>20)
		if want := len(c.clients) * torrentsPerClient; done.Peers != want || done.Connections != len(c.clients) || done.Lost != 0 {
			return fmt.Errorf("%+v went over, of %d peers", done, want)
		}
		if err := c.each(c.look); err != nil {
			return err
		}
	}
	return t.end()
}

// come connects all clients and has them announce all their torrents.
func (c *crowd) come(ctx context.Context, address string, peers int) error {
	for k := range max(peers/torrentsPerClient, 1) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		m := &member{conn: conn, in: bufio.NewReader(conn), id: k}
		c.clients = append(c.clients, m)
		if err := m.upgrade(); err != nil {
			return err
		}
	}
	return c.each(c.join)
}

func (c *crowd) close() {
	for _, m := range c.clients {
		m.conn.Close()
	}
}

// each does something with all clients, some at a time, and returns the first error.
func (c *crowd) each(f func(m *member) error) error {
	var wait sync.WaitGroup
	errs, free := make([]error, len(c.clients)), make(chan struct{}, 4*runtime.NumCPU())
	for k, m := range c.clients {
		free <- struct{}{}
		wait.Go(func() {
			errs[k] = f(m)
			<-free
		})
	}
	wait.Wait()
	if k := slices.IndexFunc(errs, func(err error) bool { return err != nil }); k >= 0 {
		return errs[k]
	}
	return nil
}

// hash is the nth torrent of a client. It shares it with its neighbours, so that a swarm has as many members as it should.
func (c *crowd) hash(m *member, n int) string { return fmt.Sprintf("%08d%012d", m.id/c.swarm, n) }

// join announces all torrents of a client.
func (c *crowd) join(m *member) error {
	for asked, told := 0, 0; told < torrentsPerClient; told++ {
		for ; asked < torrentsPerClient && asked-told < askedAtOnce; asked++ {
			if err := m.announce(c.hash(m, asked)); err != nil {
				return err
			}
		}
		if _, err := m.receive(); err != nil {
			return err
		}
	}
	return nil
}

// look has a client announce some of its torrents again, and checks that all members are still there.
func (c *crowd) look(m *member) error {
	first := m.id / c.swarm * c.swarm
	want := min(c.swarm, len(c.clients)-first)
	for n := 0; n < torrentsPerClient; n += torrentsPerClient / 20 {
		if err := m.announce(c.hash(m, n)); err != nil {
			return err
		}
		text, err := m.receive()
		if err != nil {
			return err
		}
		var reply struct{ Complete, Incomplete int }
		if err := json.Unmarshal(text, &reply); err != nil || reply.Complete+reply.Incomplete != want {
			return fmt.Errorf("the swarm of %d is told as %s", want, text)
		}
	}
	return nil
}

// upgrade makes a WebSocket connection.
func (m *member) upgrade() error {
	fmt.Fprint(m.conn, "GET / HTTP/1.1\r\nHost: tracker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	for first := true; ; first = false {
		line, err := m.in.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("a client is not let in: %w", err)
		case first && !strings.HasPrefix(line, "HTTP/1.1 101 "):
			return fmt.Errorf("a client is not let in: %s", line)
		case line == "\r\n":
			return nil
		}
	}
}

// announce sends an announce that asks for no offers and has none. It has more than 125 bytes, which takes a longer head.
func (m *member) announce(hash string) error {
	text := fmt.Sprintf(`{"action":"announce","info_hash":%q,"peer_id":"-XX0001-%012d","uploaded":0,"downloaded":0,"left":1,`+
		`"numwant":0,"offers":[]}`, hash, m.id)
	frame := binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text)))
	frame = append(frame, 0, 0, 0, 0) // a mask of zeros changes nothing
	_, err := m.conn.Write(append(frame, text...))
	return err
}

// receive returns the next message of text.
func (m *member) receive() ([]byte, error) {
	for {
		head := make([]byte, 2, 4)
		if _, err := io.ReadFull(m.in, head); err != nil {
			return nil, fmt.Errorf("a client is left alone: %w", err)
		}
		n := int(head[1])
		if n == 126 {
			if _, err := io.ReadFull(m.in, head[2:4]); err != nil {
				return nil, err
			}
			n = int(binary.BigEndian.Uint16(head[2:4]))
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(m.in, payload); err != nil {
			return nil, err
		}
		switch head[0] {
		case 0x81:
			return payload, nil
		case 0x88:
			return nil, fmt.Errorf("a client is turned out: %q", payload)
		}
	}
}
