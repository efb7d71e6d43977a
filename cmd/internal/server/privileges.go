package server

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/config"
)

// This file owns the step from root to an ordinary user. A tracker that has opened its sockets and rings needs no
// privilege any more, and an intruder who takes it over must find none.

// privileges are the user, group and root directory with which the process will run. The zero value changes nothing.
type privileges struct {
	active   bool
	root     string // the new root directory, absolute
	uid, gid int

	asked config.Privileges // by which they were chosen
	born  bool              // the process has had them from its start: see born.go
}

// noID is the number that the kernel takes for "leave it as it is" (setresuid(2)).
const noID = 1<<32 - 1

// lookUpPrivileges resolves the section [privileges]. It is called before anything is opened, while the files of users
// and groups can still be read. Both may be given by name or by number. A program that is not linked with the C library
// finds names in /etc/passwd and /etc/group only; a number needs neither.
func lookUpPrivileges(p config.Privileges) (privileges, error) {
	if !p.DropPrivileges {
		return privileges{}, nil
	}
	uid, err := lookUpID("user", p.User, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return privileges{}, err
	}
	gid, err := lookUpID("group", p.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return privileges{}, err
	}
	root, err := lookUpRoot(p.ChrootPath)
	if err != nil {
		return privileges{}, err
	}
	if euid := os.Geteuid(); euid != 0 {
		return privileges{}, fmt.Errorf("privileges.drop_privileges: the process runs as user %d, and only root can change "+
			"root directory, group and user: start it as root, or set drop_privileges = false and start it as the user "+
			"that it shall run as", euid)
	}
	return privileges{active: true, root: root, uid: uid, gid: gid, asked: p}, nil
}

// lookUpID returns the number of a user or group; kind is "user" or "group". A name that is a number counts as one when
// nobody has that name, as with chown(1).
func lookUpID(kind, name string, lookUp func(string) (string, error)) (int, error) {
	number, err := lookUp(name)
	if err != nil {
		number = name
	}
	id, numberErr := strconv.ParseUint(number, 10, 32)
	switch {
	case numberErr == nil && id == 0:
		return 0, fmt.Errorf("privileges.%s: %q is the %s 0, which is root's: name one without privileges", kind, name, kind)
	case numberErr == nil && id != noID:
		return int(id), nil
	case err == nil || errors.As(err, new(user.UnknownUserError)) || errors.As(err, new(user.UnknownGroupError)):
		return 0, fmt.Errorf("privileges.%s: there is no %s %q: create it, or give the name or number of another",
			kind, kind, name)
	default:
		return 0, fmt.Errorf("privileges.%s: cannot look up %q: %w; a number needs no look-up", kind, name, err)
	}
}

// lookUpRoot checks the new root directory and returns it as an absolute path.
func lookUpRoot(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("privileges.chroot_path: there is no directory %q: create it, or name another", path)
	case err != nil:
		return "", fmt.Errorf("privileges.chroot_path: cannot use the directory: %w", err)
	case !info.IsDir():
		return "", fmt.Errorf("privileges.chroot_path: %q is not a directory: name one", path)
	}
	root, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("privileges.chroot_path: cannot tell where %q is: %w", path, err)
	}
	return root, nil
}

// drop changes root directory, groups and user of all threads and proves that there is no way back. Paths are relative
// to the new root directory from then on, which is also the working directory. After an error the process is in some
// state between and has to end.
//
// Later threads inherit from the present ones. A ring that is open keeps the rights with which it was opened: its
// memory stays accounted as root's, which means not at all.
func (p privileges) drop() error {
	if !p.active {
		return nil
	}
	if p.born {
		return p.checkBorn()
	}
	if err := p.checkDescriptors(); err != nil {
		return err
	}
	proc, err := os.OpenRoot("/proc/self")
	if err != nil {
		return fmt.Errorf("cannot watch the threads of this process while it drops its privileges: %w; mount /proc", err)
	}
	defer proc.Close() // it would be a way out of the new root directory
	// Package time reads the file of the time zone, which the log needs, at its first use: that must be now, while the
	// file can be read.
	_, _ = time.Now().Zone()
	if err := p.enterRoot(); err != nil {
		return err
	}
	hardened := harden()
	if err := p.changeIDs(); err != nil {
		return err
	}
	if err := p.checkThreads(proc, hardened); err != nil {
		return err
	}
	return checkNoWayBack()
}

// checkReadable tries, after drop, to open a file that the configuration names. If that fails a reload will fail too,
// and the previous version stays in force: the error is a warning.
func (p privileges) checkReadable(key, path string) error {
	if !p.active {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: the file cannot be read again: %w; its path is looked up in %s (privileges.chroot_path) now, as "+
			"user %d and group %d", key, err, p.root, p.uid, p.gid)
	}
	return f.Close()
}

