package server

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/config"
	"millrace/ring"
)

// This file proves that the tracker gives up root for good, or does not start.

// privilegesJob is the environment variable that makes this binary do a job instead of running tests: the effects of
// drop cannot be taken back, so they are tried in processes of their own.
const privilegesJob = "SERVER_TEST_PRIVILEGES_JOB"

func init() {
	job, ok := map[string]func() error{
		"drop":      dropAndReport,
		"half":      dropOneThread,
		"user":      lookUpAsUser,
		"caps":      dropWithSecureBits,
		"directory": dropWithDirectory,
	}[os.Getenv(privilegesJob)]
	if !ok {
		return
	}
	if err := job(); err != nil {
		fmt.Println(err)
	}
	os.Exit(0)
}

// The user and group of these tests are numbers that nobody has.
const testUID, testGID = 1_234_567, 1_234_568

func testPrivileges(root string) config.Privileges {
	return config.Privileges{
		DropPrivileges: true,
		ChrootPath:     root,
		User:           strconv.Itoa(testUID),
		Group:          strconv.Itoa(testGID),
	}
}

// child starts this binary to do a job in a directory.
func child(t *testing.T, job, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), privilegesJob+"="+job)
	cmd.Env = append(cmd.Env, "TZ=:"+filepath.Join(dir, "zone"))
	cmd.Dir = dir
	cmd.Stderr = t.Output()
	return cmd
}

// lookUpAndDrop takes the steps of the tracker.
func lookUpAndDrop() error {
	p, err := lookUpPrivileges(testPrivileges("jail"))
	if err != nil {
		return err
	}
	return p.drop()
}

// startThreadsOfAllKinds leaves threads waiting in the ways in which a tracker's threads wait.
func startThreadsOfAllKinds() error {
	runtime.GOMAXPROCS(4)
	if f := ring.Probe(); f.IOUring.Outcome != ring.Available { // it may leave workers of io_uring behind
		return errors.New(f.IOUring.Reason)
	}
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		return err
	}
	began := make(chan bool)
	for k := range 6 {
		go func() {
			runtime.LockOSThread()
			began <- true
			if k%2 == 0 {
				syscall.Read(pipe[0], make([]byte, 1)) // in the kernel
			}
			select {} // parked
		}()
	}
	for range 6 {
		<-began
	}
	return nil
}

