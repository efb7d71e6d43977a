package ring

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Options are the sizes and wishes from which Choose makes a Plan. All sizes are per ring; zero takes the default.
type Options struct {
	Entries           int           // submission queue entries, a power of two; default 1024
	ReceiveBuffers    int           // number of receive buffers, rounded up to a power of two; default 1024
	ReceiveBufferSize int           // bytes of each; default 4096
	SendMemory        int           // bytes of the send pool; default 8 MiB
	MaxConnections    int           // size of the connection table; default 4096
	Tick              time.Duration // period of EventTick; default 100 ms
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

// Plan is what Choose decided: pure data, the same for every ring of the process.
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
}

// The sizes that Choose accepts and takes by default. A receive buffer ring has at most 32768 entries
// (io_register_pbuf_ring), and so has a submission queue (IORING_MAX_ENTRIES).
const (
	defaultEntries           = 1024
	defaultReceiveBuffers    = 1024
	defaultReceiveBufferSize = 4096
	defaultSendMemory        = 8 << 20
	defaultMaxConnections    = 4096
	defaultTick              = 100 * time.Millisecond

	minEntries        = 16
	minFitEntries     = 256 // Fit goes no lower: a smaller queue is entered too often
	maxEntries        = 32768
	minReceiveBuffers = 16
	maxReceiveBuffers = 32768
	minBufferSize     = 512
	maxBufferSize     = 1 << 20
	minSendMemory     = 64 << 10
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
	pick := func(name string, v, preset, least, most int) int {
		if v == 0 {
			v = preset
		}
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s is %d: it must be between %d and %d", name, v, least, most))
		}
		return v
	}
	p := Plan{
		Entries:        uint32(pick("ring entries", o.Entries, defaultEntries, minEntries, maxEntries)),
		ReceiveBuffers: pick("receive buffers", o.ReceiveBuffers, defaultReceiveBuffers, 2, maxReceiveBuffers),
		ReceiveBufferSize: pick("receive buffer size", o.ReceiveBufferSize, defaultReceiveBufferSize,
			minBufferSize, maxBufferSize),
		SendMemory:     pick("send memory", o.SendMemory, defaultSendMemory, granule, maxSendMemory),
		MaxConnections: pick("max connections", o.MaxConnections, defaultMaxConnections, 1, maxConnections),
		Tick:           o.Tick,
		MaxBatchDelay:  o.MaxBatchDelay,
		Outgoing:       o.Outgoing,
	}
	if p.Tick == 0 {
		p.Tick = defaultTick
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
	p.SendMemory &^= granule - 1
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

// LockedBytes returns what one ring of the plan charges to the memlock limit: the arena and the queues. Kernels 5.12
// and later charge the queues only to users without CAP_IPC_LOCK (measured on 6.18), so that this is the upper bound.
func (p Plan) LockedBytes() uint64 {
	return uint64(p.arenaSize()) + p.queueBytes()
}

// queueBytes is the memory of the submission and completion queues: 64 bytes an entry and 4 for the index array, 16 a
// completion, and a page of heads and tails, each rounded up to whole pages.
func (p Plan) queueBytes() uint64 {
	return pages(uint64(p.Entries)*64) + pages(uint64(p.Entries)*4+uint64(p.CQEntries)*16+pageSize)
}

const pageSize = 4096

func pages(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// Fit shrinks a plan so that one ring stays within perRing bytes of locked memory: the largest of send memory, receive
// buffers and queues is halved until it fits. It is an error, which names the bytes needed, the limit and the lines that
// mend it, when even the least (16 receive buffers, 64 KiB to send, 256 entries) is too large.
func Fit(p Plan, perRing uint64) (fitted Plan, shrunk bool, err error) {
	q := p
	for q.LockedBytes() > perRing {
		switch send, receive, queues := q.shrinkable(); max(send, receive, queues) {
		case 0:
			return p, false, memlockError(q.LockedBytes(), p.LockedBytes(), perRing)
		case send:
			q.SendMemory = q.SendMemory / 2 &^ (granule - 1)
		case receive:
			q.ReceiveBuffers /= 2
		default:
			q.Entries /= 2
			q.CQEntries = min(q.CQEntries, q.Entries*cqPerSQ)
		}
	}
	return q, q.LockedBytes() != p.LockedBytes(), nil
}

// shrinkable returns the bytes of each part that Fit may halve; 0 for one that is at its least.
func (p Plan) shrinkable() (send, receive, queues uint64) {
	if p.SendMemory/2 >= minSendMemory {
		send = uint64(p.SendMemory)
	}
	if p.ReceiveBuffers/2 >= minReceiveBuffers {
		receive = uint64(p.ReceiveBuffers) * uint64(p.ReceiveBufferSize)
	}
	if p.Entries/2 >= minFitEntries {
		queues = p.queueBytes()
	}
	return send, receive, queues
}

// memlockError is the sentence for an operator whose limit of locked memory is too small.
func memlockError(least, wanted, limit uint64) error {
	return fmt.Errorf("cannot lock the memory of a ring: it needs at least %d bytes (%d as configured), "+
		"the limit allows %d per ring; %s", least, wanted, limit, memlockRemedy)
}

const memlockRemedy = `raise it with "LimitMEMLOCK=infinity" in the systemd unit, or with the line ` +
	`"* - memlock unlimited" in /etc/security/limits.conf and a new login`
