package host

import (
	"io"
	"net"
	"os"
	"testing"
)

// This file proves what the kernel tells of TCP's traffic.

// TestTCPTraffic proves that both ends agree on segments, that data and headers are in the bytes, and that a socket which is not
// TCP's has none.
func TestTCPTraffic(t *testing.T) {
	f := func(address string, ipv6 bool) {
		t.Helper()
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		const size = 5000
		for range 2 { // there and back, so that all has arrived
			if _, err := client.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(server, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			client, server = server, client
		}
		there, back := traffic(t, client, ipv6), traffic(t, server, ipv6)
		header := uint64(40)
		if ipv6 {
			header = 60
		}
		for _, x := range []TCPTraffic{there, back} {
			// Timestamps are an option that the system may have switched off.
			least := size + x.SegmentsSent*header
			if x.Sent != least && x.Sent != least+x.SegmentsSent*12 || x.SegmentsSent < 2 {
				t.Errorf("%+v", x)
			}
		}
		// The kernel counts no segment that a listening socket sends, and the last acknowledgement may be under way.
		apart := func(sent, received uint64) bool { return received > sent+1 || sent > received+1 }
		if apart(there.SegmentsSent, back.SegmentsReceived) || apart(back.SegmentsSent, there.SegmentsReceived) {
			t.Errorf("%+v, and at the other end %+v", there, back)
		}
	}
	f("127.0.0.1:0", false)
	f("[::1]:0", true)

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, ok := ReadTCPTraffic(int32(r.Fd()), false); ok {
		t.Error("a pipe has TCP's traffic")
	}
}

func traffic(t *testing.T, c net.Conn, ipv6 bool) (x TCPTraffic) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	ok := false
	if err := raw.Control(func(fd uintptr) { x, ok = ReadTCPTraffic(int32(fd), ipv6) }); err != nil || !ok {
		t.Fatalf("%v, %t", err, ok)
	}
	return x
}
