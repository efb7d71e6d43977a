// Package wsproto turns the bytes of WebSocket connections into WebTorrent tracker messages and back.
//
// It does no I/O: bytes go in, bytes and plain values come out, and the caller owns every buffer. A slice in a result
// is a view of the caller's bytes. An Append function returns the extended dst, as append does. A client's bytes pass
// through the layers in this order:
//
//	ParseProxyHeader         the PROXY protocol, where a proxy speaks it   proxy.go
//	ParseUpgrade             the HTTP/1.1 head that opens a connection     upgrade.go, response.go, health.go
//	Origins                  the web pages that may connect                origins.go
//	Request.ForwardedClient  the client's address behind trusted proxies   forwarded.go, addr.go
//	Reader                   RFC 6455 frames, joined to whole messages     reader.go
//	Decoder                  JSON text to a Message                        decode.go, message.go, json.go, json_string.go
//	Append functions         replies as finished server frames             encode.go, id.go, frame.go, close.go
//
// In the steady state nothing here allocates. Each error says what the client is owed: an HTTP status, a close code or
// a failure text (failure.go). PROTOCOL.md describes the protocol for people who implement clients and trackers.
package wsproto
