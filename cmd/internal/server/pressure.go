package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/shard"
)

// This file owns the limit of memory. The kernel ends a process that takes more than its cgroup or the machine has, and
// with it all connections. So the tracker stops to grow before that: over the limit it takes no more peers than it has,
// and after a while, or far over it, no more connections. The shards read the level of that, see shard.Pressure.

const (
	pressureLooks = 5 // over the limit in a row, after which more connections are refused too
	pressureFar   = 4 // times the resident memory below the limit: looks may be rare
)

// pressure follows the resident memory of the process. A zero limit is none.
type pressure struct {
	level    atomic.Uint32 // a shard.Pressure
	limit    atomic.Uint64 // bytes; setLimit changes it
	log      *slog.Logger
	resident atomic.Uint64 // bytes, at the last look
	over     int           // looks in a row at which resident was over the limit

	statm   *os.File // stays readable in another root directory and for another user
	samples [2]metrics.Sample
	runtime int64 // the limit that the Go runtime was given; 0: none
	ownGo   bool  // it is ours to set: the operator has not set GOMEMLIMIT
}

// memoryLimit returns the limit of resident memory for a value of limits.memory_limit: by default three quarters of
// what the process may use. The rest is for the kernel's memory of its sockets, which a cgroup counts too.
func memoryLimit(configured int, available uint64) uint64 {
	if configured > 0 {
		return uint64(configured)
	}
	return available / 4 * 3
}

// openPressure prepares to follow the resident memory. It is called before the process drops its privileges.
func openPressure(limit uint64, log *slog.Logger) (*pressure, error) {
	p := &pressure{log: log, ownGo: os.Getenv("GOMEMLIMIT") == ""}
	p.limit.Store(limit)
	p.samples[0].Name = "/memory/classes/total:bytes"
	p.samples[1].Name = "/memory/classes/heap/released:bytes"
	var err error
	if p.statm, err = os.Open("/proc/self/statm"); err != nil && limit > 0 {
		return nil, fmt.Errorf("cannot follow the memory of the process for limits.memory_limit: %w", err)
	}
	return p, nil
}

// checkLimit returns why a limit cannot be kept. The next look obeys one that is stored.
func (p *pressure) checkLimit(bytes uint64) error {
	if bytes > 0 && p.statm == nil {
		return errors.New("cannot follow the memory of the process for limits.memory_limit: /proc/self/statm was not there at the start")
	}
	return nil
}

// close gives back what the limit has taken from the process.
func (p *pressure) close() {
	if p.runtime != 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	}
	if p.statm != nil {
		p.statm.Close()
	}
}

// look reads the resident memory and puts the level that follows in force, and returns the time until the next look.
// Garbage goes before clients are refused.
func (p *pressure) look() (next time.Duration) {
	limit := p.limit.Load()
	if limit == 0 {
		p.level.Store(shard.PressureNone)
		return idlePeriod
	}
	resident, err := p.read()
	if err == nil && resident > limit && p.level.Load() == shard.PressureNone {
		debug.FreeOSMemory()
		resident, err = p.read()
	}
	if err != nil {
		p.log.Error("cannot read the resident memory of the process: limits.memory_limit has no effect", "error", err)
		return lookPeriod
	}
	p.saw(resident)
	if p.ownGo {
		metrics.Read(p.samples[:])
		p.limitRuntime(resident, p.samples[0].Value.Uint64()-p.samples[1].Value.Uint64())
	}
	if resident < limit/pressureFar {
		return idlePeriod
	}
	return lookPeriod
}

// read returns the resident memory in bytes.
func (p *pressure) read() (uint64, error) {
	var text [256]byte
	n, err := p.statm.ReadAt(text[:], 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	return parseStatm(text[:n])
}

// parseStatm returns the resident bytes in /proc/self/statm.
//
// proc_pid_statm(5): «Provides information about memory usage, measured in pages. The columns are: size […], resident».
func parseStatm(text []byte) (resident uint64, err error) {
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm has %q", text)
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 48)
	return pages * uint64(os.Getpagesize()), err
}

// saw changes the level by the resident memory of a look. A level ends at a little less memory than it began, or it
// would come and go.
func (p *pressure) saw(resident uint64) {
	p.resident.Store(resident)
	was, limit := p.level.Load(), p.limit.Load()
	level := was
	switch {
	case resident > limit:
		p.over++
		level = max(level, shard.PressurePeers)
		if p.over >= pressureLooks || resident-limit > limit/10 {
			level = shard.PressureConns
		}
	case resident > limit-limit/16:
		p.over = 0
		level = min(level, shard.PressurePeers)
	default:
		p.over, level = 0, shard.PressureNone
	}
	if level == was {
		return
	}
	p.level.Store(level)
	text := map[shard.Pressure]string{
		shard.PressureNone:  "the process has enough memory again",
		shard.PressurePeers: "the process has reached limits.memory_limit: it takes no more peers",
		shard.PressureConns: "the process is over limits.memory_limit: it takes no more peers and no more connections",
	}[level]
	p.log.Log(context.Background(), slog.LevelWarn, text, "resident_bytes", resident, "limit_bytes", limit)
}

// limitRuntime tells the Go runtime how much memory it may map, so that it collects garbage before the limit is
// reached. The runtime counts its memory otherwise than the kernel: also tables that nobody has touched yet, but not the
// memory of the rings. So it may have as much as it has now, and the room that is left. There is always some room, as
// otherwise it would do nothing but collect.
func (p *pressure) limitRuntime(resident, mapped uint64) {
	most := int64(p.limit.Load())
	limit := int64(mapped) + max(most-int64(resident), most/32)
	if change := limit - p.runtime; change > -most/32 && change < most/32 {
		return
	}
	p.runtime = limit
	debug.SetMemoryLimit(limit)
}