// dropAndReport drops the privileges and prints every defect that it finds then. At the end it prints "ready" and waits
// for its standard input to end.
func dropAndReport() error {
	outside, err := filepath.Abs("outside")
	if err != nil {
		return err
	}
	if err := startThreadsOfAllKinds(); err != nil {
		return err
	}
	p, err := lookUpPrivileges(testPrivileges("jail"))
	if err == nil {
		err = p.drop()
	}
	if err != nil {
		return err
	}
	p.root = "ROOT"
	fmt.Println("of a file inside:", p.checkReadable("key", "inside"))
	fmt.Println("of a file of root:", p.checkReadable("key", "/secret"))
	fmt.Println("of a file outside:", p.checkReadable("key", "/etc/passwd"))
	if name, offset := time.Now().Zone(); name != "XYZ" || offset != 4321 {
		fmt.Printf("the time zone is not the one of the file outside: %s, %d\n", name, offset)
	}
	for _, path := range []string{outside, "outside", "../outside", "/../outside", "/etc/passwd", "/proc/self/status"} {
		if _, err := os.Open(path); !errors.Is(err, fs.ErrNotExist) {
			fmt.Printf("opening %s, which is outside: %v\n", path, err)
		}
	}
	for _, path := range []string{"/inside", "inside", "./inside"} {
		if b, err := os.ReadFile(path); err != nil || string(b) != "inside" {
			fmt.Printf("reading %s: %q, %v\n", path, b, err)
		}
	}
	if err := os.WriteFile("/new", nil, 0o644); !errors.Is(err, fs.ErrPermission) {
		fmt.Printf("writing into a directory of root: %v\n", err)
	}
	for name, err := range map[string]error{
		"setuid":    syscall.Setuid(0),
		"setresuid": syscall.Setresuid(-1, 0, -1),
		"setgid":    syscall.Setgid(0),
		"setgroups": syscall.Setgroups([]int{0}),
		"chroot":    syscall.Chroot("/"),
	} {
		if !errors.Is(err, syscall.EPERM) {
			fmt.Printf("%s: %v\n", name, err)
		}
	}
	if err := startThreadsOfAllKinds(); err != nil { // they inherit
		fmt.Println(err)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
	return nil
}

// After drop every thread of the process, waiting or begun later, has the new ids, no group and no capability. The root
// directory is the new one, nothing outside can be opened, and nothing leads back. The state of the threads comes from
// the kernel, read by another process.
func TestDropPrivileges(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := lookUpPrivileges(testPrivileges("."))
		checkSentence(t, err, notRoot(os.Geteuid()))
		return
	}
	dir := jail(t)
	cmd := child(t, "drop", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 4, 20}}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	const now = "; its path is looked up in ROOT (privileges.chroot_path) now, as user 1234567 and group 1234568"
	for _, want := range []string{
		"of a file inside: <nil>",
		"of a file of root: key: the file cannot be read again: open /secret: permission denied" + now,
		"of a file outside: key: the file cannot be read again: open /etc/passwd: no such file or directory" + now,
	} {
		if !said.Scan() || said.Text() != want {
			t.Errorf("got  %s\nwant %s", said.Text(), want)
		}
	}
	for said.Scan() && said.Text() != "ready" {
		t.Error(said.Text())
	}
	checkThreadsOf(t, cmd.Process.Pid, filepath.Join(dir, "jail"))
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// checkThreadsOf checks all threads of another process.
func checkThreadsOf(t *testing.T, pid int, root string) {
	t.Helper()
	p := privileges{uid: testUID, gid: testGID}
	// The runtime refuses this where the C library is linked, as it is with the race detector.
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_GETPID, 0, 0, 0)
	hardened := errno == 0
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, thread := range threads {
		stat, err := os.ReadFile(thread + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		if isRingWorker(stat) {
			continue
		}
		status, err := os.ReadFile(thread + "/status")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.checkStatus(status, hardened); err != nil {
			t.Errorf("%s: %v\n%s", thread, err, status)
		}
		if hardened && !strings.Contains(string(status), "\nCapBnd:\t0000000000000000\n") {
			t.Errorf("%s: the bounding set is not empty\n%s", thread, status)
		}
		for _, link := range []string{"root", "cwd"} {
			if got, err := os.Readlink(thread + "/" + link); err != nil || got != root {
				t.Errorf("%s/%s is %q, %v; want %q", thread, link, got, err, root)
			}
		}
		checked++
	}
	if checked < 12 {
		t.Errorf("%d threads were seen, and 12 were begun", checked)
	}
	descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(descriptors) == 0 {
		t.Fatal(descriptors, err)
	}
	for _, name := range descriptors {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			t.Errorf("%s is an open directory", name)
		}
	}
}

// zone is a time zone in the format of RFC 8536: one that is 4321 seconds ahead and called XYZ.
const zone = "TZif\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" +
	"\x00\x00\x00\x01" + "\x00\x00\x00\x04" + // one type, four characters
	"\x00\x00\x10\xe1" + "\x00" + "\x00" + "XYZ\x00"

// jail returns a directory with a directory "jail", which holds a file for all and one for root, and with a file
// and a time zone.
func jail(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "jail"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"jail/inside": "inside", "outside": "outside", "zone": zone} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "jail/secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// dropOneThread drops the privileges of one thread only, and prints the result of the check of all threads.
func dropOneThread() error {
	if err := startThreadsOfAllKinds(); err != nil {
		return err
	}
	proc, err := os.OpenRoot("/proc/self")
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	for _, call := range [][2]uintptr{
		{syscall.SYS_SETGROUPS, 0}, {syscall.SYS_SETGID, testGID}, {syscall.SYS_SETUID, testUID},
	} {
		if _, _, errno := syscall.RawSyscall(call[0], call[1], 0, 0); errno != 0 {
			return errno
		}
	}
	return privileges{uid: testUID, gid: testGID}.checkThreads(proc, false)
}

