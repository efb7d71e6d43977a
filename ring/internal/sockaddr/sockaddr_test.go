package sockaddr

import (
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file owns the test of the translation in both directions.

// TestRoundTrip proves that an address written for the kernel is read back as it was, zone included, and that its
// length is that of its family.
func TestRoundTrip(t *testing.T) {
	f := func(text, want string, size int) {
		t.Helper()
		var name unix.RawSockaddrAny
		n := Put(unsafe.Slice((*byte)(unsafe.Pointer(&name)), Size), netip.MustParseAddrPort(text))
		if got, ok := Get(&name); !ok || got.String() != want || n != size {
			t.Errorf("%s: read back as %s (%v) with %d bytes, want %s with %d", text, got, ok, n, want, size)
		}
	}
	f("192.0.2.1:3000", "192.0.2.1:3000", unix.SizeofSockaddrInet4)
	f("[2001:db8::1]:65535", "[2001:db8::1]:65535", unix.SizeofSockaddrInet6)
	f("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", unix.SizeofSockaddrInet6)
	f("[fe80::1%7]:80", "[fe80::1%7]:80", unix.SizeofSockaddrInet6)
	f("[fe80::1%lo]:80", "[fe80::1%1]:80", unix.SizeofSockaddrInet6)
	f("[2001:db8::1%7]:80", "[2001:db8::1]:80", unix.SizeofSockaddrInet6) // only link-local addresses have a zone
	if a, ok := Get(&unix.RawSockaddrAny{Addr: unix.RawSockaddr{Family: unix.AF_UNIX}}); ok {
		t.Errorf("an AF_UNIX address is read as %s", a)
	}
}

// TestOf proves that both forms of the kernel say the same: a socket that is bound by one is named by the other.
func TestOf(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, Of(netip.MustParseAddrPort("127.0.0.9:0"))); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := name.(*unix.SockaddrInet4); !ok || a.Addr != [4]byte{127, 0, 0, 9} {
		t.Errorf("the socket is bound to %v", name)
	}
	zoned := Of(netip.MustParseAddrPort("[fe80::2%3]:9"))
	if a, ok := zoned.(*unix.SockaddrInet6); !ok || a.ZoneId != 3 || a.Port != 9 {
		t.Errorf("an address with a zone becomes %+v", a)
	}
}
