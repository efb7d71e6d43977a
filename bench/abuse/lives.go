package main

// This file owns the lives of attackers' connections, one function for each kind of attack.

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// discard reads and forgets until the connection ends.
func discard(c net.Conn) { io.Copy(io.Discard, struct{ io.Reader }{c}) }

// halfOpen sends the begin of a TLS record and waits until the tracker ends the connection.
func halfOpen(_ context.Context, _ *scene, c *client, _ int) error {
	if _, err := c.Write([]byte{0x16, 3, 1, 2, 0}); err != nil {
		return err
	}
	discard(c)
	return nil
}

// recorder is a connection that keeps what is written to it and has nothing to read.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Read([]byte) (int, error)    { return 0, io.EOF }
func (r *recorder) Write(b []byte) (int, error) { return r.Buffer.Write(b) }

// hello returns the first flight of a TLS client.
func hello(config *tls.Config) []byte {
	r := new(recorder)
	tls.Client(r, config).Handshake() // fails, since nobody replies
	return r.Bytes()
}

// dripHello sends a TLS hello byte by byte.
func dripHello(ctx context.Context, s *scene, c *client, _ int) error {
	return drip(ctx, c, hello(s.tls), 100*time.Millisecond)
}

// drip sends bytes one by one until the tracker ends the connection.
func drip(ctx context.Context, c *client, b []byte, pause time.Duration) error {
	ended := make(chan struct{})
	go func() {
		discard(c)
		close(ended)
	}()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if len(b) > 0 {
			if _, err := c.Write(b[:1]); err != nil {
				return err
			}
			b = b[1:]
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-tick.C:
		}
	}
}

// keyUpdater returns the life of a KeyUpdate flooder.
func keyUpdater(deaf bool) func(context.Context, *scene, *client, int) error {
	return func(ctx context.Context, s *scene, c *client, _ int) error { return floodKeyUpdates(ctx, s, c, deaf) }
}

// stay holds a connection and answers pings.
func stay(_ context.Context, _ *scene, c *client, _ int) error {
	for {
		opcode, payload, err := readFrame(c.in)
		if err == nil && opcode == opPing {
			_, err = c.Write(appendFrame(nil, opPong, string(payload)))
		}
		if err != nil || opcode == opClose {
			return err
		}
	}
}

// fillTorrents announces in as many torrents as one connection may, in small pieces, and stays.
func fillTorrents(ctx context.Context, s *scene, c *client, i int) error {
	const torrents, batch = 1024, 256
	peer := idOf("%s%08d", attackerPrefix, i)
	for first := 0; first < torrents; first += batch {
		var out []byte
		for k := range batch {
			hash := idOf("torrent-%05d-%04d", i, first+k)
			out = appendFrame(out, opText, shortAnnounce(hash, peer))
		}
		if _, err := c.Write(out); err != nil {
			return err
		}
		for range batch {
			if _, _, err := readFrame(c.in); err != nil {
				return err
			}
		}
	}
	return stay(ctx, s, c, i)
}

// poison puts 1,024 peers into the honest torrent, every other one of them a seeder, and stays.
func poison(_ context.Context, _ *scene, c *client, _ int) error {
	var out []byte
	for k := range 1024 {
		peer := idOf("%s%08d", attackerPrefix, k)
		text := fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s","left":%d}`, honestHash, peer, k%2)
		out = appendFrame(out, opText, text)
	}
	if _, err := c.Write(out); err != nil {
		return err
	}
	discard(c) // the offers that it gets
	return nil
}

// floodBlock is the size of one write of a flood.
const floodBlock = 16 << 10

// flood sends the same frames again and again, and reads the replies.
func flood(c *client, frames []byte) error {
	frames = bytes.Repeat(frames, floodBlock/len(frames))
	go io.Copy(io.Discard, c.in)
	for {
		if _, err := c.Write(frames); err != nil {
			return err
		}
	}
}

func floodPings(_ context.Context, _ *scene, c *client, _ int) error {
	return flood(c, appendFrame(nil, opPing, ""))
}

func floodMessages(_ context.Context, _ *scene, c *client, i int) error {
	text := shortAnnounce(idOf("flood-torrent-%05d", i), idOf("%s%08d", attackerPrefix, i))
	return flood(c, appendFrame(nil, opText, text))
}

// scrapeDeaf scrapes and reads nothing.
func scrapeDeaf(_ context.Context, _ *scene, c *client, i int) error {
	hashes := make([]string, 255)
	for k := range hashes {
		hashes[k] = idOf("scrape-%05d-%04d", i, k)
	}
	text := `{"action":"scrape","info_hash":["` + strings.Join(hashes, `","`) + `"]}`
	frame := appendFrame(nil, opText, text)
	for {
		if _, err := c.Write(frame); err != nil {
			return err
		}
	}
}