// lookUpAsUser tries as an ordinary user.
func lookUpAsUser() error {
	if err := syscall.Setuid(testUID); err != nil {
		return err
	}
	fmt.Println(lookUpAndDrop())
	return privileges{active: true, root: "/", uid: testUID, gid: testGID}.drop()
}

// dropWithSecureBits drops the privileges of a process that was started with SECBIT_NO_SETUID_FIXUP, so that a change
// of the user leaves its capabilities (capabilities(7)).
func dropWithSecureBits() error {
	const prSetSecureBits, noSetuidFixup = 28, 4
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetSecureBits, noSetuidFixup, 0); errno != 0 {
		return errno
	}
	os.Setenv(privilegesJob, "drop")
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// dropWithDirectory drops the privileges while a directory is open.
func dropWithDirectory() error {
	if _, err := syscall.Open("/etc", syscall.O_RDONLY, 0); err != nil {
		return err
	}
	return lookUpAndDrop()
}

// Obstacles to giving up everything are found and named, and nothing is believed that the kernel does not show for
// every thread.
func TestDropRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		return // TestDropPrivileges has tried all that such a user can try
	}
	f := func(job string, want ...string) {
		t.Helper()
		out, err := child(t, job, jail(t)).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s: %q does not say %q", job, out, w)
			}
		}
		if strings.Contains(string(out), "ready") {
			t.Errorf("%s: the process has gone on: %q", job, out)
		}
	}
	// To try all ways back changes nothing for a process that is root still.
	checkSentence(t, checkNoWayBack(), "cannot drop privileges: setuid(0) still works afterwards")
	f("half", "cannot drop privileges: thread ", `: its Uid is "0 0 0 0" and not "1234567 1234567 1234567 1234567"`)
	f("user", notRoot(testUID)+"\n", "cannot change the root directory to / (privileges.chroot_path): chroot: "+
		"operation not permitted; it takes CAP_SYS_CHROOT\n")
	f("caps", `: its CapPrm is "`, "start the tracker without securebits that keep capabilities\n")
	f("directory", "/jail (privileges.chroot_path): descriptor ",
		", the directory /etc, was left open by the program that started the tracker")
}

func notRoot(uid int) string {
	return fmt.Sprintf("privileges.drop_privileges: the process runs as user %d, and only root can change root directory, "+
		"group and user: start it as root, or set drop_privileges = false and start it as the user that it shall run as", uid)
}

// Each wrong value has its sentence, which names the key. While drop_privileges is off, the other keys are not looked
// at and nothing changes.
func TestLookUpPrivileges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f := func(change func(*config.Privileges), want string) {
		t.Helper()
		p := testPrivileges(".")
		change(&p)
		_, err := lookUpPrivileges(p)
		checkSentence(t, err, want)
	}
	f(func(p *config.Privileges) { p.User = "no body" },
		`privileges.user: there is no user "no body": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.User = "" },
		`privileges.user: there is no user "": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.User = "4294967295" }, // to the kernel it says "no change"
		`privileges.user: there is no user "4294967295": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.User = "-1" },
		`privileges.user: there is no user "-1": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.User = "root" },
		`privileges.user: "root" is the user 0, which is root's: name one without privileges`)
	f(func(p *config.Privileges) { p.User = "00" },
		`privileges.user: "00" is the user 0, which is root's: name one without privileges`)
	f(func(p *config.Privileges) { p.Group = "no group" },
		`privileges.group: there is no group "no group": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.Group = "4294967296" },
		`privileges.group: there is no group "4294967296": create it, or give the name or number of another`)
	f(func(p *config.Privileges) { p.Group = "root" },
		`privileges.group: "root" is the group 0, which is root's: name one without privileges`)
	f(func(p *config.Privileges) { p.ChrootPath = file + "s" },
		fmt.Sprintf(`privileges.chroot_path: there is no directory "%ss": create it, or name another`, file))
	f(func(p *config.Privileges) { p.ChrootPath = file },
		fmt.Sprintf(`privileges.chroot_path: %q is not a directory: name one`, file))
	f(func(p *config.Privileges) { p.ChrootPath = file + "/in" },
		fmt.Sprintf(`privileges.chroot_path: cannot use the directory: stat %s/in: not a directory`, file))
	off := config.Privileges{ChrootPath: "/nowhere", User: "no body", Group: "no group"}
	p, err := lookUpPrivileges(off)
	if p != (privileges{}) || err != nil {
		t.Errorf("switched off: %+v, %v", p, err)
	}
	if err := p.drop(); err != nil || os.Geteuid() == testUID {
		t.Errorf("the zero value: %v, user %d", err, os.Geteuid())
	}
	if err := p.checkReadable("key", "/nowhere"); err != nil { // the reader of the file reports it
		t.Errorf("the zero value: %v", err)
	}
}

