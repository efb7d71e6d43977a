// Package tlsconn is TLS 1.2 and 1.3 for an event loop that must not block: bytes in, bytes out, no socket.
//
// It is made of two halves. The handshake is crypto/tls, which cannot be interrupted and resumed, so it runs in a helper
// goroutine of a bounded [Pool], fed through memory (pipe.go); private keys are used there and nowhere else. When it is
// complete, the traffic keys are taken over and crypto/tls is let go of. From then on the records are this package's own
// work on the standard library's AEADs (record.go), done by the event loop's thread in the memory where they lie.
//
// The reason is memory: crypto/tls keeps an input buffer as large as the largest record it has seen, 18 KB for the life of
// a connection that sent one large message. A [Conn] at rest holds its keys and sequence numbers, less than half a
// kilobyte, and no buffer at all.
//
//	socket ─► Conn.Feed ─► pipe ─► crypto/tls (helper) ─► keys ─┐
//	                └────► Conn.Next ◄─ record layer ◄──────────┘
//	socket ◄─ Conn.Drain (flights, alerts) and Conn.Write (data)
//
// What is left out on purpose: client certificates, renegotiation (refused), 0-RTT (crypto/tls has none), CBC and RSA key
// exchange suites, TLS 1.1 and older, compression.
package tlsconn
