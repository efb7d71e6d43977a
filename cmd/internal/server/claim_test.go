package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"millrace/cmd/internal/handover"
	"millrace/ring/host"
)

// This file proves what becomes of the listening sockets of a predecessor.

// TestClaim proves that sockets which were handed on get the properties of the new configuration when the predecessor has let them go, and
// not before; that what cannot be changed is said; that the sockets which the configuration has no more end, with their paths; and that the
// others go with the tracker.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return "unix:" + filepath.Join(dir, name) }
	var sockets []handover.Listener
	var fds []int
	hand := func(name, address string) (fd int) {
		t.Helper()
		all, err := host.Listen(host.ListenOptions{Address: address, Mode: 0o600, Backlog: 7})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(all[0].Close)
		sockets = append(sockets, handover.Listener{Name: name, Address: address})
		fds = append(fds, all[0].FD())
		return all[0].FD()
	}
	tcp := hand(listenerTracker, "[::]:0")
	hand(listenerTracker, at("stays"))
	hand(listenerTracker, at("goes"))
	hand(listenerControl, at("control"))
	hand(listenerMetrics, "127.0.0.1:0")
	backlog := func() int { // tcp_diag.c: of a listening socket tcpi_sacked, at byte 28 of struct tcp_info, is the most that may wait
		info, err := syscall.GetsockoptIPv6MTUInfo(tcp, syscall.IPPROTO_TCP, syscall.TCP_INFO) // which has its Mtu there
		if err != nil {
			t.Fatal(err)
		}
		return int(info.Mtu)
	}
	mode := func(name string) os.FileMode {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			return 0
		}
		return info.Mode().Perm()
	}
	link, failed := predecessor(t, sockets, fds, func(int) error {
		if n, stays, goes := backlog(), mode("stays"), mode("goes"); n != 7 || stays != 0o600 || goes != 0o600 {
			return fmt.Errorf("before it may, the successor has changed the sockets: backlog %d, permissions %v and %v", n, stays, goes)
		}
		return nil
	})
	s, log := successorOf(t, "[network]\naddress = '[::]:0'\nonly_ipv6 = true\ntcp_backlog = 99\n[[listen]]\naddress = '"+at("stays")+
		"'\nunix_mode = 0o640\n[control]\nlisten = '"+at("control")+"'\n", link, failed)
	if n := backlog(); n != 99 {
		t.Errorf("the backlog is %d", n)
	}
	if m := mode("stays"); m != 0o640 {
		t.Errorf("the permissions are %v", m)
	}
	if mode("goes") != 0 {
		t.Error("the path of a socket that the configuration has no more is still there")
	}
	for _, want := range []string{
		"only_ipv6 of a socket that was handed on keeps its value until a restart\" address=[::]:0",
		"listening no more\" address=" + at("goes"), "listening no more\" address=127.0.0.1:0",
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Count(log.String(), "WARN") != 1 {
		t.Error("there are other warnings")
	}
	s.Stop()
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if len(left) != 0 || err != nil {
		t.Errorf("after the stop there are %v, %v", left, err)
	}
}
