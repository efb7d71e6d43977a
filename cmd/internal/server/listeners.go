package server

import (
	"fmt"
	"net/netip"
	"os"

	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the listening sockets of all shards: which there are, and the step to those of another configuration.

// listening is one address that the tracker listens on, with a socket for each shard.
type listening struct {
	config.Listen
	addr  netip.AddrPort   // with the port that was really taken; zero for a unix socket
	first *host.Listener   // of the sockets
	fresh []*host.Listener // by shard, until the rings take them over
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
	if err := checkPassed(cfg, passed); err != nil {
		return next, err
	}
	for _, l := range cfg.Listeners() {
		if n := t.find(l, &next); n >= 0 {
			kept := *t[n]
			kept.Listen = l
			next[n] = &kept
			continue
		}
		n := t.free(&next)
		if n < 0 {
			return next, fmt.Errorf("cannot listen on %s: there may be %d addresses, and one that goes keeps its place until the "+
				"reload is done: take the old ones out, reload, and add the new ones then", l.Address, len(next))
		}
		if next[n], err = openListening(l, cfg.Network.TCPBacklog, shards, passed, false); err != nil {
			return next, err
		}
	}
	return next, nil
}

// checkPassed reports a socket that the service manager has passed and the configuration does not ask for. That of an address in
// another form is among them, which could not be listened on beside it.
func checkPassed(cfg *config.Config, passed *host.Passed) error {
	var addresses []string
	for _, l := range cfg.Listeners() {
		addresses = append(addresses, l.Address)
	}
	if l := passed.Missing(addresses); l != nil {
		return fmt.Errorf("cannot use the socket that was passed for %s: no address of the configuration is the same; "+
			"change network.address, add [[listen]] with address = %q, or take it out of the socket unit", l, l)
	}
	return nil
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

// openListening opens the sockets of an address. If once is true, it does not wait for one that is in use.
func openListening(l config.Listen, backlog, shards int, passed *host.Passed, once bool) (*listening, error) {
	fresh, err := passed.Listen(l.Address, shards)
	if err != nil {
		return nil, err
	}
	if fresh == nil {
		fresh, err = host.Listen(host.ListenOptions{
			Address: l.Address, OnlyIPv6: l.OnlyIPv6, Mode: l.Mode(), Backlog: backlog, Sockets: shards, Once: once,
		})
		if err != nil {
			return nil, err
		}
	}
	return &listening{Listen: l, addr: fresh[0].Addr(), first: fresh[0], fresh: fresh}, nil
}

// closeFresh closes the sockets that no ring has taken over.
func (t *listenTable) closeFresh() {
	for _, l := range t {
		if l == nil || l.fresh == nil {
			continue
		}
		l.close()
	}
}

// close closes sockets that no ring has taken over.
func (l *listening) close() {
	for _, socket := range l.fresh {
		socket.Close()
	}
	_ = l.first.Remove() // it is where it was made a moment ago
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

// urls returns the addresses as clients write them.
func (t *listenTable) urls() *[]string {
	all := []string{}
	for _, l := range t {
		if l != nil {
			all = append(all, l.url())
		}
	}
	return &all
}

// remove removes the path of a unix socket that has ended. After a change of the root directory or of the user it may not be
// allowed to; the next start replaces it.
func (s *Server) remove(l *listening) {
	if err := l.first.Remove(); err != nil {
		s.log.Warn("cannot remove a unix socket that has ended; the next start replaces it", "path", l.Unix(), "error", err)
	}
}

// listen changes to other sockets and says so in the log. It is the last step of a change of the configuration.
func (s *Server) listen(next *listenTable) {
	for id, c := range s.controls {
		c.Listen(s.listening.orders(next, id))
	}
	for n, l := range s.listening {
		switch {
		case l == nil:
		case next[n] == nil:
			s.log.Info("listening no more", "url", l.url())
			s.remove(l)
		case l.UnixMode != next[n].UnixMode && l.Unix() != "":
			if err := os.Chmod(l.Unix(), next[n].Mode()); err != nil {
				s.log.Warn("cannot change the permissions of a unix socket", "error", err)
			}
		}
	}
	for n, l := range next {
		if l != nil && (s.listening[n] == nil || s.listening[n].url() != l.url()) {
			s.log.Info("listening", "url", l.url())
		}
	}
	next.taken()
	s.listening = *next
	s.showListening()
}

// showListening shows the sockets to other goroutines.
func (s *Server) showListening() {
	table := s.listening
	s.served.Store(&table)
	s.urls.Store(s.listening.urls())
}
