package ring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// This file owns the optional kernel features: one block each in a table, from which the probing, the wishes and the
// decisions are derived. A new feature is a constant and a block here, and a key in config/default.toml and in
// config.IOUring; a test in cmd/internal/server compares them.

// Feature names a kernel feature that a ring uses where it is there, and can do without.
type Feature uint8

// The features, each behind those that it needs. Their facts are in the table below and in the example of [Feature].
const (
	MultishotAccept Feature = iota
	BufferRing
	MultishotReceive
	MessageRing
	CoopTaskrun
	SingleIssuer
	DeferTaskrun
	RegisteredRing
	RegisteredBuffers
	FixedSend
	TimedWait
	MinWait

	FeatureCount = iota
)

// FeatureInfo holds the facts of a feature.
type FeatureInfo struct {
	Name    string    // the key in the section [io_uring] of the configuration
	Kernel  string    // the first Linux release that has it: "5.19"
	Commit  string    // title of the commit that brought it
	Needs   []Feature // without one of these it is not used
	Without string    // how a ring does without it
	Unused  string    // why Auto leaves it out; "" where Auto uses it

	try func() error // uses it on small rings; nil when it works
}

var featureTable = [FeatureCount]FeatureInfo{
	MultishotAccept: {
		Name:    "multishot_accept",
		Kernel:  "5.19",
		Commit:  "io_uring: implement multishot mode for accept",
		Without: "16 single accepts in flight",
		try:     tryMultishotAccept,
	},
	BufferRing: {
		Name:   "buffer_ring",
		Kernel: "5.19",
		Commit: "io_uring: add support for ring mapped supplied buffers",
		// Before 5.18 a receive that waits keeps its buffer: the poll lets idle connections hold none.
		Without: "PROVIDE_BUFFERS requests, and a POLL linked before each RECV",
		try:     func() error { return tryReceive(Use{BufferRing: true}) },
	},
	MultishotReceive: {
		Name:    "multishot_receive",
		Kernel:  "6.0",
		Commit:  "io_uring: multishot recv",
		Needs:   []Feature{BufferRing},
		Without: "one RECV request a message",
		try:     func() error { return tryReceive(Use{BufferRing: true, MultishotReceive: true}) },
	},
	MessageRing: {
		Name:    "message_ring",
		Kernel:  "5.18",
		Commit:  "io_uring: add support for IORING_OP_MSG_RING command",
		Without: "a write to the other ring's eventfd",
		try:     tryMessageRing,
	},
	CoopTaskrun: {
		Name:    "coop_taskrun",
		Kernel:  "5.19",
		Commit:  "io_uring: use TWA_SIGNAL_NO_IPI if IORING_SETUP_COOP_TASKRUN is used",
		Without: "an interrupt for each batch of completions",
		try:     func() error { return trySetup(Use{CoopTaskrun: true}) },
	},
	SingleIssuer: {
		Name:    "single_issuer",
		Kernel:  "6.0",
		Commit:  "io_uring: add IORING_SETUP_SINGLE_ISSUER",
		Without: "a lock in each enter",
		try:     func() error { return trySetup(Use{SingleIssuer: true}) },
	},
	DeferTaskrun: {
		Name:    "defer_taskrun",
		Kernel:  "6.1",
		Commit:  "io_uring: add IORING_SETUP_DEFER_TASKRUN",
		Needs:   []Feature{SingleIssuer},
		Without: "completions at any return to user space, 1.2 to 1.4 times the CPU",
		try:     func() error { return trySetup(Use{SingleIssuer: true, DeferTaskrun: true}) },
	},
	RegisteredRing: {
		Name:    "registered_ring",
		Kernel:  "5.18",
		Commit:  "io_uring: add support for registering ring file descriptors",
		Without: "a descriptor lookup in each enter",
		try:     func() error { return trySetup(Use{RegisteredRing: true}) },
	},
	RegisteredBuffers: {
		Name:    "registered_buffers",
		Kernel:  "5.1",
		Commit:  "io_uring: add support for pre-mapped user IO buffers",
		Without: "the arena is locked by mlock",
		try:     func() error { return trySetup(Use{RegisteredBuffers: true}) },
	},
	FixedSend: {
		Name:    "fixed_send",
		Kernel:  "5.1",
		Commit:  "io_uring: add support for pre-mapped user IO buffers", // WRITE_FIXED
		Needs:   []Feature{RegisteredBuffers},
		Without: "SEND",
		Unused:  "measured no better than send",
		try:     tryFixedSend,
	},
	TimedWait: {
		Name:    "timed_wait",
		Kernel:  "5.11",
		Commit:  "io_uring: add timeout support for io_uring_enter()",
		Without: "no batching windows",
		try:     func() error { return tryWait(Hold{Timeout: time.Millisecond}) },
	},
	MinWait: {
		Name:    "min_wait",
		Kernel:  "6.12",
		Commit:  "io_uring: wire up min batch wake timeout",
		Needs:   []Feature{TimedWait},
		Without: "an empty window returns without an event",
		try:     func() error { return tryWait(Hold{Timeout: 2 * time.Millisecond, MinWait: time.Millisecond}) },
	},
}

