// Package ringtest is a kernel of plain memory for tests: it interprets the submission entries of [ring.Ring]s against
// in-memory sockets and posts completions, with faults drawn from a seed. Everything runs on the caller's goroutine,
// time passes only by Advance, and the same seed gives the same run.
//
// It checks its users while it serves them: a receive buffer is given back exactly once and scribbled over when it
// is; the bytes of a send do not change until its completion; no request names a closed descriptor; a connection has
// at most one receive and one send in flight; a ring joins all its requests and closes all its descriptors before it
// is torn down.
package ringtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"millrace/ring"
)

// Faults are probabilities between 0 and 1 of things that may go wrong, and the size of the sockets' buffers.
type Faults struct {
	ShortSend    float64 // a send takes fewer bytes than there is room for
	Reset        float64 // in one Enter, the client of a random connection resets it
	NoBuffers    float64 // a receive ends with ENOBUFS although there are buffers
	Delay        float64 // a completion is held back until a later Enter
	Reorder      float64 // the completions of an Enter come in random order (those of one request stay in order)
	Overflow     float64 // in one Enter, the completion queue takes nothing more: completions overflow
	AcceptError  float64 // an accept fails (EMFILE, ENFILE, ENOBUFS, ECONNABORTED)
	Interrupt    float64 // a wait ends with EINTR
	EndMultishot float64 // a multishot request ends with a good result
	ProvideError float64 // PROVIDE_BUFFERS fails with ENOMEM
	MessageError float64 // MSG_RING fails with EOVERFLOW
	BusyCancel   float64 // a cancel of a send, a receive or an accept fails with EALREADY, and that request goes on: the ring needs ticks
	LateCancel   float64 // a cancel waits for another Enter, behind requests that were submitted later
	Piecemeal    float64 // an Enter moves 20 completions at most into the queue, and the rest is pending (Linux 6.13)
	SocketBuffer int     // bytes a client may leave unread before sends to it wait; default 64 KiB
}

// Kernel serves any number of rings and clients.
type Kernel struct {
	faults     Faults
	rng        *rand.Rand
	now        time.Duration
	ports      []*port
	fds        map[int32]*file // open descriptors of the rings' side; numbers are never used twice
	lastFD     int32
	live       []*socket // connections whose descriptor is open
	requests   uint64
	violations []error
}

// New makes a kernel. The zero Faults make everything go well.
func New(seed uint64, f Faults) *Kernel {
	k := &Kernel{rng: rand.New(rand.NewPCG(seed, 0x72696e67)), fds: map[int32]*file{}, lastFD: 2}
	k.SetFaults(f)
	return k
}

// SetFaults changes the faults from the next Enter on. Completions that are held back by then are delivered.
func (k *Kernel) SetFaults(f Faults) {
	if f.SocketBuffer == 0 {
		f.SocketBuffer = 64 << 10
	}
	k.faults = f
}

// Open makes a ring with a listener of its own. Its Wait never blocks: when nothing can complete it returns no events.
func (k *Kernel) Open(p ring.Plan) *ring.Ring {
	return k.OpenOn(p, k.install(&file{kind: fileListener, door: &door{listening: true}}))
}

// OpenOn makes a ring as Open does, with listeners that Duplicate has returned. Dial connects clients to the first one.
func (k *Kernel) OpenOn(p ring.Plan, listeners ...int32) *ring.Ring {
	port := &port{k: k, plan: p, door: k.fds[listeners[0]].door}
	k.ports = append(k.ports, port)
	for _, fd := range listeners {
		k.fds[fd].port = port
	}
	r, err := ring.OpenOn(port, p, listeners...)
	if err != nil {
		panic(fmt.Sprintf("BUG: ringtest: a ring of memory cannot be opened: %v", err))
	}
	port.ring = r
	return r
}

// Duplicate returns another descriptor of the same connection or listener, to be passed to the ring of another process. The
// socket is open until all of its descriptors are closed.
func (k *Kernel) Duplicate(fd int32) int32 {
	f := k.fds[fd]
	return k.install(&file{kind: f.kind, door: f.door, socket: f.socket})
}

// CloseFD closes a descriptor that no ring has: one that Duplicate has returned, or that was taken out by OpRelease.
func (k *Kernel) CloseFD(fd int32) { (&port{k: k}).CloseFD(fd) }

// Advance lets time pass; timers that are due complete with the next Enter of their ring.
func (k *Kernel) Advance(d time.Duration) { k.now += d }

// Now returns the time that has passed.
func (k *Kernel) Now() time.Duration { return k.now }

// Idle reports whether no ring has anything to submit or to be told before time passes or a client acts.
func (k *Kernel) Idle() bool {
	for _, p := range k.ports {
		if !p.closed && !p.idle() {
			return false
		}
	}
	return true
}

// Check returns every broken rule so far; once all rings are closed, also the descriptors that they left open.
func (k *Kernel) Check() error {
	errs := k.violations
	open := false
	for _, p := range k.ports {
		open = open || !p.closed
	}
	if !open && len(k.fds) > 0 {
		errs = append(errs[:len(errs):len(errs)], fmt.Errorf("%d descriptors are left open", len(k.fds)))
	}
	return errors.Join(errs...)
}

// violate notes a broken rule. Only the first few are kept: one broken rule breaks others.
func (k *Kernel) violate(format string, args ...any) {
	if len(k.violations) < 20 {
		k.violations = append(k.violations, fmt.Errorf(format, args...))
	}
}

func (k *Kernel) chance(p float64) bool { return p > 0 && k.rng.Float64() < p }

// Dial connects a client to a ring of this kernel. If the ring does not listen any more, the client is Refused.
func (k *Kernel) Dial(r *ring.Ring, from netip.AddrPort) *Client {
	s := &socket{peer: from}
	c := &Client{k: k, s: s}
	for _, p := range k.ports {
		if p.ring == r && p.door.listening {
			p.door.queue = append(p.door.queue, s)
			return c
		}
	}
	s.reset, c.refused = true, true
	return c
}

// Client is the far end of a connection.
type Client struct {
	k       *Kernel
	s       *socket
	refused bool
}

// Write sends bytes to the ring's side and returns how many were taken: all, or none when the connection is gone.
func (c *Client) Write(b []byte) int {
	if c.s.reset || c.s.inEOF || c.s.shutRead {
		return 0
	}
	c.s.in = append(c.s.in, b...)
	return len(b)
}

// Read takes the bytes that have arrived, which makes room for more; nil when there is nothing.
func (c *Client) Read() []byte {
	b := c.s.out
	c.s.out = nil
	return b
}

// CloseWrite ends the client's data: the ring's side reads an end after the written bytes.
func (c *Client) CloseWrite() { c.s.inEOF = true }

// Reset ends the connection at once. Bytes that the ring's side has not read yet are lost.
func (c *Client) Reset() { c.s.resetByPeer() }

// EOF reports whether the other side has ended its data in an orderly way and all of it was read.
func (c *Client) EOF() bool { return c.s.shutWrite && !c.s.reset && len(c.s.out) == 0 }

// WasReset reports whether the connection was reset: by either side, by a fault, or because it was closed with data
// unread.
func (c *Client) WasReset() bool { return c.s.reset }

// Refused reports whether nobody listened.
func (c *Client) Refused() bool { return c.refused }
