package conn

// This file owns the reasons for which connections end.

// Reason says why a connection ended.
type Reason uint8

// The reasons. Each has a counter in [Stats.Closed] and a name in [Reason.String].
const (
	ReasonNone             Reason = iota
	ReasonClientClose             // the client sent a close frame
	ReasonEOF                     // the client ended its data without a close frame
	ReasonReset                   // the connection failed: reset, timed out in TCP, unreachable
	ReasonBadRequest              // not an acceptable upgrade request
	ReasonHandshakeTimeout        // no whole upgrade request in time
	ReasonIdle                    // silent, pings included, for too long
	ReasonSlowConsumer            // did not take the bytes sent to it in time
	ReasonSlowMessage             // did not finish a message in time
	ReasonProtocol                // broke the WebSocket protocol
	ReasonTooBig                  // a message or frame over the limit
	ReasonBadMessages             // too many unusable messages in a row
	ReasonNoMemory                // no buffer left for it
	ReasonStopping                // the tracker stops
	ReasonHealthCheck             // a health check was answered
	ReasonTLS                     // TLS failed: no handshake, or a record that is not as it should be
	ReasonCertificate             // was on a replaced certificate for too long
	ReasonAddressLimit            // its client's address has enough
	ReasonControlFlood            // too many control frames
	ReasonTLSFlood                // changed its TLS keys too often
	ReasonPressure                // the process has too little memory for new connections
	ReasonOrigin                  // a page of a website that may not connect
	ReasonACME                    // an ACME server was answered
	ReasonPage                    // a page was sent
	ReasonBanned                  // the operator has banned its client's address
	ReasonNoPlace                 // the process that has taken over has no place for it
	Reasons                       // how many there are
)

var reasonNames = [Reasons]string{
	"none", "client_close", "eof", "reset", "bad_request", "handshake_timeout", "idle", "slow_consumer", "slow_message",
	"protocol_error", "too_big", "bad_messages", "no_memory", "stopping",
	"health_check", "tls_error", "certificate", "address_limit", "control_flood", "tls_flood", "memory_limit",
	"origin", "acme", "page", "banned", "no_place",
}

// String returns the reason's name as it stands in logs and metrics.
func (r Reason) String() string { return reasonNames[r] }

// Stranger reports whether a connection that ends for this reason never became a client's. Probes of ports end so, all day.
func (r Reason) Stranger() bool {
	return r == ReasonBadRequest || r == ReasonHandshakeTimeout || r == ReasonTLS
}

// Abusive reports whether a client that ends for this reason may mean harm, so that logs should tell its address.
func (r Reason) Abusive() bool {
	switch r {
	case ReasonBadRequest, ReasonHandshakeTimeout, ReasonSlowConsumer, ReasonSlowMessage, ReasonProtocol, ReasonTooBig,
		ReasonBadMessages, ReasonTLS, ReasonAddressLimit, ReasonControlFlood, ReasonTLSFlood:
		return true
	}
	return false
}
