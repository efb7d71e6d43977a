package ring

import (
	"errors"
	"net/netip"
	"time"
)

// Choose decides which features to use.
func Choose(f Features, o Options) (Plan, error) { return Plan{}, errors.ErrUnsupported }

// String is the plan on one line.
func (p Plan) String() string { return "" }

// LockedBytes is what one ring of the plan charges to the memlock limit.
func (p Plan) LockedBytes() uint64 { return 0 }

// Fit shrinks the arena to the budget.
func Fit(p Plan, perRing uint64) (fitted Plan, shrunk bool, err error) { return p, false, nil }

// MemlockLimit is the soft limit of locked memory.
func MemlockLimit() (soft uint64, unlimited bool) { return 0, true }

// Probe tries each feature.
func Probe() Features { return Features{} }

// ListenOptions say where to listen.
type ListenOptions struct {
	Address  string
	OnlyIPv6 bool
	Backlog  int
	Sockets  int
}

// Listener is one of several listening sockets on one address.
type Listener struct{ addr netip.AddrPort }

// Listen opens them.
func Listen(o ListenOptions) ([]*Listener, error) { return nil, errors.ErrUnsupported }

// Addr is the address with its real port.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Close closes the socket.
func (l *Listener) Close() {}

// Ring is one io_uring instance.
type Ring struct {
	pool  *Pool
	waker *Waker
}

// Window says how long Wait waits.
type Window struct {
	Min int
	Max time.Duration
}

// Stats are a ring's counters.
type Stats struct {
	Enters, Events, CQOverflows, NoBuffers, StaleCompletions, Rearms, ShortSends uint64
	BuffersInUse, Connections                                                    int
}

// Open makes a ring.
func Open(p Plan, l *Listener) (*Ring, error) { return nil, errors.ErrUnsupported }

// Pool is the send pool.
func (r *Ring) Pool() *Pool { return r.pool }

// Waker wakes the ring.
func (r *Ring) Waker() *Waker { return r.waker }

// SetPeers gives the targets of OpWake.
func (r *Ring) SetPeers(rings []*Ring) {}

// Submit fills entries.
func (r *Ring) Submit(ops []Op) {}

// Wait waits.
func (r *Ring) Wait(events []Event, w Window) ([]Event, error) { return events, nil }

// Close closes.
func (r *Ring) Close() error { return nil }

// Stats returns the counters.
func (r *Ring) Stats() Stats { return Stats{} }

// Waker wakes a ring from any thread.
type Waker struct{}

// Wake wakes it.
func (w *Waker) Wake() {}

// Buf names a piece of a pool; 0 is none.
type Buf uint32

// Pool hands out pieces of memory.
type Pool struct{}

// NewPool makes a pool over mem.
func NewPool(mem []byte) *Pool { return &Pool{} }

// MapPool makes a pool over anonymous memory.
func MapPool(size int) (*Pool, error) { return nil, errors.ErrUnsupported }

// Unmap gives MapPool's memory back.
func (p *Pool) Unmap() error { return nil }

// Get returns a piece of at least n bytes.
func (p *Pool) Get(n int) Buf { return 0 }

// Bytes is the piece.
func (p *Pool) Bytes(b Buf) []byte { return nil }

// Put gives it back.
func (p *Pool) Put(b Buf) {}

// InUse is bytes handed out.
func (p *Pool) InUse() int { return 0 }

// Size is all bytes.
func (p *Pool) Size() int { return 0 }

// Largest is the largest piece.
func (p *Pool) Largest() int { return 0 }

// AllowedCPUs lists the CPUs of the process.
func AllowedCPUs() ([]int, error) { return nil, errors.ErrUnsupported }

// PinThread pins.
func PinThread(cpu int) error { return errors.ErrUnsupported }

// RaiseFileLimit raises.
func RaiseFileLimit() (limit uint64) { return 0 }
