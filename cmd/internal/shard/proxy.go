package shard

import (
	"net/netip"

	"millrace/wsproto"
)

// This file finds out whose connection it is where reverse proxies stand in front: from those that are trusted, what they
// say of the client's address decides its IP version, its fingerprint and what logs show; from everybody else it is
// ignored.

// trusted reports whether an address is that of a proxy that is believed.
func (s *Shard) trusted(ip netip.Addr) bool {
	for k := range s.opt.TrustedProxies {
		if s.opt.TrustedProxies[k].Contains(ip) {
			return true
		}
	}
	return false
}

// setClient makes an address that of the connection's client.
func (s *Shard) setClient(c *conn, client netip.AddrPort) {
	ip := client.Addr().Unmap()
	c.addr, c.port = ip.As16(), client.Port()
	c.source, c.family, c.version = s.source(ip), s.family(ip), version(ip)
}

// client returns the address of a connection's client.
func (c *conn) client() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port)
}

// readProxyHeader takes the header of the PROXY protocol off the first bytes of a connection and returns what follows it:
// nothing while it is not complete, or after the connection was ended because it has none.
func (s *Shard) readProxyHeader(i uint32, c *conn, data []byte) []byte {
	buf := s.join(i, c, data)
	if buf == nil {
		return nil
	}
	n, client, local, err := wsproto.ParseProxyHeader(buf)
	switch {
	case err != nil:
		s.stats.BadProxyHeaders++
		s.drop(i, c, ReasonBadRequest, true)
		return nil
	case n == 0:
		s.keep(i, c, buf, 0)
		return nil
	}
	c.flags &^= flagProxy
	if !local {
		s.setClient(c, client)
	}
	if c.asm == 0 {
		return buf[n:]
	}
	s.rest = append(s.rest[:0], buf[n:]...)
	s.freeAssembly(c)
	return s.rest
}

// believeProxy takes the client's address from the header fields of a trusted proxy's request.
func (s *Shard) believeProxy(c *conn, req *wsproto.Request) {
	if s.opt.ProxyProtocol || !s.trusted(c.client().Addr()) {
		return
	}
	if ip, ok := req.ForwardedClient(s.isTrusted); ok {
		s.setClient(c, netip.AddrPortFrom(ip, 0))
	}
}
