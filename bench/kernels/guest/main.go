// Command guest is process 1 of the virtual machines of bench/kernels. It runs the tracker on the machine's kernel,
// plays its clients, reports on the console, and turns the machine off. For run.sh idle it runs the load tester instead
// (idle.go).
//
// Its last line is "millrace-kernel-test: PASS <kernel release>", or FAIL with the reason.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait. Software emulation is slow; no check passes because of it.
const patience = 60 * time.Second

func main() {
	release := "of unknown release"
	err := prepare()
	if err == nil {
		release = kernelRelease()
		err = work()
	}
	if err != nil {
		fmt.Printf("millrace-kernel-test: FAIL %s: %v\n", release, err)
	} else {
		fmt.Printf("millrace-kernel-test: PASS %s\n", release)
	}
	syscall.Sync()
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

// work runs the test for which the machine was started.
func work() error {
	l, asked, err := idleAsked()
	switch {
	case err != nil:
		return err
	case asked:
		return l.run()
	}
	return check()
}

// prepare gives programs on a kernel that has just started their surroundings: file systems, a loopback interface, and
// room for descriptors.
func prepare() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
	} {
		os.MkdirAll(m.at, 0o755)
		if err := syscall.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && err != syscall.EBUSY {
			return fmt.Errorf("cannot mount %s: %w", m.at, err)
		}
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	if err := raiseFileLimit(8192); err != nil {
		return err
	}
	return raiseLoopback()
}

// raiseFileLimit sets the limit of open files of this process and its children.
func raiseFileLimit(files uint64) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
		return fmt.Errorf("cannot set the limit of open files to %d: %w", files, err)
	}
	return nil
}

func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "of unknown release"
	}
	return strings.TrimSpace(string(b))
}

// raiseLoopback raises the loopback interface like "ip link set lo up", by the netlink message RTM_NEWLINK.
func raiseLoopback() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	defer syscall.Close(fd)
	const size = syscall.SizeofNlMsghdr + syscall.SizeofIfInfomsg
	m := appendUint32(nil, size)
	m = append(m, syscall.RTM_NEWLINK, 0, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, 0)
	m = appendUint32(m, 1, 0)                // sequence number, sender
	m = appendUint32(m, 0, uint32(lo.Index)) // address family and type: unspecified
	m = appendUint32(m, syscall.IFF_UP, syscall.IFF_UP)
	if err := syscall.Sendto(fd, m, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return fmt.Errorf("cannot raise the loopback interface: %w", err)
	}
	answer := make([]byte, 4096)
	if _, _, err := syscall.Recvfrom(fd, answer, 0); err != nil {
		return fmt.Errorf("cannot raise the loopback interface: %w", err)
	}
	if lo, err = net.InterfaceByName("lo"); err != nil || lo.Flags&net.FlagUp == 0 {
		return fmt.Errorf("the loopback interface stays down: %v", err)
	}
	return nil
}

// blackBoxAsked reports whether the kernel's command line asks for blackBoxTests.
func blackBoxAsked() bool {
	b, err := os.ReadFile("/proc/cmdline")
	return err == nil && strings.Contains(string(b), "blackbox=1")
}

// blackBoxTests runs the tests of command millrace, which take the tracker as its operators do, but for those that need programs
// that this machine has not: a shell, git.
func blackBoxTests() error {
	cmd := exec.Command("/millrace.test", "-test.timeout=40m", "-test.v",
		"-test.skip=^Test(LogIsNotRead|LogIsReadLater|CannotStart|SmallMemlock|InheritedDescriptors|SocketActivation|"+
			"DropPrivileges|MemoryLimit|ForeignTLSClients)$")
	cmd.Dir = "/tmp"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("tests of command millrace: %w\n%s", err, out)
	}
	fmt.Printf("%d tests of command millrace pass\n", strings.Count(string(out), "\n--- PASS: "))
	return nil
}

// ringTests runs the tests of package ring, which exercise every plan that this kernel can run, but for the one that reads the
// source.
func ringTests() error {
	cmd := exec.Command("/ring.test", "-test.timeout=10m", "-test.skip=^TestEndTableIsDrawn$")
	cmd.Dir = "/tmp"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("tests of package ring: %w\n%s", err, out)
	}
	return nil
}
