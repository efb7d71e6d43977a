package server

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"millrace/cmd/internal/mailbox"
	"millrace/config"
	"millrace/ring"
	"millrace/ring/pool"
	"millrace/swarm"
	"millrace/tlsconn"
	"millrace/wsproto"
)

// This file ties the limits of package config to the packages that they are about. config imports none of them, so it
// repeats their limits.

// bounds returns the least and the greatest value that a key may have.
func bounds(t *testing.T, key string) (least, most int) {
	t.Helper()
	_, err := config.Load("f", []byte(key+" = -1"))
	if err == nil {
		t.Fatalf("%s may be negative", key)
	}
	_, text, _ := strings.Cut(err.Error(), "but must be ")
	if _, err := fmt.Sscanf(strings.TrimPrefix(text, "a power of two "), "from %d to %d", &least, &most); err != nil {
		t.Fatalf("%s: cannot read %q: %v", key, text, err)
	}
	return least, most
}

// leastWith returns the least value that a key may have beside other keys.
func leastWith(t *testing.T, key, others string) int {
	t.Helper()
	least, _ := bounds(t, key)
	_, err := config.Load("f", fmt.Appendf(nil, "%s = %d\n%s", key, least, others))
	for err != nil { // several rules may ask for more
		_, text, _ := strings.Cut(err.Error(), "but must be at least ")
		if _, scanErr := fmt.Sscanf(text, "%d", &least); scanErr != nil {
			t.Fatalf("%s with %s: %v", key, others, err)
		}
		_, err = config.Load("f", fmt.Appendf(nil, "%s = %d\n%s", key, least, others))
	}
	return least
}

// TestLimitsOfTables proves that config accepts as much as one table can hold and no more. A table lowers a greater
// limit without a word.
func TestLimitsOfTables(t *testing.T) {
	f := func(key string, most int) {
		t.Helper()
		load := func(n int) error {
			_, err := config.Load("f", fmt.Appendf(nil, "%s = %d\nsocket_workers = 1", key, n))
			return err
		}
		if err := load(most); err != nil {
			t.Errorf("a table can hold more than config accepts: %v", err)
		}
		if load(most+1) == nil {
			t.Errorf("config accepts %s = %d, but a table can hold %d only", key, most+1, most)
		}
	}
	f("limits.max_peers", swarm.MaxPeersLimit)
	f("limits.max_pending_offers", swarm.MaxPendingOffersLimit)
	f("limits.torrents_per_connection", swarm.MaxPeersPerConnectionLimit)
	if _, most := bounds(t, "limits.pending_offers_per_peer"); most > swarm.MaxPendingPerPeerLimit {
		t.Errorf("config accepts %d pending offers per peer, but a table can hold %d", most, swarm.MaxPendingPerPeerLimit)
	}
	if _, most := bounds(t, "protocol.max_scrape_torrents"); most != wsproto.MaxScrapeFiles {
		t.Errorf("config accepts %d torrents of a scrape, but a reply takes %d", most, wsproto.MaxScrapeFiles)
	}
	if _, most := bounds(t, "socket_workers"); most > math.MaxUint16 {
		t.Errorf("config accepts %d shards, but an address in a table names a shard by 16 bits", most)
	}
}

