// Package wsproto turns the bytes of WebSocket connections into WebTorrent tracker messages and back.
//
// It does no I/O: bytes go in, bytes and plain values come out, and the caller owns every buffer. The layers, in the
// order in which a client's bytes pass through them:
//
//	ParseProxyHeader  the PROXY protocol, where a proxy speaks it         (proxy.go)
//	ParseUpgrade      the HTTP/1.1 head that opens a connection           (upgrade.go)
//	ForwardedClient   the client's address behind trusted proxies         (forwarded.go, addr.go)
//	Reader            RFC 6455 frames, joined to whole messages           (reader.go)
//	Decoder           JSON text to a Message                              (decode.go, json.go)
//	Append functions  replies as finished server frames                   (encode.go, frame.go, close.go)
//
// In the steady state nothing here allocates. All errors are values that say what the client is owed: an HTTP status,
// a close code or a failure text. PROTOCOL.md describes the protocol for people who implement clients and trackers.
package wsproto
