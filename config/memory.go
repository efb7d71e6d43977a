package config

import (
	"fmt"
	"math/bits"
)

// This file owns the least sizes of memory that follow from other keys. With less memory the tracker would run, but it
// would close each connection with a long message, or drop each long reply. That looks like a fault of the network.
//
// The constants repeat facts of other packages, which config does not import. A test of the server compares them.

// WriteBuffers is how many times network.websocket_write_buffer_size may wait for a slow connection, as in aquatic_ws.
const WriteBuffers = 3

const (
	// assemblyBuffers is the number of largest messages for which a shard has room while they arrive. A message that
	// outgrows its buffer is copied into one of twice the size, and needs both during the copy: a single client can
	// take the room of three.
	assemblyBuffers = 4

	mailboxMessages = 4 // largest messages for which a mailbox has room

	// sendClients is the number of slow clients for which a shard has memory.
	sendClients = 4

	frameHeadroom   = 1024 // a relayed frame is at most so many bytes longer than the message that brought it
	scrapeFileBytes = 200  // a scrape reply has at most so many bytes for each torrent
	frameHeaderSize = 14   // a masked frame has at most so many bytes before its payload (RFC 6455 §5.2)
)

// need is the least value of a key that follows from other keys.
type need struct {
	key   string
	least int
	why   string   // the end of a sentence
	from  []string // the other keys
}

// needs returns the least values of the keys for memory. Several rows may be for one key.
func (c *Config) needs() []need {
	n := &c.Network
	message := min(n.WebsocketMaxMessageSize, maxMessageSize)
	assembly := func(bytes int, from string) need {
		return need{"io_uring.assembly_memory", assemblyBuffers * nextPowerOfTwo(bytes),
			"four buffers, each a power of two, for " + from, []string{from}}
	}
	// A message that grows is in two buffers for a moment, the smaller one half as large.
	ofAddress := func(bytes int, from string) need {
		return need{"limits.assembly_bytes_per_address", 3 * nextPowerOfTwo(bytes) / 2,
			"three halves of a power of two that holds " + from, []string{from}}
	}
	return []need{
		ofAddress(message+frameHeaderSize, "network.websocket_max_message_size"),
		ofAddress(n.MaxRequestHead, "network.max_request_head"),
		{"limits.send_bytes_per_address", sendClients*WriteBuffers*n.WebsocketWriteBufferSize + c.largestFrame(message),
			"as much as io_uring.send_memory must be",
			[]string{"network.websocket_max_message_size", "protocol.max_scrape_torrents",
				"network.websocket_write_buffer_size"}},
		{"io_uring.mailbox_size", nextPowerOfTwo(mailboxMessages * message),
			"a power of two that holds four times network.websocket_max_message_size",
			[]string{"network.websocket_max_message_size"}},
		assembly(message+frameHeaderSize, "network.websocket_max_message_size"),
		assembly(n.MaxRequestHead, "network.max_request_head"),
		assembly(c.IOUring.ReceiveBufferSize, "io_uring.receive_buffer_size"),
		{"io_uring.send_memory", sendClients*WriteBuffers*n.WebsocketWriteBufferSize + c.largestFrame(message),
			"a frame for network.websocket_max_message_size or protocol.max_scrape_torrents " +
				"and twelve times network.websocket_write_buffer_size",
			[]string{"network.websocket_max_message_size", "protocol.max_scrape_torrents",
				"network.websocket_write_buffer_size"}},
	}
}

// checkRingMemory returns that a ring would have too much memory to receive and to send.
func (c *Config) checkRingMemory() []finding {
	u := &c.IOUring
	total := u.ReceiveBuffers*u.ReceiveBufferSize + u.SendMemory
	if total <= maxRingMemory {
		return nil
	}
	return []finding{{[]string{"io_uring.receive_buffers", "io_uring.receive_buffer_size", "io_uring.send_memory"},
		fmt.Sprintf("io_uring.receive_buffers times io_uring.receive_buffer_size and io_uring.send_memory come to %d "+
			"bytes, but must be at most %d together", total, maxRingMemory)}}
}

// largestFrame returns the bytes of send memory for the largest frame. With TLS the plain frame and its records need
// memory at the same time. The records are 29 bytes longer for each 16 KiB, and 27 for a change of keys.
func (c *Config) largestFrame(message int) int {
	size := max(message, scrapeFileBytes*c.Protocol.MaxScrapeTorrents) + frameHeadroom
	if c.Network.EnableTLS {
		return 2 * nextPowerOfTwo(size+size/512)
	}
	return nextPowerOfTwo(size)
}

// nextPowerOfTwo returns the least power of two that is not less than n.
func nextPowerOfTwo(n int) int {
	return 1 << bits.Len(uint(max(n, 1)-1))
}
