package handover

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// This file proves that records and descriptors go from one end to the other.

// links returns both ends.
func links(t *testing.T) (a, b *Link) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Open(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// TestLink proves that records of any length come whole and in order, each with its own descriptor.
func TestLink(t *testing.T) {
	a, b := links(t)
	sizes := []int{0, 1, maxMessage - 100, maxMessage, maxMessage + 1, 5*maxMessage + 7, 3}
	go func() {
		for k, n := range sizes {
			r, w, err := os.Pipe()
			if err != nil {
				panic(err)
			}
			w.Write([]byte{byte(k)})
			w.Close()
			a.Send(KindConnection, &Connection{Unread: bytes.Repeat([]byte{byte(k)}, n)}, int(r.Fd()))
			r.Close()
			a.Send(KindMine, nil, -1)
		}
	}()
	for k, n := range sizes {
		var c Connection
		fd, err := b.Want(KindConnection, &c)
		if err != nil || len(c.Unread) != n || fd < 0 || n > 0 && (c.Unread[0] != byte(k) || c.Unread[n-1] != byte(k)) {
			t.Fatalf("record %d: %d bytes, descriptor %d, %v", k, len(c.Unread), fd, err)
		}
		got := make([]byte, 2)
		m, err := syscall.Read(fd, got)
		flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		syscall.Close(fd)
		if m != 1 || got[0] != byte(k) || err != nil || flags&syscall.FD_CLOEXEC == 0 {
			t.Fatalf("descriptor %d: %d bytes, %v, flags %x", k, m, err, flags)
		}
		if fd, err := b.Want(KindMine, nil); fd != -1 || err != nil {
			t.Fatal(fd, err)
		}
	}
}

// TestLinkEnds proves that the end of the other process, a failure of it, and a record at the wrong time are errors that say so, and
// that a record which this version does not know is left out.
func TestLinkEnds(t *testing.T) {
	a, b := links(t)
	a.Send(KindFailed, &Failed{"the disk is full"}, -1)
	if _, err := b.Want(KindMine, nil); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Error(err)
	}
	a.Send(KindReady, nil, -1)
	if _, err := b.Want(KindMine, nil); err == nil || !strings.Contains(err.Error(), "says 4 and not 11") {
		t.Error(err)
	}
	a.Send(unknown+5, &Failed{"of the future"}, 0)
	a.Send(KindMine, nil, -1)
	if _, err := b.Want(KindMine, nil); err != nil {
		t.Error(err)
	}
	a.Close()
	if _, err := b.Want(KindMine, nil); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}

// TestLinkEndsUnread proves that an end of the other process is noticed as such when it has not read what was sent to it: the kernel tells
// of that in another way. What that process has said before is read.
func TestLinkEndsUnread(t *testing.T) {
	a, b := links(t)
	a.Send(KindEnd, &End{}, -1)
	b.Send(KindReady, nil, -1)
	b.Close()
	if _, err := a.Want(KindReady, nil); err != nil {
		t.Error(err)
	}
	if _, err := a.Want(KindMine, nil); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}
