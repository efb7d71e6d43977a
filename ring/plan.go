package ring

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"millrace/ring/pool"
)

// This file owns the decision how a ring is made: from features, sizes and wishes to a plan.

// Options are the sizes and wishes from which Choose makes a Plan. All sizes are per ring. None has a default: the
// configuration owns those.
type Options struct {
	Entries           int           // submission queue entries, 16 to 32768, rounded up to a power of two
	ReceiveBuffers    int           // number of receive buffers, 2 to 32768, rounded up to a power of two
	ReceiveBufferSize int           // bytes of each, 512 to 1 MiB
	SendMemory        int           // bytes of the send pool, 512 to 1 GiB, rounded down to a multiple of 512
	MaxConnections    int           // places of the connection table, 1 to 2^24
	Tick              time.Duration // period of EventTick, at least 1 ms; up to LongestTick while nothing happens
	MaxBatchDelay     time.Duration // longest Window.Max that will be asked for; 0 or no TimedWait: no batching windows
	Outgoing          bool          // the ring also opens connections (OpConnect)
	Want              Want
}

// Choice is one line of a plan: a feature, whether it is used, and why.
type Choice struct {
	Name string // of the feature, as in the configuration
	On   bool
	Why  string
}

// Plan is the decision of Choose: pure data, the same for every ring of the process.
type Plan struct {
	Use               Use
	Choices           [FeatureCount]Choice // one for each Feature, in their order
	Entries           uint32               // submission queue
	CQEntries         uint32               // completion queue
	ReceiveBuffers    int
	ReceiveBufferSize int
	SendMemory        int
	MaxConnections    int
	Tick              time.Duration
	MaxBatchDelay     time.Duration // 0: no batching windows, since none are wanted or TimedWait is not used
	Outgoing          bool

	// HoldAccept makes the ring begin as if OpHoldAccept had been given: it takes no client of a socket that another process still
	// serves. The caller of Choose sets it.
	HoldAccept bool
}

// The sizes that Choose accepts. A receive buffer ring has at most 32768 entries (io_register_pbuf_ring), and so has a
// submission queue (IORING_MAX_ENTRIES).
const (
	minEntries        = 16
	minFitEntries     = 256 // Fit goes no lower: a smaller queue is entered too often
	maxEntries        = 32768
	minReceiveBuffers = 16 // Fit goes no lower
	maxReceiveBuffers = 32768
	minBufferSize     = 512
	maxBufferSize     = 1 << 20
	minSendMemory     = 64 << 10 // Fit goes no lower
	maxSendMemory     = 1 << 30
	maxConnections    = 1 << 24
	maxArena          = 1<<30 - 1<<20 // a registered buffer is at most 1 GiB (io_buffer_validate)
	cqPerSQ           = 4
)

// Choose decides which features to use. It is pure: the same features and options give the same plan. Its error joins
// one sentence for each mistake: every size out of range and every feature that is required but cannot be used.
func Choose(f Features, o Options) (Plan, error) {
	var errs []error
	if f.IOUring.Outcome != Available {
		errs = append(errs, errors.New(f.IOUring.Reason))
	}
	p, err := sizes(o)
	if err != nil {
		errs = append(errs, err)
	}
	for i := range p.Choices {
		feature := Feature(i)
		on, why := p.decide(feature, f.Optional[feature], o.Want[feature])
		p.Use[feature] = on
		p.Choices[i] = Choice{Name: feature.String(), On: on, Why: why}
		if o.Want[feature] == Require && !on {
			errs = append(errs, fmt.Errorf("io_uring feature %s is required but cannot be used: %s", feature, why))
		}
	}
	if len(errs) > 0 {
		return Plan{}, errors.Join(errs...)
	}
	if !p.Use[TimedWait] {
		p.MaxBatchDelay = 0 // nothing would end a window surely: see hold
	}
	return p, nil
}

// decide says whether a feature is used, and why. The features that it needs have been decided.
func (p *Plan) decide(f Feature, found Probed, want Tri) (on bool, why string) {
	info := &featureTable[f]
	switch {
	case want == Off:
		return false, "switched off"
	case found.Outcome == NotSupported:
		return false, "the kernel does not have it: " + found.Reason
	case found.Outcome == Inconclusive:
		return false, "trying it failed: " + found.Reason
	}
	for _, needed := range info.Needs {
		if !p.Use[needed] {
			return false, "it needs " + needed.String() + ", which is not used"
		}
	}
	switch {
	case want == Require:
		return true, "required"
	case info.Unused != "":
		return false, info.Unused
	}
	return true, "available"
}

func sizes(o Options) (Plan, error) {
	var errs []error
	within := func(name string, v, least, most int) int {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s is %d: it must be between %d and %d", name, v, least, most))
		}
		return v
	}
	p := Plan{
		Entries:           uint32(within("ring entries", o.Entries, minEntries, maxEntries)),
		ReceiveBuffers:    within("receive buffers", o.ReceiveBuffers, 2, maxReceiveBuffers),
		ReceiveBufferSize: within("receive buffer size", o.ReceiveBufferSize, minBufferSize, maxBufferSize),
		SendMemory:        within("send memory", o.SendMemory, pool.Granule, maxSendMemory),
		MaxConnections:    within("max connections", o.MaxConnections, 1, maxConnections),
		Tick:              o.Tick,
		MaxBatchDelay:     o.MaxBatchDelay,
		Outgoing:          o.Outgoing,
	}
	if p.Tick < time.Millisecond || p.MaxBatchDelay < 0 {
		errs = append(errs, fmt.Errorf("tick is %v and the longest batch delay %v: "+
			"the tick must be at least 1ms, the delay not negative", p.Tick, p.MaxBatchDelay))
	}
	if len(errs) > 0 {
		return p, errors.Join(errs...)
	}
	p.Entries = roundUp(p.Entries)
	p.CQEntries = min(p.Entries*cqPerSQ, 2*maxEntries)
	p.ReceiveBuffers = int(roundUp(uint32(p.ReceiveBuffers)))
	p.SendMemory &^= pool.Granule - 1
	if p.ReceiveBuffers*p.ReceiveBufferSize+p.SendMemory > maxArena {
		return p, fmt.Errorf("receive buffers and send memory come to %d bytes per ring: they may be %d at most",
			p.ReceiveBuffers*p.ReceiveBufferSize+p.SendMemory, maxArena)
	}
	return p, nil
}

// roundUp returns the least power of two that is not below n.
func roundUp(n uint32) uint32 {
	return 1 << bits.Len32(n-1)
}

// String returns the features in use and the sizes, on one line.
func (p Plan) String() string {
	var on []string
	for _, c := range p.Choices {
		if c.On {
			on = append(on, c.Name)
		}
	}
	if on == nil {
		on = append(on, "baseline")
	}
	return fmt.Sprintf("%s; entries %d, receive buffers %d x %d bytes, send memory %d bytes, connections %d",
		strings.Join(on, " "), p.Entries, p.ReceiveBuffers, p.ReceiveBufferSize, p.SendMemory, p.MaxConnections)
}
