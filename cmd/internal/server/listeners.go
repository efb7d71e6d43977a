package server

import (
	"fmt"
	"net/netip"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the listening sockets of all shards: which there are, and the step to those of another configuration.

// listening is one address that the tracker listens on, with a socket for each shard.
type listening struct {
	config.Listen
	addr   netip.AddrPort   // with the port that was really taken; zero for a unix socket
	passed bool             // by the service manager, which keeps it
	fresh  []*host.Listener // by shard, until the rings take them over
}

// listenTable has the addresses by the numbers that the rings know them by.
type listenTable [ring.MaxListeners]*listening

// next returns the table for a configuration. Addresses that are in t keep their sockets and numbers; fresh has those that were
// opened. If it fails, nothing is open that was not before.
func (t *listenTable) next(cfg *config.Config, shards int, passed *host.Passed) (next listenTable, err error) {
	defer func() {
		if err != nil {
			next.closeFresh()
		}
	}()
	var addresses []string
	for _, l := range cfg.Listeners() {
		addresses = append(addresses, l.Address)
		if n := t.find(l, &next); n >= 0 {
			kept := *t[n]
			kept.Listen = l
			next[n] = &kept
			continue
		}
		n := t.free(&next)
		if n < 0 {
			return next, fmt.Errorf("cannot listen on %s: at most %d addresses can end and begin at once", l.Address, len(next))
		}
		if next[n], err = openListening(l, cfg.Network.TCPBacklog, shards, passed); err != nil {
			return next, err
		}
	}
	if l := passed.Missing(addresses); l != nil {
		return next, fmt.Errorf("cannot use the socket that was passed for %s: no address of the configuration is the same; add "+
			"[[listen]] with address = %q, or take it out of the socket unit", l, l)
	}
	return next, nil
}

// find returns the number of a socket that has its like in l and is not in next yet; -1: there is none.
func (t *listenTable) find(l config.Listen, next *listenTable) int {
	for n, old := range t {
		if old != nil && next[n] == nil && old.SameSocket(l) {
			return n
		}
	}
	return -1
}

// free returns a number that is neither in t nor in next; -1: there is none. One that has just become free may be in use yet.
func (t *listenTable) free(next *listenTable) int {
	for n := range t {
		if t[n] == nil && next[n] == nil {
			return n
		}
	}
	return -1
}

func openListening(l config.Listen, backlog, shards int, passed *host.Passed) (*listening, error) {
	fresh, err := passed.Listen(l.Address, shards)
	if err != nil {
		return nil, err
	}
	given := fresh != nil
	if !given {
		fresh, err = host.Listen(host.ListenOptions{
			Address: l.Address, OnlyIPv6: l.OnlyIPv6, Mode: l.Mode(), Backlog: backlog, Sockets: shards,
		})
		if err != nil {
			return nil, err
		}
	}
	return &listening{Listen: l, addr: fresh[0].Addr(), passed: given, fresh: fresh}, nil
}

// closeFresh closes the sockets that no ring has taken over.
func (t *listenTable) closeFresh() {
	for _, l := range t {
		if l == nil || l.fresh == nil {
			continue
		}
		for _, socket := range l.fresh {
			socket.Close()
		}
		l.remove()
	}
}

// ofShard returns the sockets of one shard by their numbers. A table that has just been opened has no gaps.
func (t *listenTable) ofShard(id int) (sockets []*host.Listener) {
	for _, l := range t {
		if l != nil {
			sockets = append(sockets, l.fresh[id])
		}
	}
	return sockets
}

// taken says that the rings have the sockets.
func (t *listenTable) taken() {
	for _, l := range t {
		if l != nil {
			l.fresh = nil
		}
	}
}

// orders returns how the rings of a shard get from the sockets of t to those of next.
func (t *listenTable) orders(next *listenTable, id int) (orders []shard.ListenOrder) {
	for n := range t {
		if t[n] != nil && next[n] == nil {
			orders = append(orders, shard.ListenOrder{Number: n})
		}
	}
	for n, l := range next {
		if l != nil && l.fresh != nil {
			orders = append(orders, shard.ListenOrder{Number: n, Listener: l.fresh[id]})
		}
	}
	return orders
}

// door returns how clients come through the sockets.
func (t *listenTable) door() (all shard.Listeners) {
	for n, l := range t {
		if l != nil {
			all[n] = shard.Listener{Plain: !l.TLS, ProxyProtocol: l.ProxyProtocol, Local: l.Unix() != ""}
		}
	}
	return all
}

// url returns the address as clients write it.
func (l *listening) url() string {
	scheme := "ws"
	if l.TLS {
		scheme = "wss"
	}
	if path := l.Unix(); path != "" {
		return scheme + "+unix:" + path
	}
	return scheme + "://" + l.addr.String()
}

// remove removes the path of a unix socket, unless it is the service manager's. After a change of the root directory or of
// the user it may stay, and the next start replaces it.
func (l *listening) remove() {
	if !l.passed {
		host.RemoveSocket(l.Address)
	}
}

// listen changes to other sockets and says so in the log. It is the last step of a change of the configuration.
func (s *Server) listen(next *listenTable) {
	for id, c := range s.controls {
		c.Listen(s.listening.orders(next, id))
	}
	for n, l := range s.listening {
		if l != nil && next[n] == nil {
			l.remove()
			s.log.Info("listening no more", "url", l.url())
		}
	}
	for n, l := range next {
		if l != nil && (s.listening[n] == nil || s.listening[n].url() != l.url()) {
			s.log.Info("listening", "url", l.url())
		}
	}
	next.taken()
	s.listening = *next
}