// Names are looked up before they are taken for numbers, and a number that nobody has needs no look-up at all, be it
// because the files are missing.
func TestLookUpID(t *testing.T) {
	f := func(name, found string, failure error, want int, sentence string) {
		t.Helper()
		id, err := lookUpID("user", name, func(string) (string, error) { return found, failure })
		if id != want {
			t.Errorf("%q is %d; want %d", name, id, want)
		}
		checkSentence(t, err, sentence)
	}
	missing := &fs.PathError{Op: "open", Path: "/etc/passwd", Err: syscall.ENOENT}
	f("nobody", "65534", nil, 65534, "")
	f("12", "34", nil, 34, "")
	f("12", "", missing, 12, "")
	f("nobody", "", missing, 0,
		`privileges.user: cannot look up "nobody": open /etc/passwd: no such file or directory; a number needs no look-up`)
	f("nobody", "0", nil, 0, `privileges.user: "nobody" is the user 0, which is root's: name one without privileges`)
}

// checkSentence checks the whole text of an error; "" is none.
func checkSentence(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A thread passes with exactly the wanted ids and no capability. A value that the kernel does not show is no proof.
func TestCheckStatus(t *testing.T) {
	const good = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t \nCapPrm:\t0000000000000000\n" +
		"CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	f := func(from, to, want string) {
		t.Helper()
		if !strings.Contains(good, from) {
			t.Fatalf("%q does not occur", from)
		}
		err := privileges{uid: 7, gid: 8}.checkStatus([]byte(strings.Replace(good, from, to, 1)), true)
		checkSentence(t, err, want)
	}
	const kept = ": start the tracker without securebits that keep capabilities"
	f("", "", "")
	f("Uid:\t7\t7\t7\t7", "Uid:\t7\t7\t0\t7", `its Uid is "7 7 0 7" and not "7 7 7 7"`)
	f("Gid:\t8\t8\t8\t8", "Gid:\t0\t8\t8\t8", `its Gid is "0 8 8 8" and not "8 8 8 8"`)
	f("Groups:\t", "Groups:\t0 4", `its Groups is "0 4" and not ""`)
	f("CapPrm:\t0", "CapPrm:\t8", `its CapPrm is "8000000000000000" and not "0000000000000000"`+kept)
	f("CapEff:\t0", "CapEff:\t8", `its CapEff is "8000000000000000" and not "0000000000000000"`+kept)
	f("CapAmb:\t0", "CapAmb:\t8", `its CapAmb is "8000000000000000" and not "0000000000000000"`+kept)
	f("NoNewPrivs:\t1", "NoNewPrivs:\t0", `its NoNewPrivs is "0" and not "1"`)
	f("NoNewPrivs", "Nothing", "the kernel does not show its NoNewPrivs")
	f("Uid", "uid", "the kernel does not show its Uid")
}

// A thread is io_uring's by its flags, under any name.
func TestIsRingWorker(t *testing.T) {
	f := func(stat string, want bool) {
		t.Helper()
		if got := isRingWorker([]byte(stat)); got != want {
			t.Errorf("%q: %v", stat, got)
		}
	}
	f("12 (iou-wrk-12) S 1 12 12 0 -1 4194384 0", true)
	f("12 (iou-wrk-12) S 1 12 12 0 -1 4194368 0", false)
	f("12 (a) S 1 1 1 1 1 16) S 1 12 12 0 -1 64 0", false)
	f("12 (a) S 1 1 1 1 1 64) S 1 12 12 0 -1 80 0", true)
	f("12 (a) S 1 12 12 0 -1", false)
	f("12 (a) S 1 12 12 0 -1 x 0", false)
	f("", false)
}
