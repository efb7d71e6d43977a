// Package door is the one place where a connection enters a shard and leaves it: by accept, by adoption from another
// shard, and by its end. It knows whose connection it is, also behind reverse proxies. Everything that depends on a client's
// address, or on whether the tracker takes in clients at all, belongs here.
package door

import (
	"net/netip"
	"time"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/trace"
	"millrace/ring"
	"millrace/tlsconn"
	"millrace/wsproto"
)

// Options are the settings of a door. Times are in whole seconds.
type Options struct {
	SourceSeed       guard.Secret   // fingerprints of client addresses: the same for all shards
	ShareFamilies    bool           // IPv4 and IPv6 peers in one swarm
	TrustedProxies   []netip.Prefix // their words about the client's address are believed
	Listeners        Listeners      // by the numbers that the ring gives them
	HandshakeTimeout uint32         // from accept to a whole upgrade request
	Addresses        *guard.Table   // nil: addresses have no limits
}

// Listeners are the settings of all listening sockets.
type Listeners [ring.MaxListeners]Listener

// Listener says how clients come through one listening socket.
type Listener struct {
	Plain         bool // without TLS, although the shard speaks it
	ProxyProtocol bool // connections from trusted proxies begin with a PROXY header
	Local         bool // a unix socket: all that connect are trusted proxies
}

// localhost is the address of a client that came through a unix socket, until a proxy has told of another one.
var localhost = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// Door lets connections into the table of a shard and out of it. It belongs to the loop's thread.
type Door struct {
	opt       Options
	table     *conn.Table
	turn      *conn.Turn
	engine    *tlsconn.Engine       // nil without TLS
	isTrusted func(netip.Addr) bool // trusted, bound once so that its use does not allocate
	closed    bool
	stats     Stats
}

// Stats are the counters of a door. Their tags say how they are shown (see package stats).
type Stats struct {
	Accepted        uint64     `metric:"connections_accepted_total" help:"Connections that the kernel has handed over."`
	Refused         uint64     `metric:"connections_refused_total" help:"Connections closed at once because max_connections is reached."`
	AcceptFailed    uint64     `metric:"accept_failures_total" help:"Connections that the kernel could not hand over."`
	LastAcceptError ring.Errno `metric:"-"`
	BadProxyHeaders uint64     `metric:"bad_proxy_headers_total" help:"Connections from trusted proxies closed for lack of a PROXY protocol header."`
}

// New returns the door of a table. engine is nil without TLS.
func New(o Options, table *conn.Table, turn *conn.Turn, engine *tlsconn.Engine) *Door {
	d := &Door{opt: o, table: table, turn: turn, engine: engine}
	d.isTrusted = d.trusted
	return d
}

// Change puts other settings in force, for the connections that come from now on: all but SourceSeed, ShareFamilies and
// Addresses, by which those that are here are known.
func (d *Door) Change(o Options) {
	o.SourceSeed, o.ShareFamilies, o.Addresses = d.opt.SourceSeed, d.opt.ShareFamilies, d.opt.Addresses
	d.opt = o
}

// Stats returns the counters.
func (d *Door) Stats() Stats { return d.stats }

// Close lets nobody in any more. A connection that the ring has accepted all the same still enters; the caller ends it.
func (d *Door) Close() { d.closed = true }

// Closed reports whether the tracker takes nobody in any more.
func (d *Door) Closed() bool { return d.closed }