// halfMessage always has most of a large message with the tracker: it completes one only together with most of the next,
// so that no memory becomes free in between. Large messages fill the default assembly memory of 32 MiB nearly, in buffers
// of 64 KiB. The last connections send small ones, for the rest of it.
func halfMessage(ctx context.Context, s *scene, c *client, i int) error {
	const large, small, missing, period = 56_000, 4000, 100, 2 * time.Second
	if i >= scaled(s.connections, s.Scale)*508/600 {
		_, err := c.Write(appendFrame(nil, opText, strings.Repeat(" ", small))[:small-missing])
		if err == nil {
			discard(c)
		}
		return err
	}
	frame := appendFrame(nil, opText, strings.Repeat(" ", large))
	begin, end := frame[:large-missing], frame[large-missing:]
	if _, err := c.Write(begin); err != nil {
		return err
	}
	pause(ctx, period)
	return repeat(ctx, c, period, append(bytes.Clone(end), begin...))
}

// takeOverPeer announces again and again with the peer id of a resident.
func takeOverPeer(ctx context.Context, _ *scene, c *client, i int) error {
	return repeat(ctx, c, thinkTime/2, appendFrame(nil, opText, shortAnnounce(honestHash, honestID(i))))
}

// repeat sends frames at a fixed rate and reads the replies.
func repeat(ctx context.Context, c *client, period time.Duration, frames []byte) error {
	go io.Copy(io.Discard, c.in)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if _, err := c.Write(frames); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// junkOffers announces in the honest torrent with offers that nobody wants.
func junkOffers(ctx context.Context, _ *scene, c *client, i int) error {
	offers := make([]offer, 10)
	for k := range offers {
		offers[k] = offer{idOf("junk-%02d", k), "v=0"}
	}
	text := announceText(honestHash, idOf("%s%08d", attackerPrefix, i), 1, offers)
	return repeat(ctx, c, time.Second/215, appendFrame(nil, opText, text))
}

// attend is the life of a good client, which announces every few seconds and answers offers.
func attend(ctx context.Context, s *scene, c *client, i int) error {
	const hash, period = "campus-torrent------", 5 * time.Second
	peer, number := idOf("-CA0001-%d", i), 0
	announce := func() error {
		offers := make([]offer, offersOfAnnounce)
		for k := range offers {
			name := idOf("%05d-%05d-%d", i, number, k)
			offers[k] = offer{name, sdpOf(name)}
		}
		number++
		_, err := c.Write(appendFrame(nil, opText, announceText(hash, peer, 1, offers)))
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.answer(c, hash, peer); err != nil && ctx.Err() == nil {
			s.refused.Add(1)
		}
	}()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		if err := announce(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-tick.C:
		}
	}
}

// answer answers offers and pings until the connection ends, and counts failures.
func (s *scene) answer(c *client, hash, peer string) error {
	for {
		opcode, payload, err := readFrame(c.in)
		if err != nil {
			return err
		}
		var out []byte
		switch opcode {
		case opClose:
			return io.EOF
		case opPing:
			out = appendFrame(nil, opPong, string(payload))
		case opText:
			var m message
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			if m.Failure != "" {
				s.refused.Add(1)
			}
			if m.Offer != nil {
				out = appendFrame(nil, opText, answerText(hash, peer, m.PeerID, m.OfferID, sdpOf(m.OfferID)))
			}
		}
		if len(out) > 0 {
			_, err = c.Write(out)
		}
		if err != nil {
			return err
		}
	}
}

// leave ends at once.
func leave(context.Context, *scene, *client, int) error { return nil }

// dripRequest sends a request whose head does not end.
func dripRequest(ctx context.Context, _ *scene, c *client, _ int) error {
	head, _, _ := strings.Cut(upgradeRequest, "Sec-")
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	return drip(ctx, c, []byte("X-Slow: "+strings.Repeat("x", 1000)), time.Second)
}

// giantHeader sends the header of a frame that is as long as allowed, longer, or longer than anything, and not the
// frame.
func giantHeader(_ context.Context, _ *scene, c *client, i int) error {
	sizes := []uint64{131_072, 131_073, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	if _, err := c.Write(appendHeader(nil, opText, sizes[i%len(sizes)])); err != nil {
		return err
	}
	discard(c)
	return nil
}

// closeGames ends a connection in ways that no client should.
func closeGames(ctx context.Context, _ *scene, c *client, i int) error {
	closeFrame := func(code uint16) []byte {
		return appendFrame(nil, opClose, string(binary.BigEndian.AppendUint16(nil, code)))
	}
	half := appendHeader(nil, opText, 1000)
	switch i % 5 {
	case 0: // goes on after its close frame
		for out := append(closeFrame(1000), bytes.Repeat(appendFrame(nil, opPing, ""), 1000)...); ; {
			if _, err := c.Write(out); err != nil {
				return err
			}
		}
	case 1: // sends a code that nobody may send, again and again
		return repeat(ctx, c, time.Millisecond, closeFrame(1005))
	case 2: // ends its side within a message, and reads on
		c.Write(half)
		if end, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			end.CloseWrite()
		}
		discard(c)
	case 3: // says goodbye, stays and reads nothing
		c.Write(closeFrame(1001))
		<-ctx.Done()
	default: // resets within a message
		c.Write(half)
	}
	return nil
}
