package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"millrace/cmd/internal/control"
	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard/torrents"
	"millrace/config"
	"millrace/ring/host"
)

// This file owns the listener for `millrace ctl`, and the orders that concern the whole process.

// controlMode are the permissions of its socket. A program that may write to it may give orders.
const controlMode = 0o600

// controlWrite bounds an answer: reload reads files first, and some lists are very long.
const controlWrite = time.Hour

// lastAnswers is how long the end of the tracker waits for answers after a hand-over.
const lastAnswers = time.Second

// openControl listens for commands, where the configuration asks for it; nil where it does not. Nobody is answered before
// serve.
func (s *Server) openControl(c *config.Control) (*adminServer, error) {
	if c.Listen == "" {
		return nil, nil
	}
	socket, listener, err := listenControl(c, s.inherits)
	if err != nil {
		return nil, err
	}
	handler := control.New(control.Parts{
		Shards: s.controls, Addresses: func() *guard.Table { return s.addresses }, Clock: s.clock,
		Software: func(id []byte) string { return clientOf(torrents.Prefix(id)) },
		MayBan:   s.mayBan,
		Log: func(order, address string, args ...any) {
			s.log.Info(order, append([]any{"address", address}, args...)...)
		},
		Status: s.status, Reload: s.Reload, Files: s.reloadedFiles, Drain: s.Drain, Left: s.draining,
	}, socket.Addr().IsValid())
	a := newAdminServer("commands", socket.String(), listener, handler)
	a.address = c.Listen
	a.http.WriteTimeout = controlWrite
	a.claim = func() error { return socket.Claim(controlMode) }
	a.remove = func() {
		if err := socket.Remove(); err != nil {
			s.log.Warn("cannot remove the socket for commands; the next start replaces it", "path", c.Listen, "error", err)
		}
	}
	return a, nil
}

// listenControl opens the socket.
func listenControl(c *config.Control, in *inheritance) (*host.Listener, net.Listener, error) {
	all, err := in.take(listenerControl, c.Listen)
	if err == nil && all == nil {
		all, err = host.Listen(host.ListenOptions{Address: c.Listen, Mode: controlMode})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w (control.listen)", err)
	}
	socket := all[0]
	listener, err := netListener(socket, c.Listen)
	if err != nil {
		_ = socket.Remove()
		return nil, nil, fmt.Errorf("cannot listen on control.listen %s: %w", c.Listen, err)
	}
	if l, ok := listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // remove does it, with a look at what is there
	}
	return socket, listener, nil
}

// Drain begins to end the tracker over a time, or over that of the configuration if it is 0. Done tells when it is complete. A hand-over
// that is under way is given up before, unless it is too late for that: then the new process has to be asked.
func (s *Server) Drain(over time.Duration) error {
	result := make(chan error, 1)
	s.order(errDrained, func() { result <- s.drain(over) })
	return <-result
}

// drain is Drain, when it is clear which process goes on. A service manager hears nothing of it: it would give the tracker no more time than
// a stop has.
func (s *Server) drain(over time.Duration) error {
	if heir := s.upgrades.gone.Load(); heir != nil {
		return fmt.Errorf("everything has gone to a new process, %d, meanwhile: repeat the command, which asks that one then", heir.Pid)
	}
	if over == 0 {
		over = time.Duration(s.config.Load().Control.DrainSeconds) * time.Second
	}
	until := time.Now().Add(over)
	if !s.drainUntil.CompareAndSwap(nil, &until) {
		return errors.New("a drain is under way: SIGTERM tells the rest of the clients at once")
	}
	s.log.Info("draining: no new clients, and those that are there are sent away one after the other", "seconds", over.Seconds())
	s.urls.Store(&[]string{})
	for _, c := range s.controls {
		c.Drain(over)
	}
	return nil
}

// mayBan returns why an address cannot be banned; nil if it can.
func (s *Server) mayBan(ip netip.Addr) error {
	c := s.config.Load()
	if !c.Limits.Active {
		return errors.New("addresses have no limits while limits.active is false")
	}
	for _, p := range c.Network.TrustedProxies {
		if p.Contains(ip) {
			return errors.New("it is a proxy that network.trusted_proxies names, and these are never refused: ban its clients")
		}
	}
	return nil
}

// draining returns how far a drain has come; nil if none is under way.
func (s *Server) draining() *ctl.Drain {
	until := s.drainUntil.Load()
	if until == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	left := 0
	for _, p := range s.Snapshot(ctx) {
		left += p.Shard.Open()
	}
	return &ctl.Drain{Left: left, Seconds: max(time.Until(*until), 0).Seconds()}
}

// logDrain logs how far a drain has come.
func (s *Server) logDrain() {
	if d := s.draining(); d != nil {
		s.log.Info("draining", "clients_left", d.Left, "seconds_left", int(d.Seconds))
	}
}

// answerLast lets requests be answered that have come before everything went to another process.
func (a *adminServer) answerLast() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	_ = a.http.Shutdown(ctx) // close does the rest
}

// closeGently closes the listener, and its connections when their requests are answered: a reload that moves the listener is
// asked for on one of them.
func (a *adminServer) closeGently() {
	if a == nil {
		return
	}
	a.listener.Close()
	if a.remove != nil {
		a.remove()
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		defer cancel()
		if a.http.Shutdown(ctx) != nil {
			a.http.Close()
		}
	}()
}
