package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// This file proves, from outside, that a tracker listens on several addresses, and on sockets that it was passed.

// at returns a way to the tracker by another address of its own, such as "unix:/path".
func (tr *tracker) at(scheme, addr string, client *http.Client) *tracker {
	other := &tracker{t: tr.t, scheme: scheme, addr: addr, client: client}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		other.addr = "localhost"
		other.client = &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			},
		}}
	}
	return other
}

// freePort is the port that freeAddr has given out last. It is below those that the kernel gives to clients and to listeners that ask for
// any, so that nobody takes it before it is used.
var freePort = 10_000 + os.Getpid()%10_000

// freeAddr returns an address on which nobody listens, each time another one.
func freeAddr(t *testing.T) string {
	t.Helper()
	for freePort < 32_000 {
		freePort++
		address := fmt.Sprintf("127.0.0.1:%d", freePort)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestListeners proves that clients of ws, wss and a unix socket are in one swarm, that listeners come and go while the tracker
// runs and leave its connections alone, and that one that cannot be had changes nothing.
func TestListeners(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	socket := filepath.Join(t.TempDir(), "s")
	secure, fresh := freeAddr(t), freeAddr(t)
	certificate := strings.Replace(p.settings(), "enable_tls = true", "", 1)
	listen := func(lines ...string) string { return "[[listen]]\n" + strings.Join(lines, "\n") + "\n" }
	wss, local := listen("address = '"+secure+"'", "tls = true"), listen("address = 'unix:"+socket+"'", "unix_mode = 0o600")
	s := settings{top: "socket_workers = 2", network: "address = '" + freeAddr(t) + "'\nshutdown_timeout = 1\n" + certificate, other: wss + local}
	tr := start(t, s)
	byTLS, byPath := tr.at("wss", secure, p.client(0, nil)), tr.at("ws", "unix:"+socket, nil)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the unix socket: %v, %v", info, err)
	}
	peers := 0
	join := func(p *peer) {
		t.Helper()
		peers++
		p.send(announce(id("hash"), id("peer%d", peers), 0, nil))
		if m := p.receive(); m["incomplete"] != float64(peers) {
			t.Errorf("peer %d gets %v", peers, m)
		}
	}
	join(tr.dial())
	stays := byTLS.dial()
	join(stays)
	join(byPath.dial())

	next := s
	next.other = local + listen("address = '"+fresh+"'")
	tr.rewrite(next)
	tr.logged("configuration read again\" changed=listen", 1)
	tr.logged("msg=\"listening no more\" url=wss://"+secure, 1)
	tr.logged("msg=listening url=ws://"+fresh, 1)
	join(tr.at("ws", fresh, nil).dial())
	join(byPath.dial())
	eventually(t, "the address that went is refused", func() bool {
		c, err := net.Dial("tcp", secure)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	stays.send(announce(id("hash"), id("peer2"), 0, nil))
	if m := stays.receive(); m["incomplete"] != float64(peers) {
		t.Errorf("a client of the listener that went gets %v", m)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := next
	bad.other = wss + listen("address = '"+taken.Addr().String()+"'")
	tr.rewrite(bad)
	tr.logged("another program listens there already", 1)
	join(byPath.dial())
	tr.rewrite(s)
	tr.logged("configuration read again", 2)
	join(byTLS.dial())
	s.other = strings.Replace(s.other, "0o600", "0o640", 1)
	tr.rewrite(s)
	tr.logged("configuration read again", 3)
	eventually(t, "the socket has other permissions", func() bool {
		info, err := os.Stat(socket)
		return err == nil && info.Mode().Perm() == 0o640
	})
	tr.stop()
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the unix socket is there after the stop")
	}
}

// TestStopRefuses proves that nobody waits for a tracker that stops: all its sockets refuse clients while those that are there
// still have time to leave.
func TestStopRefuses(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	tr := start(t, settings{top: "socket_workers = 2", network: "shutdown_timeout = 30",
		other: "[[listen]]\naddress = 'unix:" + socket + "'\n"})
	tr.dial() // and it does not read, so it does not leave
	tr.signal(syscall.SIGTERM)
	tr.logged("shutting down", 1)
	for network, addr := range map[string]string{"tcp": tr.addr, "unix": socket} {
		eventually(t, addr+" refuses clients", func() bool {
			c, err := net.Dial(network, addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
}

// TestListenTLSLater proves that a tracker that was started without TLS refuses to begin with it, and says that a restart helps.
func TestListenTLSLater(t *testing.T) {
	p := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	tr := start(t, settings{})
	tr.rewrite(settings{network: p.settings()})
	tr.logged("cannot begin to speak TLS: the tracker was started without; restart it", 1)
	tr.stop()
}

// TestUnixClients proves that all that connect to a unix socket are proxies that are believed: their clients have limits, and
// they have none themselves.
func TestUnixClients(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	tr := start(t, settings{
		other: "[limits]\nconnections_per_address = 1\n[[listen]]\naddress = 'unix:" + socket + "'\n",
	})
	dial := func(client string) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		way := tr.at("ws", "unix:"+socket, nil)
		o := &websocket.DialOptions{HTTPClient: way.client, HTTPHeader: http.Header{}}
		if client != "" {
			o.HTTPHeader.Set("X-Forwarded-For", client)
		}
		c, _, err := websocket.Dial(ctx, "ws://localhost/", o)
		if err == nil {
			t.Cleanup(func() { c.CloseNow() })
		}
		return err
	}
	f := func(client string, ok bool) {
		t.Helper()
		if err := dial(client); (err == nil) != ok {
			t.Errorf("%q: %v", client, err)
		}
	}
	f("", true)
	f("", true)
	f("198.51.100.7", true)
	f("198.51.100.7", false)
	f("198.51.100.8", true)
}

// passed returns sockets for a tracker as a service manager does.
func passed(t *testing.T, listeners ...net.Listener) settings {
	t.Helper()
	s := settings{shell: fmt.Sprintf("export LISTEN_PID=$$ LISTEN_FDS=%d", len(listeners))}
	for _, l := range listeners {
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		s.files = append(s.files, file)
	}
	return s
}

// TestSocketActivation proves that a tracker serves the sockets that it was passed, that its end leaves them to the next one,
// which serves a client that has come between, and that it says which address a socket lacks.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := filepath.Join(t.TempDir(), "s")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	s := passed(t, l, local)
	s.top = "socket_workers = 2"
	s.network = "address = '" + l.Addr().String() + "'\nshutdown_timeout = 1"
	s.other = "[[listen]]\naddress = 'unix:" + path + "'\n"
	between := make(chan error, 1)
	for try := range 2 {
		tr := start(t, s)
		if try > 0 {
			if err := <-between; err != nil {
				t.Errorf("a client that came between two trackers: %v", err)
			}
		}
		tr.dial()
		tr.at("ws", "unix:"+path, nil).dial()
		tr.signal(syscall.SIGTERM)
		if code := tr.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the socket that was passed is gone: %v", err)
		}
		if try == 0 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				c, _, err := websocket.Dial(ctx, "ws://"+tr.addr+"/", nil)
				if err == nil {
					c.CloseNow()
				}
				between <- err
			}()
		}
	}
	s.other = ""
	cmd := command(&s, "-c", s.configFile(t))
	out, err := cmd.CombinedOutput()
	want := fmt.Sprintf("cannot use the socket that was passed for unix:%s: no address of the configuration is the same; change "+
		"network.address, add [[listen]] with address = \"unix:%s\", or take it out of the socket unit", path, path)
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %q", err, out, want)
	}
}