// Info returns the facts of the feature. The slice in it is shared: do not change it.
func (f Feature) Info() FeatureInfo { return featureTable[f] }

// String returns the feature's name in the configuration.
func (f Feature) String() string { return featureTable[f].Name }

// FeatureNamed returns the feature with the given name in the configuration.
func FeatureNamed(name string) (f Feature, ok bool) {
	for f := range Feature(FeatureCount) {
		if featureTable[f].Name == name {
			return f, true
		}
	}
	return 0, false
}

// Tri is a wish for an optional feature.
type Tri uint8

const (
	Auto    Tri = iota // use it where the kernel has it and it was measured to help
	Off                // do not use it
	Require            // refuse to start without it
)

// Want holds the wish for each feature. The zero value leaves all of them to Auto.
type Want [FeatureCount]Tri

// Use says which features a ring uses.
type Use [FeatureCount]bool

// Outcome is the result of a try.
type Outcome uint8

const (
	Available    Outcome = iota // it was used and works
	NotSupported                // the kernel refused it as unknown
	Inconclusive                // it could not be tried, or it failed for another reason
)

// Probed is the outcome for one feature, with the reason ("" when available).
type Probed struct {
	Outcome Outcome
	Reason  string
}

// Features is the outcome for io_uring and for each feature. The zero value says that everything is available.
type Features struct {
	IOUring  Probed // io_uring itself; its Reason is a whole sentence, with the remedy
	Optional [FeatureCount]Probed
}

// Probe tries each feature on small rings and local sockets: distributions carry features back and forbid them by
// policy, so that a version number proves neither. It takes some milliseconds and leaves nothing behind.
func Probe() Features {
	// SINGLE_ISSUER and DEFER_TASKRUN rings belong to the thread that made them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f := Features{IOUring: judgeIOUring(trySetup(Use{}))}
	for i := range f.Optional {
		if f.IOUring.Outcome == Available {
			f.Optional[i] = outcome(featureTable[i].try())
		} else {
			f.Optional[i] = Probed{Inconclusive, "io_uring itself is not available"}
		}
	}
	return f
}

// outcome sorts an error: unknown opcodes, flags and registrations are answered with EINVAL, and by some kernels with
// EOPNOTSUPP or ENOSYS. Every other error says nothing about the feature.
func outcome(err error) Probed {
	if err == nil {
		return Probed{}
	}
	for _, no := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS} {
		if Errno(no) == errnoIn(err) {
			return Probed{NotSupported, err.Error()}
		}
	}
	return Probed{Inconclusive, err.Error()}
}

// judgeIOUring turns the error of setting a ring up into a sentence for operators.
func judgeIOUring(err error) Probed {
	if err == nil {
		return Probed{}
	}
	p := Probed{Outcome: NotSupported}
	switch unix.Errno(errnoIn(err)) {
	case unix.ENOSYS:
		p.Reason = "cannot use io_uring: this kernel does not have it (ENOSYS): " +
			"Linux 5.8 or later with CONFIG_IO_URING is needed"
	case unix.EPERM, unix.EACCES:
		if v, _ := os.ReadFile("/proc/sys/kernel/io_uring_disabled"); len(v) > 0 && v[0] != '0' {
			p.Reason = fmt.Sprintf("cannot use io_uring: it is disabled by the setting kernel.io_uring_disabled=%s: "+
				"set it to 0 with sysctl -w kernel.io_uring_disabled=0", strings.TrimSpace(string(v)))
			break
		}
		p.Reason = "cannot use io_uring: it is forbidden (EPERM), most likely by the seccomp profile of a container: " +
			"allow the system calls io_uring_setup, io_uring_enter and io_uring_register"
	default: // the error names the failed step
		p = Probed{Inconclusive, err.Error()}
	}
	return p
}

// errnoIn finds the error number that err wraps; 0 when there is none.
func errnoIn(err error) Errno {
	var ours Errno
	if errors.As(err, &ours) {
		return ours
	}
	var theirs unix.Errno
	if errors.As(err, &theirs) {
		return Errno(theirs)
	}
	return 0
}
