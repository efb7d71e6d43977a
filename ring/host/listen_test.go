package host

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// This file owns the tests of listening sockets.

// TestListen proves that the sockets share one port, that a free port is found once for all of them, and that
// connections inherit TCP_NODELAY.
func TestListen(t *testing.T) {
	f := func(address string, only bool, reach, unreach string) {
		t.Helper()
		ls, err := Listen(ListenOptions{Address: address, OnlyIPv6: only, Sockets: 3})
		if err != nil {
			t.Fatal(err)
		}
		port := ls[0].Addr().Port()
		for _, l := range ls {
			if l.Addr() != ls[0].Addr() || port == 0 {
				t.Errorf("addresses %v and %v", l.Addr(), ls[0].Addr())
			}
			if v, err := unix.GetsockoptInt(l.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
				t.Errorf("TCP_NODELAY is %d, %v", v, err)
			}
		}
		at := func(host string) string {
			return netip.AddrPortFrom(netip.MustParseAddr(host), port).String()
		}
		c, err := net.Dial("tcp", at(reach))
		if err != nil {
			t.Error(err)
		} else {
			_ = c.Close()
		}
		if unreach != "" {
			if c, err := net.Dial("tcp", at(unreach)); err == nil {
				t.Errorf("%s is reached through %s", address, unreach)
				_ = c.Close()
			}
		}
		for _, l := range ls {
			l.Close()
			l.Close()
		}
	}
	f("127.0.0.1:0", false, "127.0.0.1", "::1")
	f("0.0.0.0:0", false, "127.0.0.1", "::1")
	f("[::1]:0", false, "::1", "")
	f("[::]:0", false, "127.0.0.1", "")
	f("[::]:0", true, "::1", "127.0.0.1")
}

// TestListenErrors proves that each mistake is one sentence with the address, and that a port in use is noticed even
// where SO_REUSEPORT would share it.
func TestListenErrors(t *testing.T) {
	ls, err := Listen(ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer ls[0].Close()
	taken := ls[0].Addr().String()
	f := func(o ListenOptions, want string) {
		t.Helper()
		_, err := Listen(o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	f(ListenOptions{Address: taken}, "cannot listen on "+taken+": another program listens there already")
	f(ListenOptions{Address: "localhost"}, `cannot listen on "localhost": it is not an IP address with a port`)
	f(ListenOptions{Address: "192.0.2.77:0"}, "cannot listen on 192.0.2.77:0: no interface")
	f(ListenOptions{Address: "127.0.0.1:0", OnlyIPv6: true}, "for IPv6 only")
	if !errors.Is(listenError(ls[0].Addr(), unix.EACCES), unix.EACCES) {
		t.Error("the cause is lost")
	}
}
