package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// This file proves hand-overs of a tracker that has dropped its privileges.

// jail returns a directory with a tracker that needs no library, and its configuration.
func jail(t *testing.T, s *settings) (root, file string) {
	t.Helper()
	root = filepath.Dir(s.configFile(t))
	build := exec.Command("go", "build", "-ldflags=-checklinkname=0", "-o", filepath.Join(root, "millrace"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the tracker: %v\n%s", err, out)
	}
	return root, filepath.Join(root, "millrace.toml")
}

// TestUpgradeConfined proves that a tracker which has dropped its privileges hands over, several times, to the program in its root directory:
// that is the same user there, which the configuration still asks for. One that asks for another user or directory is refused, and the old
// process goes on; one that asks for none is told that nothing comes back.
func TestUpgradeConfined(t *testing.T) {
	if os.Getuid() != 0 {
		return // TestDropPrivileges shows what others get
	}
	s := settings{top: "socket_workers = 2", network: "address = '" + freeAddr(t) + "'\nshutdown_timeout = 1"}
	root, file := jail(t, &s)
	privileges := func(root, user, group string) settings {
		with := s
		with.other = "[privileges]\ndrop_privileges = true\nchroot_path = '" + root + "'\nuser = '" + user + "'\ngroup = '" + group + "'\n"
		return with
	}
	write := func(s settings) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s.file()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(privileges(".", "nobody", "65534"))
	began := s
	began.shell = "cd " + root + "; exec ./millrace -c millrace.toml"
	tr := start(t, began)
	p := tr.dial()
	p.asks()
	fails := func(s settings, want string) {
		t.Helper()
		write(s)
		tr.signal(syscall.SIGUSR2)
		tr.logged(want, 1)
		p.asks()
	}
	upgrade := func(s settings) {
		t.Helper()
		write(s)
		tr.upgrade()
		p.asks()
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(tr.heir.Pid), "status"))
		if err != nil || !strings.Contains(string(status), "Uid:\t65534\t65534\t65534\t65534") {
			t.Errorf("the new process is another user: %v\n%s", err, status)
		}
		if at, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(tr.heir.Pid), "root")); err != nil || at != root {
			t.Errorf("the new process runs in %s, %v", at, err)
		}
	}
	upgrade(privileges(".", "nobody", "65534"))
	fails(privileges("/elsewhere", "nobody", "65534"), `the old process runs in `+root+`, and a new one cannot leave it for \"/elsewhere\"`)
	fails(privileges(".", "somebody", "65534"), `the old process has become user \"nobody\" (65534), and a new one cannot become \"somebody\"`)
	fails(privileges(".", "nobody", "7"), `the old process has become group \"65534\" (65534), and a new one cannot become \"7\"`)
	upgrade(privileges(root, "65534", "65534"))
	upgrade(s)
	tr.logged("drop_privileges is off now, and a new process cannot get privileges back", 1)
	tr.stop()
}

// TestInside proves where the program of a successor is looked for in another root directory.
func TestInside(t *testing.T) {
	f := func(root, path, want string) {
		t.Helper()
		if got := inside(root, path); got != want {
			t.Errorf("%s in %q is %s, want %s", path, root, got, want)
		}
	}
	f("", "/usr/bin/millrace", "/usr/bin/millrace")
	f("/", "/usr/bin/millrace", "/usr/bin/millrace")
	f("/srv/jail", "/usr/bin/millrace", "/usr/bin/millrace")
	f("/srv/jail", "/srv/jail/bin/millrace", "/bin/millrace")
	f("/srv/jail", "/srv/jails/millrace", "/srv/jails/millrace")
}
