package ring

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// This file owns the tests of the choice: features, sizes, and the limit of locked memory.

// TestChoose proves which features each combination of wish and finding leads to, and that errors name all of them.
func TestChoose(t *testing.T) {
	no := Probed{NotSupported, "EINVAL"}
	unsure := Probed{Inconclusive, "ENOMEM"}
	f := func(features Features, want Want, on string, errs ...string) {
		t.Helper()
		p, err := Choose(features, testOptions(want))
		if len(errs) > 0 {
			if err == nil {
				t.Fatalf("no error; want %q", errs)
			}
			for _, s := range errs {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q lacks %q", err, s)
				}
			}
			if n := strings.Count(err.Error(), "\n") + 1; n != len(errs) {
				t.Errorf("%d sentences for %d mistakes: %q", n, len(errs), err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(p.String(), ";"); got != on {
			t.Errorf("got %q, want %q", got, on)
		}
		// Without a timeout of its own a wait in a window might not end.
		if windows := p.MaxBatchDelay > 0; windows != p.Use[TimedWait] {
			t.Errorf("longest batch delay %v, timed waits %v", p.MaxBatchDelay, p.Use[TimedWait])
		}
		for i, c := range p.Choices {
			if c.Name != Feature(i).String() || c.Why == "" || c.On != p.Use[i] {
				t.Errorf("choice %d: %+v", i, c)
			}
		}
	}
	without := func(found Probed, features ...Feature) (f Features) {
		for _, feature := range features {
			f.Optional[feature] = found
		}
		return f
	}
	all := "multishot_accept buffer_ring multishot_receive message_ring coop_taskrun single_issuer defer_taskrun " +
		"registered_ring registered_buffers timed_wait min_wait"
	f(Features{}, Want{}, all)
	f(Features{}, Want{FixedSend: Require}, strings.Replace(all, "buffers timed", "buffers fixed_send timed", 1))
	f(Features{}, allOff(), "baseline")
	// A feature that is missing takes those along that need it.
	f(without(no, TimedWait), Want{}, strings.TrimSuffix(all, " timed_wait min_wait"))
	f(without(no, BufferRing, SingleIssuer, TimedWait), Want{},
		"multishot_accept message_ring coop_taskrun registered_ring registered_buffers")
	f(Features{}, Want{BufferRing: Off, MultishotReceive: Require}, "", "multishot_receive is required")
	two := without(no, MessageRing)
	two.Optional[MinWait] = unsure
	f(two, Want{MessageRing: Require, MinWait: Require, CoopTaskrun: Require}, "",
		"message_ring is required but cannot be used: the kernel does not have it: EINVAL",
		"min_wait is required but cannot be used: trying it failed: ENOMEM")
	f(Features{IOUring: Probed{NotSupported, "cannot use io_uring: ENOSYS"}}, Want{}, "", "cannot use io_uring: ENOSYS")
}

// allOff is the wish for no feature at all.
func allOff() (w Want) {
	for i := range w {
		w[i] = Off
	}
	return w
}

// TestFeatureTable proves that every feature has its facts, that its name leads back to it, and that it stands behind
// the features that it needs: Choose decides in this order.
func TestFeatureTable(t *testing.T) {
	kernel := regexp.MustCompile(`^[5-9]\.[0-9]+$`)
	for f := range Feature(FeatureCount) {
		info := f.Info()
		if !kernel.MatchString(info.Kernel) || !strings.HasPrefix(info.Commit, "io_uring: ") || info.Without == "" {
			t.Errorf("%s: a fact is missing: %+v", f, info)
		}
		if named, ok := FeatureNamed(f.String()); !ok || named != f {
			t.Errorf("the name %q leads to %q", f, named)
		}
		for _, needed := range info.Needs {
			if needed >= f {
				t.Errorf("%s stands before %s, which it needs", f, needed)
			}
		}
	}
	if f, ok := FeatureNamed("entries"); ok {
		t.Errorf("entries is a size, but leads to the feature %s", f)
	}
}

// TestChooseSizes proves the rounding, and the refusal of sizes out of range: a size that was forgotten is one.
func TestChooseSizes(t *testing.T) {
	o := testOptions(Want{})
	o.Entries, o.ReceiveBuffers, o.SendMemory = 100, 33, 100_001
	p, err := Choose(Features{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Entries != 128 || p.CQEntries != 512 || p.ReceiveBuffers != 64 || p.SendMemory != 99_840 ||
		p.ReceiveBufferSize != o.ReceiveBufferSize || p.MaxConnections != o.MaxConnections || p.Tick != o.Tick {
		t.Errorf("%+v", p)
	}
	f := func(change func(o *Options), want string) {
		t.Helper()
		o := testOptions(Want{})
		change(&o)
		if _, err := Choose(Features{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
	f(func(o *Options) { o.Entries = 1 << 20 }, "ring entries is 1048576: it must be between 16 and 32768")
	f(func(o *Options) { o.Entries = 0 }, "ring entries is 0")
	f(func(o *Options) { o.ReceiveBuffers = 1 << 16 }, "receive buffers is 65536")
	f(func(o *Options) { o.ReceiveBufferSize = 100 }, "receive buffer size is 100")
	f(func(o *Options) { o.SendMemory = 10 }, "send memory is 10")
	f(func(o *Options) { o.MaxConnections = -5 }, "max connections is -5")
	f(func(o *Options) { o.Tick = time.Microsecond }, "tick is 1µs")
	f(func(o *Options) { o.MaxBatchDelay = -1 }, "longest batch delay -1ns")
	f(func(o *Options) { o.ReceiveBuffers, o.ReceiveBufferSize = 32768, 1<<20 }, "per ring")
}

// TestFitProcess proves that a process leaves a quarter of the limit to others where the least plan does not need it.
func TestFitProcess(t *testing.T) {
	p, err := Choose(Features{}, testOptions(Want{}))
	if err != nil {
		t.Fatal(err)
	}
	p.SendMemory = 8 << 20
	least := uint64(1 << 40)
	for n := uint64(1); n < p.LockedBytes(); n += 4096 {
		if q, _, err := Fit(p, n); err == nil {
			least = q.LockedBytes()
			break
		}
	}
	f := func(limit uint64, rings int, most uint64, ok bool) {
		t.Helper()
		q, _, err := FitProcess(p, limit, rings)
		if (err == nil) != ok || ok && q.LockedBytes()*uint64(rings) > most {
			t.Errorf("limit %d, %d rings: %d bytes each, want %d together, %v", limit, rings, q.LockedBytes(), most, err)
		}
	}
	f(8<<20, 1, 6<<20, true)
	f(8<<20, 2, 6<<20, true)
	f(2*least, 2, 2*least, true)
	f(2*least-2, 2, 0, false)
}

// TestFit proves that a plan shrinks just to its budget, keeps everything else, and that a budget below the least
// gives a sentence with the figures and the remedy.
func TestFit(t *testing.T) {
	o := testOptions(Want{})
	o.ReceiveBuffers, o.ReceiveBufferSize, o.SendMemory = 1024, 4096, 8<<20
	p, err := Choose(Features{}, o)
	if err != nil {
		t.Fatal(err)
	}
	need := p.LockedBytes()
	f := func(budget uint64, buffers, send int, shrunk bool) {
		t.Helper()
		q, s, err := Fit(p, budget)
		if err != nil {
			t.Fatal(err)
		}
		if q.ReceiveBuffers != buffers || q.SendMemory != send || s != shrunk || q.LockedBytes() > budget {
			t.Errorf("budget %d: %d buffers, %d bytes to send, shrunk %v, %d bytes",
				budget, q.ReceiveBuffers, q.SendMemory, s, q.LockedBytes())
		}
		q.ReceiveBuffers, q.SendMemory = p.ReceiveBuffers, p.SendMemory
		if q != p {
			t.Errorf("budget %d: more than the arena changed", budget)
		}
	}
	f(need, 1024, 8<<20, false)
	f(1<<62, 1024, 8<<20, false)
	f(need-1, 1024, 4<<20, true)
	f(need/2, 512, 2<<20, true)
	f(1<<20, 128, 256<<10, true)
	f(200<<10, 16, 64<<10, true)
	o.Entries, o.ReceiveBuffers, o.SendMemory = 4096, 512, 1<<20
	deep, err := Choose(Features{}, o)
	if err != nil {
		t.Fatal(err)
	}
	q, shrunk, err := Fit(deep, 256<<10)
	if err != nil || !shrunk || q.Entries >= 4096 || q.Entries < 256 || q.CQEntries != 4*q.Entries ||
		q.LockedBytes() > 256<<10 {
		t.Errorf("deep queues: %v, %v, %v", q, shrunk, err)
	}
	_, _, err = Fit(p, 100<<10)
	if err == nil {
		t.Fatal("a budget below the least was accepted")
	}
	for _, s := range []string{"at least 180224 bytes", "102400", "LimitMEMLOCK=infinity", "limits.conf"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q lacks %q", err, s)
		}
	}
}
