package server

import (
	"context"
	"net/netip"

	"millrace/cmd/internal/shard"
	"millrace/ring"
	"millrace/ring/host"
)

// This file makes the listening sockets of a predecessor this process's own, when that has let them go. Before, it may need them again as
// they were.

// claim takes over the paths of unix sockets, gives all sockets the properties of this configuration, and ends those that it has no more.
// What cannot be changed is a warning: clients are served already.
func (s *Server) claim(in *inheritance) {
	warn := func(err error, address string) {
		if err != nil {
			s.log.Warn(err.Error(), "address", address)
		}
	}
	for n, l := range s.listening {
		if l == nil || l.first.Kept() {
			continue
		}
		warn(l.first.Claim(l.Mode()), l.Address)
		warn(s.listenAgain(n), l.Address)
		if l.addr.Addr() == netip.IPv6Unspecified() && l.OnlyIPv6 == s.takesIPv4(n) {
			s.log.Warn("only_ipv6 of a socket that was handed on keeps its value until a restart", "address", l.Address)
		}
	}
	if s.control != nil {
		warn(s.control.claim(), s.control.address)
	}
	for _, of := range in.listeners {
		in.unused = append(in.unused, of...)
	}
	in.listeners = nil
	ended := map[string]bool{}
	for _, h := range in.unused {
		if !ended[h.Address] {
			s.log.Info("listening no more", "address", h.Address)
		}
		ended[h.Address] = true
	}
	sockets, err := host.HandedSockets(in.unused)
	if err == nil {
		err = sockets.End()
	}
	if err != nil {
		s.log.Warn("cannot remove a unix socket that has ended; the next start replaces it", "error", err)
	}
}

// eachSocket calls f for the sockets of a listener.
func (s *Server) eachSocket(n int, f func(fd int)) {
	for _, c := range s.controls {
		_ = c.Do(context.Background(), func(_ *shard.Shard, r *ring.Ring) { // a loop that has ended has failed, and says so
			for _, fd := range r.ListenerFDs(n) {
				f(fd)
			}
		})
	}
}

// listenAgain gives the sockets of a listener the configured backlog.
func (s *Server) listenAgain(n int) (err error) {
	s.eachSocket(n, func(fd int) {
		if err == nil {
			err = host.ListenAgain(fd, s.Config().Network.TCPBacklog)
		}
	})
	return err
}

// takesIPv4 reports whether the sockets of a listener take clients of IPv4.
func (s *Server) takesIPv4(n int) (yes bool) {
	s.eachSocket(n, func(fd int) { yes = yes || host.TakesIPv4(fd) })
	return yes
}