// Accept lets in a connection that the ring has accepted. Unless the verdict is guard.Admitted the caller has to end it.
func (d *Door) Accept(e *ring.Event) (*conn.Conn, guard.Verdict) {
	l, peer := d.opt.Listeners[e.Listener], e.Peer
	var t *tlsconn.Conn
	var flags conn.Flags
	if d.engine != nil && !l.Plain {
		t = d.engine.Start(Handle(e.Slot))
		flags = conn.Encrypted
	}
	if l.Local {
		peer = localhost
		flags |= conn.Vouched
	}
	c := d.table.Enter(e.Slot, conn.Accepted, t)
	c.Since, c.LastSeen, c.Deadline, c.Flags = d.turn.Now, d.turn.Now, d.turn.Now+d.opt.HandshakeTimeout, flags
	d.identify(c, peer)
	d.stats.Accepted++
	note := d.turn.Note(e.Slot.Index, c, trace.Accepted)
	if d.isProxy(c) { // a proxy does not count itself, its clients do when they are known
		if l.ProxyProtocol {
			c.Flags |= conn.Proxied | conn.Spoken
		}
		return c, guard.Admitted
	}
	verdict := d.count(c)
	if verdict != guard.Admitted {
		note.Decision, note.Why = trace.Refused, NameOf(verdict)
	}
	return c, verdict
}

// count counts a connection for the address of its client, once that is known.
func (d *Door) count(c *conn.Conn) (v guard.Verdict) {
	if d.opt.Addresses != nil {
		c.Guard, v = d.opt.Addresses.Enter(c.Client().Addr(), time.Duration(d.turn.Nanos))
	}
	return v
}

// Offence counts that a connection has broken a limit, for its client's address.
func (d *Door) Offence(c *conn.Conn) {
	if d.opt.Addresses != nil {
		d.opt.Addresses.Offence(c.Guard, time.Duration(d.turn.Nanos))
	}
}

// Handshake reports whether the address of a connection's client may have one more TLS handshake now. EndHandshake follows
// if it may.
func (d *Door) Handshake(c *conn.Conn) bool {
	return d.opt.Addresses == nil || d.opt.Addresses.Handshake(c.Guard, time.Duration(d.turn.Nanos))
}

// EndHandshake ends a handshake.
func (d *Door) EndHandshake(c *conn.Conn) {
	if d.opt.Addresses != nil {
		d.opt.Addresses.EndHandshake(c.Guard)
	}
}

// Full reports whether the address of a connection's client has as many peers as it may.
func (d *Door) Full(c *conn.Conn) bool {
	return d.opt.Addresses != nil && d.opt.Addresses.PeersFull(c.Guard.Origin())
}

var nameVerdict = conn.Names.Add(verdictNames()...)

func verdictNames() (names []string) {
	for v := range guard.Verdicts {
		names = append(names, v.String())
	}
	return names
}

// NameOf returns the name of a verdict in traces.
func NameOf(v guard.Verdict) trace.Name { return nameVerdict + trace.Name(v) }

// Refused counts connections that the ring has refused, or failed to accept.
func (d *Door) Refused(e *ring.Event) {
	if e.Kind == ring.EventRefused {
		d.stats.Refused += uint64(e.N)
		return
	}
	d.stats.AcceptFailed++
	d.stats.LastAcceptError = e.Errno
}

// Adopt lets in a connection that has come from another shard with its TLS (nil without), flags, client's address and the
// entry of that.
func (d *Door) Adopt(slot ring.Slot, t *tlsconn.Conn, flags conn.Flags, client netip.AddrPort, ref guard.Ref) *conn.Conn {
	c := d.table.Enter(slot, conn.Adopted, t)
	c.Since, c.LastSeen, c.Flags, c.Guard = d.turn.Now, d.turn.Now, flags, ref
	d.identify(c, client)
	if t != nil {
		d.engine.Attach(t, Handle(slot))
	}
	return c
}

// Inherit lets in a connection that another process had, with its TLS (nil without), its flags and its client's address: an open one, or
// one that has not become a WebSocket yet. counted says that it counts for its address, which it does then over any limit.
func (d *Door) Inherit(slot ring.Slot, t *tlsconn.Conn, open, counted bool, flags conn.Flags, client netip.AddrPort) *conn.Conn {
	e := conn.Accepted
	if open {
		e = conn.Adopted
	}
	c := d.table.Enter(slot, e, t)
	c.Flags = flags
	d.identify(c, client)
	if d.opt.Addresses != nil && counted {
		c.Guard = d.opt.Addresses.Readmit(c.Client().Addr(), time.Duration(d.turn.Nanos))
	}
	return c
}

