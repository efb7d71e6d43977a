package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// This file proves, from outside, that a hand-over leaves nothing behind that could have gone over.

// reconfigure writes the configuration anew, for the next process.
func (tr *tracker) reconfigure(s settings) {
	tr.t.Helper()
	if err := os.WriteFile(tr.config, []byte(s.file()), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

// prometheus returns the section that has the metrics served.
func prometheus(addr string) string {
	return "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '" + addr + "'\n"
}

// fetch returns a page.
func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return string(b)
}

// answer is what a client has got: a message, or the code with which the tracker has closed.
type answer struct{ client, code int }

// listen waits for an answer to each of some clients.
func listen(peers []*peer) <-chan answer {
	answers := make(chan answer, len(peers))
	for k, p := range peers {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, _, err := p.conn.Read(ctx)
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				answers <- answer{k, int(closed.Code)}
			} else if err == nil {
				answers <- answer{client: k}
			} else {
				answers <- answer{k, -1}
			}
		}()
	}
	return answers
}

// TestUpgradeFull proves that all clients go over while there are places for all, though most of them share a torrent whose home has not as
// many: to as many shards, and to more.
func TestUpgradeFull(t *testing.T) {
	const clients = 90
	address := "address = '" + freeAddr(t) + "'\nmax_connections = "
	s := settings{top: "socket_workers = 2", network: address + "1000"} // the kernel shares clients out unevenly
	tr := start(t, s)
	var peers []*peer
	for k := range clients {
		peers = append(peers, tr.dial())
		peers[k].send(announce(id("torrent"), id("%d", k), 0, nil))
		peers[k].receive()
	}
	for _, shards := range []int{2, 3} {
		s.top, s.network = fmt.Sprintf("socket_workers = %d", shards), address+"96"
		tr.reconfigure(s)
		tr.upgrade()
		for k, p := range peers {
			p.send(announce(id("torrent"), id("%d", k), 0, nil))
			if m := p.receive(); m["incomplete"] != float64(clients) {
				t.Fatalf("client %d of %d shards: %v", k, shards, m)
			}
		}
	}
}