// checkDescriptors looks for open directories: a process can leave its root directory through one outside of it
// (chroot(2)). The tracker opens none, but the program that started it may have left one open.
func (p privileges) checkDescriptors() error {
	if p.root == "/" {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("cannot look for directories that are open: %w; mount /proc", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var stat syscall.Stat_t
		if syscall.Fstat(fd, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			name, _ := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
			return fmt.Errorf("cannot confine the process to %s (privileges.chroot_path): descriptor %d, the directory %s, was "+
				"left open by the program that started the tracker; close it there", p.root, fd, name)
		}
	}
	return nil
}

// enterRoot makes the new root directory the working directory too. Both belong to the process, not to a thread.
func (p privileges) enterRoot() error {
	err := os.Chdir(p.root)
	if err == nil {
		err = os.NewSyscallError("chroot", syscall.Chroot("."))
	}
	if err != nil {
		return fmt.Errorf("cannot change the root directory to %s (privileges.chroot_path): %w; it takes CAP_SYS_CHROOT",
			p.root, err)
	}
	return nil
}

// Requests of prctl(2) that package syscall does not name on all architectures.
const (
	prCapBoundingDrop  = 24 // Linux 2.6.25; argument: the capability
	prSetNoNewPrivs    = 38 // Linux 3.5; argument: 1, it cannot be taken back
	prCapAmbient       = 47 // Linux 4.3
	prCapAmbientClear  = 4
	capabilitiesAtMost = 64 // a capability is a bit of 64
)

// harden closes, for all threads, the ways to get privileges back by executing a file: it forbids that execve(2) grants
// any, and empties the bounding and ambient sets of capabilities. It reports whether the first was done. The runtime
// offers this only to programs that are not linked with the C library. The tracker executes nothing: this is a second
// wall, and it can do without it.
func harden() bool {
	prctl := func(request, a, b uintptr) bool {
		_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, request, a, b)
		return errno == 0
	}
	if !prctl(prSetNoNewPrivs, 1, 0) {
		return false
	}
	prctl(prCapAmbient, prCapAmbientClear, 0)
	for capability := range uintptr(capabilitiesAtMost) {
		// Refused for the first that the kernel does not know, or for all where CAP_SETPCAP has been taken before.
		if !prctl(prCapBoundingDrop, capability, 0) {
			break
		}
	}
	return true
}

// changeIDs changes groups and user, on all threads (package syscall does that), the user last: then there is no right
// left to change the others. A change of all three user ids from 0 clears the capabilities (capabilities(7)).
func (p privileges) changeIDs() error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("cannot leave the supplementary groups: setgroups: %w; it takes CAP_SETGID", err)
	}
	if err := syscall.Setresgid(p.gid, p.gid, p.gid); err != nil {
		return fmt.Errorf("cannot change to group %d (privileges.group): setresgid: %w; it takes CAP_SETGID", p.gid, err)
	}
	if err := syscall.Setresuid(p.uid, p.uid, p.uid); err != nil {
		return fmt.Errorf("cannot change to user %d (privileges.user): setresuid: %w; it takes CAP_SETUID", p.uid, err)
	}
	return nil
}

// checkThreads reads the state of each thread from /proc/self, which is proof for all of them.
func (p privileges) checkThreads(proc *os.Root, hardened bool) error {
	entries, err := fs.ReadDir(proc.FS(), "task")
	if err != nil {
		return fmt.Errorf("cannot list the threads of this process: %w", err)
	}
	checked := 0
	for _, e := range entries {
		thread := "task/" + e.Name()
		stat, err := proc.ReadFile(thread + "/stat")
		if err == nil && isRingWorker(stat) {
			continue
		}
		var status []byte
		if err == nil {
			status, err = proc.ReadFile(thread + "/status")
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err == nil {
			err = p.checkStatus(status, hardened)
		}
		if err != nil {
			return fmt.Errorf("cannot drop privileges: thread %s: %w", e.Name(), err)
		}
		checked++
	}
	if checked == 0 {
		return errors.New("cannot drop privileges: /proc/self/task shows no thread of this process")
	}
	return nil
}

// ringWorkerFlag marks a thread of the kernel that works for io_uring: PF_IO_WORKER in include/linux/sched.h.
const ringWorkerFlag = 0x10

// isRingWorker tells from /proc/PID/task/TID/stat whether a thread belongs to io_uring: since Linux 5.12 they are
// listed among the process's own. They never run its code, and do each request with the identity of the thread that
// made it (io_issue_sqe in io_uring/io_uring.c); the identity they show is the one that was there when they began.
func isRingWorker(stat []byte) bool {
	// The second field is the thread's name in parentheses, which may hold any character; the flags are the ninth
	// field.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	return err == nil && flags&ringWorkerFlag != 0
}

// checkStatus checks one thread by its /proc/PID/task/TID/status (proc_pid_status(5)).
func (p privileges) checkStatus(status []byte, hardened bool) error {
	shown := make(map[string]string)
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		shown[key] = strings.Join(strings.Fields(value), " ")
	}
	check := func(key, want, remedy string) error {
		got, ok := shown[key]
		if !ok {
			return fmt.Errorf("the kernel does not show its %s", key)
		}
		if got != want {
			return fmt.Errorf("its %s is %q and not %q%s", key, got, want, remedy)
		}
		return nil
	}
	// Real, effective, saved, and the one for files.
	four := func(id int) string { return fmt.Sprintf("%d %[1]d %[1]d %[1]d", id) }
	const none, kept = "0000000000000000", ": start the tracker without securebits that keep capabilities"
	err := cmp.Or(
		check("Uid", four(p.uid), ""),
		check("Gid", four(p.gid), ""),
		check("Groups", "", ""),
		check("CapPrm", none, kept),
		check("CapEff", none, kept),
		check("CapAmb", none, kept),
	)
	if err == nil && hardened {
		err = check("NoNewPrivs", "1", "")
	}
	return err
}

// checkNoWayBack tries to become root again, and to leave the new root directory.
func checkNoWayBack() error {
	f := func(name string, err error) error {
		if err == nil {
			return fmt.Errorf("cannot drop privileges: %s still works afterwards", name)
		}
		return nil
	}
	return cmp.Or(f("setuid(0)", syscall.Setuid(0)), f("setgid(0)", syscall.Setgid(0)), f("chroot", syscall.Chroot("/")))
}
