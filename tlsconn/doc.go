// Package tlsconn is the server side of TLS 1.2 and 1.3 for an event loop that must not block: bytes in, bytes out, no
// socket.
//
// It has two halves. The first is the handshake. It is the work of crypto/tls, which reads from its client where it
// needs to. So each handshake runs on a stack of its own, a coroutine of the event loop's thread (coroutine.go), and
// reads from memory (pipe.go): where that is empty, the loop goes on with other work. [Engine.Compute] gives the
// handshakes their turns (queue.go). Private keys are used there and nowhere else. A complete handshake yields the
// traffic keys, and crypto/tls is no longer needed. The second half is the record layer. It is this package's own work on
// the AEADs of the standard library (record.go), done by the event loop's thread in the memory where the bytes lie.
//
// The reason is memory. crypto/tls keeps an input buffer as large as the largest record it has seen: a connection that
// sent one large message holds 18 KB for the rest of its life. A [Conn] at rest holds its keys and sequence numbers,
// less than half a kilobyte, and no buffer at all.
//
//	socket ─► Conn.Feed ─► pipe ─► crypto/tls          ─► keys ─┐
//	                └────► Conn.Next ◄─ record layer ◄──────────┘
//	socket ◄─ Conn.Drain (flights, alerts) and Conn.Write (data)
//
// A connection can go on in another process when it is established, and before its handshake has begun. [Conn.AppendState]
// writes it as bytes, and [Engine.Restore] makes a connection of them there (saved.go). Sessions resume there when [Certificates.UseTicketKeys] has taken over the
// keys of [Certificates.TicketKeys].
//
// One table says which states a connection passes and how it ends (end.go).
//
// A server name with a trailing dot is refused by crypto/tls with decode_error, and its message cannot be changed before
// crypto/tls reads it, since both sides hash it. RFC 6066 §3: «The hostname is represented as a byte string using ASCII
// encoding without a trailing dot.»
//
// Left out on purpose: client certificates, renegotiation (refused), 0-RTT (crypto/tls has none), suites with CBC or
// RSA key exchange, TLS 1.1 and older, compression.
package tlsconn