// TestUpgradeWithoutPlace proves that clients for which the next process has no place are told so and may come back, that as many go on as
// there are places, and that all are counted there. Where TLS is off, its clients take no places from others.
func TestUpgradeWithoutPlace(t *testing.T) {
	pk := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	secure, plain, metrics := freeAddr(t), freeAddr(t), freeAddr(t)
	s := settings{top: "socket_workers = 1", network: pk.settings() + "\naddress = '" + secure + "'\n"}
	s.other = "[[listen]]\naddress = '" + plain + "'\n" + prometheus(metrics)
	tr := start(t, s)
	dial := func(scheme, addr string, n int) (all []*peer) {
		tr.scheme, tr.addr = scheme, addr
		tr.client = pk.client(tls.VersionTLS13, nil)
		for range n {
			all = append(all, tr.dial())
		}
		return all
	}
	const secured, places = 3, 4
	peers := append(dial("wss", secure, secured), dial("ws", plain, places+1)...)
	answers := listen(peers)
	s.network, s.other = fmt.Sprintf("max_connections = %d\naddress = '%s'\n", places, plain), prometheus(metrics)
	tr.reconfigure(s)
	tr.upgrade()
	told := map[int]bool{}
	for range secured + 1 {
		a := <-answers
		if a.code != 1012 {
			t.Errorf("client %d got %d", a.client, a.code)
		}
		told[a.client] = true
	}
	for k, p := range peers {
		if k < secured && !told[k] {
			t.Errorf("client %d of TLS was not told", k)
		} else if !told[k] {
			p.send(announce(id("torrent"), id("%d", k), 0, nil))
		}
	}
	for range places {
		if a := <-answers; a.code != 0 {
			t.Errorf("client %d, which has a place, got %d", a.client, a.code)
		}
	}
	page := fetch(t, "http://"+metrics+"/metrics")
	for _, want := range []string{
		`millrace_connections_accepted_total{worker_index="0"} 8`,
		`millrace_connections_closed_total{reason="no_place",worker_index="0"} 4`,
		`millrace_connections{state="open",worker_index="0"} 4`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// TestUpgradeCountsEnds proves that a connection which is being closed counts as closed, with its reason, in the next process, which never
// sees its end; and that the old process, which does, serves its own figures no more.
func TestUpgradeCountsEnds(t *testing.T) {
	metrics := freeAddr(t)
	s := settings{network: "address = '" + freeAddr(t) + "'\nclose_timeout = 30\n", other: prometheus(metrics)}
	s.top = "socket_workers = 1"
	tr := start(t, s)
	c := tr.raw()
	fmt.Fprint(c, head("GET / HTTP/1.1", "")+"\r\n")
	readUntil(t, c, "\r\n\r\n")
	c.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
	if _, err := io.ReadAll(c); err != nil { // and this side does not end
		t.Fatal(err)
	}
	tr.signal(syscall.SIGUSR2)
	tr.logged(handedOver, 1)
	heir := regexp.MustCompile(handedOver + `" pid=(\d+)`).FindStringSubmatch(tr.log.String())
	pid, _ := strconv.Atoi(heir[1])
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	for range 5 {
		page := fetch(t, "http://"+metrics+"/metrics")
		for _, want := range []string{
			`millrace_handovers_total{result="ok"} 1`,
			`millrace_connections_accepted_total{worker_index="0"} 1`,
			`millrace_connections_closed_total{reason="client_close",worker_index="0"} 1`,
			`millrace_connections{state="draining",worker_index="0"} 0`,
		} {
			if !strings.Contains(page, want+"\n") {
				t.Errorf("the metrics have no %s", want)
			}
		}
	}
	c.Close()
	eventually(t, "the old process ends", func() bool { return !alive(tr.cmd.Process.Pid) })
}

// haltingConn is a connection of which the first write stops at a byte, until it is let go on.
type haltingConn struct {
	net.Conn
	at     int
	halted chan struct{} // closed then
	goOn   chan struct{}
}

func (c *haltingConn) Write(b []byte) (int, error) {
	select {
	case <-c.halted:
		return c.Conn.Write(b)
	default:
	}
	if n, err := c.Conn.Write(b[:c.at]); err != nil {
		return n, err
	}
	close(c.halted)
	<-c.goOn
	n, err := c.Conn.Write(b[c.at:])
	return c.at + n, err
}

// TestUpgradeHello proves that clients of TLS are served by the next process which have connected before and sent nothing yet, or the
// beginning of their ClientHello.
func TestUpgradeHello(t *testing.T) {
	pk := newPKI(t, "ecdsa", 1, time.Now().Add(time.Hour))
	metrics := freeAddr(t)
	tr := start(t, settings{
		top: "socket_workers = 1", network: pk.settings() + "\naddress = '" + freeAddr(t) + "'\n", other: prometheus(metrics),
	})
	goOn, served := make(chan struct{}), make(chan error, 3)
	for _, at := range []int{0, 1, 200} {
		c := &haltingConn{Conn: tr.raw(), at: at, halted: make(chan struct{}), goOn: goOn}
		go func() {
			client := tls.Client(c, &tls.Config{RootCAs: pk.pool, ServerName: "127.0.0.1"})
			if _, err := io.WriteString(client, head("GET / HTTP/1.1", "")+"\r\n"); err != nil {
				served <- err
				return
			}
			b := make([]byte, 12)
			_, err := io.ReadFull(client, b)
			if err == nil && string(b) != "HTTP/1.1 101" {
				err = errors.New(string(b))
			}
			served <- err
		}()
		<-c.halted
	}
	eventually(t, "all have come", func() bool {
		page := fetch(t, "http://"+metrics+"/metrics")
		return strings.Contains(page, `millrace_connections{state="handshake",worker_index="0"} 3`+"\n") &&
			strings.Contains(page, `millrace_received_bytes_total{worker_index="0"} 201`+"\n")
	})
	tr.upgrade()
	close(goOn)
	for range 3 {
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}
