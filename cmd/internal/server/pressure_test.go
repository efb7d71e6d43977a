package server

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard"
)

// This file proves when the tracker stops to grow, by made-up figures of memory, and that it reads the real ones.

// TestPressure proves the level after each look at the resident memory, and that each change is logged once.
func TestPressure(t *testing.T) {
	var log bytes.Buffer
	p := &pressure{log: slog.New(slog.NewTextHandler(&log, nil))}
	p.limit.Store(1600)
	f := func(resident uint64, times int, want shard.Pressure, says string) {
		t.Helper()
		log.Reset()
		for range times {
			p.saw(resident)
		}
		if got := p.level.Load(); got != want {
			t.Errorf("level %d at %d, want %d", got, resident, want)
		}
		lines := strings.Count(log.String(), "\n")
		if lines > 1 || (lines == 1) != (says != "") || !strings.Contains(log.String(), says) {
			t.Errorf("at %d it logged %q, want %q", resident, log.String(), says)
		}
	}
	f(1600, 9, shard.PressureNone, "")
	f(1601, 1, shard.PressurePeers, "no more peers\"")
	f(1601, 3, shard.PressurePeers, "")
	f(1600, 1, shard.PressurePeers, "") // the looks in a row begin again
	f(1601, 4, shard.PressurePeers, "")
	f(1601, 1, shard.PressureConns, "no more peers and no more connections")
	f(1600, 1, shard.PressurePeers, "no more peers\"")
	f(1501, 9, shard.PressurePeers, "")
	f(1500, 9, shard.PressureNone, "enough memory again")
	f(1760, 1, shard.PressurePeers, "no more peers\"")
	f(1761, 1, shard.PressureConns, "no more connections")
	f(1, 1, shard.PressureNone, "enough memory again")
	f(9000, 1, shard.PressureConns, "no more connections")
}

// TestMemoryLimit proves the limit for each value of limits.memory_limit.
func TestMemoryLimit(t *testing.T) {
	f := func(configured int, available, want uint64) {
		t.Helper()
		if got := memoryLimit(configured, available); got != want {
			t.Errorf("%d of %d bytes: %d, want %d", configured, available, got, want)
		}
	}
	f(0, 4000, 3000)
	f(0, 0, 0)
	f(5000, 4000, 5000)
	f(5000, 0, 5000)
}

// TestRuntimeLimit proves that the Go runtime may map as much as it has and the room that is left, that there is always
// some room, that small changes are passed over, and that the end gives all of it back.
func TestRuntimeLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	p := &pressure{}
	p.limit.Store(32 << 30)
	f := func(resident, mapped uint64, want int64) {
		t.Helper()
		p.limitRuntime(resident<<30, mapped<<30)
		if got := debug.SetMemoryLimit(-1); got != want<<30 {
			t.Errorf("%d resident, %d mapped: the limit is %d GiB, want %d", resident, mapped, got>>30, want)
		}
	}
	f(2, 10, 40)
	f(12, 10, 30)
	f(32, 40, 41)
	f(40, 40, 41)
	p.limitRuntime(32<<30, 40<<30+1000)
	f(32, 40, 41)
	p.close()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the limit is %d in the end", got)
	}
	debug.SetMemoryLimit(before)
}

// TestLooksAtMemory proves that looks are rare only where there is plenty of memory and next to nothing is allocated.
func TestLooksAtMemory(t *testing.T) {
	f := func(limit uint64, want time.Duration) {
		t.Helper()
		p, err := openPressure(limit, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		p.ownGo = false
		if got := p.look(); got != want {
			t.Errorf("the next look is after %v with a limit of %d bytes, want %v", got, limit, want)
		}
	}
	f(0, idlePeriod)
	f(1, lookPeriod)
	f(1<<50, idlePeriod)
	h := heap{}
	g := func(allocated uint64, want time.Duration) {
		t.Helper()
		h.due(allocated, 4<<20)
		if got := h.next(); got != want {
			t.Errorf("the next look is after %v with %d bytes, want %v", got, allocated, want)
		}
	}
	g(1<<20, lookPeriod)
	g(1<<20, idlePeriod)
	g(1<<20+idleBytes-1, idlePeriod)
	g(1<<20+2*idleBytes, lookPeriod)
}

// TestResident proves that the resident memory of this process is read, and that nonsense is not taken for it.
func TestResident(t *testing.T) {
	p, err := openPressure(1<<40, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.ownGo = false
	block := make([]byte, 64<<20)
	for k := 0; k < len(block); k += 512 {
		block[k] = 1
	}
	p.look()
	if n := p.resident.Load(); n < uint64(len(block)) || n > 1<<34 {
		t.Errorf("%d bytes", n)
	}
	p.close()
	block[0] = 2
	f := func(text string, want uint64, ok bool) {
		t.Helper()
		if got, err := parseStatm([]byte(text)); got != want || (err == nil) != ok {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	f("10 3 2 1 0 5 0\n", 3*uint64(os.Getpagesize()), true)
	f("", 0, false)
	f("10", 0, false)
	f("10 x", 0, false)
}
