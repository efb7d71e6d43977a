package host

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// This file owns the tests of unix sockets and of sockets that were passed.

// TestListenUnix proves that descriptors of a unix socket are of one socket with the mode asked for, that a socket left behind
// is replaced, and that one in use and a plain file are not.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	address := "unix:" + path
	f := func(o ListenOptions, mode os.FileMode) []*Listener {
		t.Helper()
		o.Address = address
		ls, err := Listen(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range ls {
			if !l.Shared() || l.String() != address || l.Addr().IsValid() {
				t.Errorf("listener %v", l)
			}
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
		return ls
	}
	for _, l := range f(ListenOptions{Sockets: 3, Mode: 0o660}, 0o660) {
		l.Close() // and the path stays, as it does when a process is killed
	}
	ls := f(ListenOptions{Sockets: 2, Mode: 0o600}, 0o600)
	ls[0].Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refused := func(address, want string) {
		t.Helper()
		if _, err := Listen(ListenOptions{Address: address}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	refused(address, "another program listens there already")
	ls[1].Close()
	if err := ls[0].Remove(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ls[0].Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Remove has removed what is not its own: %v", err)
	}
	refused(address, "it is no socket")
	refused("unix:relative", "must begin with /")
	refused("unix:/"+strings.Repeat("x", 107), "107 bytes at most")
	refused("unix:"+filepath.Join(path, "below"), "not a directory")
}

// passedVariable tells the test's own binary, started again, that it is the child of TestPassedSockets. Its value is the
// address to listen on.
const passedVariable = "MILLRACE_TEST_PASSED"

// TestPassedSockets proves that a process finds the sockets that were passed to it by their addresses, several times, that it
// notices a socket that it was not told about, and that it refuses what is no listening socket.
func TestPassedSockets(t *testing.T) {
	if address := os.Getenv(passedVariable); address != "" {
		passedChild(t, address)
		return
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	path := filepath.Join(t.TempDir(), "s")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	type filer interface{ File() (*os.File, error) }
	f := func(address, variables string, want string, passed ...filer) {
		t.Helper()
		command := exec.Command("sh", "-c", variables+` exec "$0" -test.run='^TestPassedSockets$' -test.v`, os.Args[0])
		command.Env = append(os.Environ(), passedVariable+"="+address)
		for _, l := range passed {
			file, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			command.ExtraFiles = append(command.ExtraFiles, file)
		}
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q:\n%s", variables, err, want, out)
		}
	}
	at := tcp.Addr().String()
	listener, other := tcp.(filer), local.(filer)
	const mine = "LISTEN_PID=$$ "
	f(at, mine+"LISTEN_FDS=1", "listening 2, again 2, missing <nil>", listener)
	f("unix:"+path, mine+"LISTEN_FDS=1", "listening 2, again 2, missing <nil>", other)
	f(at, mine+"LISTEN_FDS=2", "listening 2, again 2, missing unix:"+path, listener, other)
	f(at, "LISTEN_PID=1 LISTEN_FDS=1", "listening 0, again 0, missing <nil>", listener)
	f(at, mine+"LISTEN_FDS=70000", "LISTEN_FDS is \"70000\"", listener)
	f(at, mine+"LISTEN_FDS=3", "cannot take over descriptor 5", listener, other)
	client, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f(at, mine+"LISTEN_FDS=1", "it is not a listening stream socket", client.(filer))
}

func passedChild(t *testing.T, address string) {
	p, err := PassedSockets()
	if err != nil {
		t.Log(err)
		return
	}
	defer p.Close()
	first, err := p.Listen(address, 2)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Listen(address, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range slices.Concat(first, second) {
		flags, err := unix.FcntlInt(uintptr(l.FD()), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 || !l.Shared() {
			t.Errorf("%v has flags %#x, %v", l, flags, err)
		}
		l.Close()
	}
	if os.Getenv("LISTEN_FDS") != "" {
		t.Error("the environment still tells of sockets")
	}
	t.Logf("listening %d, again %d, missing %v", len(first), len(second), p.Missing([]string{address}))
}