// CarryOn notes how many seconds ago an adopted connection came to the tracker.
func (d *Door) CarryOn(c *conn.Conn, since uint32) { c.Since = d.turn.Now - min(since, d.turn.Now) }

// Leave lets out the connection at index i: by conn.Released or conn.Gone.
func (d *Door) Leave(i uint32, e conn.Event) {
	if c := d.table.At(i); e == conn.Gone {
		d.turn.Note(i, c, trace.Closed)
		d.Lost(c.Guard)
	}
	d.table.Leave(i, e)
}

// Lost takes back the entry of a connection that has ended, or that was lost on its way from another shard.
func (d *Door) Lost(ref guard.Ref) {
	if d.opt.Addresses != nil {
		d.opt.Addresses.Leave(ref)
	}
}

// Handle returns the name under which TLS knows a connection.
func Handle(slot ring.Slot) tlsconn.Handle {
	return tlsconn.Handle(uint64(slot.Gen)<<32 | uint64(slot.Index))
}

// SlotOf returns the connection that a handle names.
func SlotOf(h tlsconn.Handle) ring.Slot { return ring.Slot{Index: uint32(h), Gen: uint32(h >> 32)} }

// identify makes an address that of the connection's client. It is called when the connection enters, and again when a
// trusted proxy has told of another one.
func (d *Door) identify(c *conn.Conn, client netip.AddrPort) {
	ip := client.Addr().Unmap()
	c.Addr, c.Port = ip.As16(), client.Port()
	c.Source, c.Family = d.opt.SourceSeed.Source(ip), d.family(ip)
	version := uint8(1)
	if ip.Is4() {
		version = 0
	}
	d.table.SetVersion(c, version)
}

// family says in which swarms a client of this address takes part.
func (d *Door) family(ip netip.Addr) uint8 {
	switch {
	case d.opt.ShareFamilies:
		return 0
	case ip.Is4():
		return 4
	}
	return 6
}

// isProxy reports whether a connection is that of a proxy that is believed, which has not told of a client yet.
func (d *Door) isProxy(c *conn.Conn) bool {
	return c.Flags.Has(conn.Vouched) || d.trusted(c.Client().Addr())
}

// trusted reports whether an address is that of a proxy that is believed.
func (d *Door) trusted(ip netip.Addr) bool {
	for k := range d.opt.TrustedProxies {
		if d.opt.TrustedProxies[k].Contains(ip) {
			return true
		}
	}
	return false
}

// ProxyHeader reads the PROXY header at the start of the bytes of a trusted proxy's connection and returns its length: 0
// while it is not complete. An error says that there is none. Unless the verdict is guard.Admitted the caller has to end
// the connection.
func (d *Door) ProxyHeader(i uint32, c *conn.Conn, buf []byte) (n int, v guard.Verdict, err error) {
	n, client, local, err := wsproto.ParseProxyHeader(buf)
	switch {
	case err != nil:
		d.stats.BadProxyHeaders++
		return 0, v, err
	case n == 0:
		return 0, v, nil
	}
	c.Flags &^= conn.Proxied
	if !local {
		v = d.introduce(i, c, client)
	}
	return n, v, nil
}

// introduce makes an address that a proxy has named that of the connection's client.
func (d *Door) introduce(i uint32, c *conn.Conn, client netip.AddrPort) guard.Verdict {
	d.identify(c, client)
	v := d.count(c)
	if note := d.turn.Note(i, c, trace.Identified); v != guard.Admitted {
		note.Decision, note.Why = trace.Refused, NameOf(v)
	}
	return v
}

// ForwardedFor takes the client's address from the header fields of a trusted proxy's request. Unless the verdict is
// guard.Admitted the caller has to end the connection.
func (d *Door) ForwardedFor(i uint32, c *conn.Conn, req *wsproto.Request) (v guard.Verdict) {
	if c.Flags.Has(conn.Spoken) || !d.isProxy(c) {
		return v
	}
	if ip, ok := req.ForwardedClient(d.isTrusted); ok {
		v = d.introduce(i, c, netip.AddrPortFrom(ip, 0))
	}
	return v
}
