package config

import "math/bits"

// This file says how much memory the other keys call for. Too little would not stop the tracker: it would close every
// connection with a long message, or leave out every long reply, which looks like a fault of the network.

// WriteBuffers is how many times network.websocket_write_buffer_size may wait for one connection, as in aquatic_ws.
const WriteBuffers = 3

const (
	// assemblyBuffers is the least number of partial messages of the greatest length that a shard holds. One that
	// outgrows its buffer is copied into one of twice the size and needs both meanwhile, so a single client can take
	// up to three.
	assemblyBuffers = 4

	// sendClients is the least number of clients that do not read for which a shard has memory.
	sendClients = 4

	frameHeadroom   = 1024 // bytes by which a relayed frame is longer than the message it came in, at most
	scrapeFileBytes = 200  // bytes of one torrent in the reply to a scrape, at most
	frameHeaderSize = 14   // bytes before the payload of a masked frame, at most (RFC 6455, section 5.2)
)

// need is the least size of one key that follows from others.
type need struct {
	key   string
	least int
	why   string   // the end of a sentence
	from  []string // the keys that it follows from
}

// needs returns the least sizes of the keys for memory. More than one row may be for the same key.
func (c *Config) needs() []need {
	n := &c.Network
	message := min(n.WebsocketMaxMessageSize, MaxMessageSize)
	assembly := func(bytes int, from string) need {
		return need{"io_uring.assembly_memory", assemblyBuffers * nextPowerOfTwo(bytes),
			"four buffers, each a power of two, for " + from, []string{from}}
	}
	return []need{
		{"io_uring.mailbox_size", nextPowerOfTwo(MailboxMessages * message),
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

// largestFrame returns the bytes of send memory that the largest frame takes. With TLS there are two of it for a
// moment: plain and encrypted, which is longer by 29 bytes for every 16 KiB.
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