// TestLimitsOfRing proves that each size of a ring that config accepts is one that the ring accepts too, and that the
// bound on its memory is the ring's.
func TestLimitsOfRing(t *testing.T) {
	features := ring.Probe()
	f := func(file string) {
		t.Helper()
		c, err := config.Load("f", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Choose(features, ringOptions(c, 1)); err != nil {
			t.Errorf("config accepts what the ring refuses: %s: %v", file, err)
		}
	}
	const small = "\nio_uring.receive_buffers = 16\nio_uring.receive_buffer_size = 1024"
	least, most := bounds(t, "io_uring.entries")
	f(fmt.Sprint("io_uring.entries = ", least))
	f(fmt.Sprint("io_uring.entries = ", most))
	least, most = bounds(t, "io_uring.receive_buffers")
	f(fmt.Sprint("io_uring.receive_buffers = ", least))
	f(fmt.Sprint("io_uring.receive_buffers = ", most))
	least, most = bounds(t, "io_uring.receive_buffer_size")
	f(fmt.Sprint("io_uring.receive_buffer_size = ", least))
	f(fmt.Sprint("io_uring.receive_buffer_size = ", most))
	f(fmt.Sprint("io_uring.send_memory = ", leastWith(t, "io_uring.send_memory", small), small))
	_, most = bounds(t, "io_uring.send_memory")
	f(fmt.Sprint("io_uring.send_memory = ", most, small))

	c := config.Default()
	c.IOUring.ReceiveBuffers, c.IOUring.ReceiveBufferSize, c.IOUring.SendMemory = 16, 1024, most+512
	if _, err := ring.Choose(features, ringOptions(c, 1)); err == nil {
		t.Errorf("the ring accepts more send memory than config: %d bytes", most+512)
	}
}

// TestMemoryRules proves that the least memory that config accepts holds the largest frame and message that the other
// keys allow, as the packages that make and read them count it.
func TestMemoryRules(t *testing.T) {
	const tls = "\nnetwork.enable_tls = true\nnetwork.tls_certificate_path = 'c'\nnetwork.tls_private_key_path = 'k'"
	f := func(message, scrape int, secure bool) {
		t.Helper()
		others := fmt.Sprintf("network.websocket_max_message_size = %d\nprotocol.max_scrape_torrents = %d", message, scrape)
		if secure {
			others += tls
		}
		// An offer cannot be longer than the message that brings it.
		frame := max(wsproto.OfferSize(message), wsproto.ScrapeReplySize(scrape))
		send := pool.New(make([]byte, leastWith(t, "io_uring.send_memory", others)))
		if send.Get(frame) == 0 || secure && send.Get(frame+tlsconn.RecordOverhead(frame)) == 0 {
			t.Errorf("message %d, scrape %d, TLS %v: send_memory of %d bytes does not hold a frame of %d bytes",
				message, scrape, secure, send.Size(), frame)
		}
		received := ws.HeaderSize(ws.Header{Masked: true, Length: int64(message)}) + message
		assembly := pool.New(make([]byte, leastWith(t, "io_uring.assembly_memory", others)))
		for k := range 4 {
			if assembly.Get(received) == 0 {
				t.Errorf("message %d: assembly_memory of %d bytes holds %d messages, want 4", message, assembly.Size(), k)
				break
			}
		}
		size := leastWith(t, "io_uring.mailbox_size", others)
		mailbox.New(size)                            // panics if it cannot be
		const head = 256                             // bytes of a record before its sdp; less in each layout of the shard
		if most := size/2 - 8; most < message+head { // as mailbox.New promises
			t.Errorf("message %d: a mailbox takes records of %d bytes", message, most)
		}
	}
	least, most := bounds(t, "network.websocket_max_message_size")
	_, mostScrape := bounds(t, "protocol.max_scrape_torrents")
	for _, message := range []int{least, 64 << 10, 128 << 10, 8_380_000, most} {
		for _, scrape := range []int{0, 255, mostScrape} {
			f(message, scrape, false)
			f(message, scrape, true)
		}
	}

	// The other memory of a shard has bounds of its own.
	if least, _ := bounds(t, "io_uring.mailbox_size"); least < mailbox.MinSize {
		t.Errorf("config accepts mailboxes of %d bytes, the least is %d", least, mailbox.MinSize)
	}
	least, _ = bounds(t, "io_uring.assembly_memory")
	tlsconn.NewEngine(tlsconn.EngineOptions{
		Certificates: new(tlsconn.Certificates), MaxInFlight: leastHandshakes, MaxFresh: helloMemory,
		FirstFlight: 1, Timeout: 1, MaxBuffered: least, MaxExpanded: expandedKeys, KeyUpdatesPerMinute: 1,
	})
}
