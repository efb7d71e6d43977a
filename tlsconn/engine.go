package tlsconn

// This file owns Engine, all that the connections of one event loop share: its options, buffers for records that arrived
// in part, and the places for expanded keys.

import (
	"fmt"
	"time"
)

// Handle is the caller's name of a connection. It means nothing here.
type Handle uint64

// EngineOptions are the limits of one event loop's connections.
type EngineOptions struct {
	// Certificates are those of the process.
	Certificates *Certificates

	// MaxInFlight bounds the handshakes that have begun to compute and not ended. It is 1 at least. One takes about 55 KB,
	// more than half of it a stack, and up to 64 KiB more if its client sends ahead. One more takes the place of the one
	// that has waited longest for its client, which fails with [ErrPoolFull].
	MaxInFlight int

	// MaxFresh bounds the bytes of ClientHellos, 200 to 2,500 each, whose handshakes have not begun to compute. It is 64
	// KiB at least. If there is no room for its own, a connection fails with [ErrPoolFull].
	MaxFresh int

	// FirstFlight bounds the time that a client takes to answer a flight of ours, Timeout that of a handshake from the
	// whole ClientHello on: see [Conn.Expire]. The time from the client's first byte to a whole ClientHello is for the
	// caller to bound: see [Conn.Waiting].
	FirstFlight, Timeout time.Duration

	// Admit is called by the event loop's thread right before a handshake begins, when the ClientHello is whole. If it
	// returns false, the bytes stay buffered and the caller calls [Conn.Retry] later, or closes. nil admits all.
	Admit func(Handle) bool

	// Ended is called by the event loop's thread once for each handshake that Admit let begin, when the connection is
	// established, has failed or is closed. It must not call methods of the connection. It may be nil.
	Ended func(Handle)

	// MaxBuffered bounds all buffers for records and ClientHellos that arrived in part, in bytes. It is 64 KiB at least.
	// A connection that finds no buffer fails with [ErrNoMemory].
	MaxBuffered int

	// MaxExpanded bounds the connections that hold their expanded keys, which take 1.5 KB for each connection with
	// AES-GCM. It is 1 at least. A further connection takes the place of one that was not in use of late. That one's
	// keys are expanded again at its next record, in about a microsecond.
	MaxExpanded int

	// KeyUpdatesPerMinute bounds the changes of keys that a client makes in a minute of [Engine.SetTime], and its
	// requests for renegotiation. One more ends the connection with [ErrFlood]. It is 1 at least.
	KeyUpdatesPerMinute int
}

// Engine holds the memory that the connections of one event loop share. It belongs to that loop's thread.
type Engine struct {
	opt        EngineOptions
	mem        scratch
	free       [len(bufferSizes)][][]byte
	allocated  int           // bytes of all buffers, free ones included
	expanded   []*Conn       // the connections that hold expanded keys, in a circle
	vacant     []uint32      // free places of expanded
	hand       int           // of a clock on expanded
	rekeyAfter uint64        // records under one key of ours before it is changed (TLS 1.3)
	now        time.Duration // see SetTime

	turns       turns
	idle        []*coroutine
	computing   *handshake // nil while none does
	closed      bool
	origin, own *current // the certificate in use, without and with our key log
}

// bufferSizes are the capacities of the buffers, in bytes. The last one holds the largest record there is: 5 bytes of
// header, 2^14 of content and the 2048 that RFC 5246 §6.2.3 allows protection to add.
var bufferSizes = [...]int{512, 2048, 8192, helloRoom}

// rekeyAfter is far below the limit of AES-GCM. RFC 8446 §5.5: «up to 2^24.5 full-size records (about 24 million) may
// be encrypted on a given connection».
const rekeyAfter = 1 << 22

// NewEngine returns the engine of one event loop.
func NewEngine(o EngineOptions) *Engine {
	if o.Certificates == nil || o.MaxInFlight < 1 || o.MaxFresh < 1<<16 || o.FirstFlight <= 0 || o.Timeout <= 0 ||
		o.MaxBuffered < 1<<16 || o.MaxExpanded < 1 || o.KeyUpdatesPerMinute < 1 {
		panic(fmt.Sprintf("BUG: bad EngineOptions: MaxInFlight %d, MaxFresh %d, FirstFlight %v, Timeout %v, "+
			"MaxBuffered %d, MaxExpanded %d, KeyUpdatesPerMinute %d", o.MaxInFlight, o.MaxFresh, o.FirstFlight, o.Timeout,
			o.MaxBuffered, o.MaxExpanded, o.KeyUpdatesPerMinute))
	}
	return &Engine{opt: o, rekeyAfter: rekeyAfter}
}

// SetLimits changes Timeout and KeyUpdatesPerMinute, also for the connections that are there.
func (e *Engine) SetLimits(timeout time.Duration, keyUpdatesPerMinute int) {
	if timeout <= 0 || keyUpdatesPerMinute < 1 {
		panic(fmt.Sprintf("BUG: bad limits: Timeout %v, KeyUpdatesPerMinute %d", timeout, keyUpdatesPerMinute))
	}
	e.opt.Timeout, e.opt.KeyUpdatesPerMinute = timeout, keyUpdatesPerMinute
}

// SetTime tells the engine the time, of any monotonic clock that is the same for all engines between which connections
// move. Handshakes measure their time with it, so it is called before each turn of the loop.
func (e *Engine) SetTime(now time.Duration) {
	e.now = now
	e.turns.age(now)
}

// Buffered returns the bytes of all buffers for records that arrived in part, those in reserve included.
func (e *Engine) Buffered() int { return e.allocated }

// classOf returns the smallest class of buffers that hold n bytes.
func classOf(n int) int {
	for class, size := range bufferSizes {
		if n <= size {
			return class
		}
	}
	panic(fmt.Sprintf("BUG: no record is %d bytes long", n))
}

// get returns an empty buffer with a capacity of at least n bytes, nil if the limit does not allow it. Buffers of other
// sizes in reserve make way for it.
func (e *Engine) get(n int) []byte {
	class := classOf(n)
	if free := e.free[class]; len(free) > 0 {
		last := len(free) - 1
		b := free[last]
		e.free[class] = free[:last]
		return b
	}
	for other := range e.free {
		for e.allocated+bufferSizes[class] > e.opt.MaxBuffered && len(e.free[other]) > 0 {
			last := len(e.free[other]) - 1
			e.free[other][last] = nil
			e.free[other] = e.free[other][:last]
			e.allocated -= bufferSizes[other]
		}
	}
	if e.allocated+bufferSizes[class] > e.opt.MaxBuffered {
		return nil
	}
	e.allocated += bufferSizes[class]
	return make([]byte, 0, bufferSizes[class])
}

// put takes back a buffer that get returned.
func (e *Engine) put(b []byte) {
	class := classOf(cap(b))
	e.free[class] = append(e.free[class], b[:0])
}

// expand makes sure that h, one half of c, has its key in expanded form.
func (e *Engine) expand(c *Conn, h *half) {
	c.used = true
	if h.aead != nil {
		return
	}
	h.aead = c.suite.aead(h.key[:c.suite.keyLen])
	if c.place == 0 {
		e.admit(c)
	}
}

// admit gives c a place among the connections with expanded keys: a free one, else the place of a connection that was
// not used since the clock's hand passed it last.
func (e *Engine) admit(c *Conn) {
	if n := len(e.vacant); n > 0 {
		c.place = e.vacant[n-1]
		e.vacant = e.vacant[:n-1]
		e.expanded[c.place-1] = c
		return
	}
	if len(e.expanded) < e.opt.MaxExpanded {
		e.expanded = append(e.expanded, c)
		c.place = uint32(len(e.expanded))
		return
	}
	for probes := 0; ; probes++ {
		if e.hand++; e.hand >= len(e.expanded) {
			e.hand = 0
		}
		old := e.expanded[e.hand]
		if !old.used || probes == maxProbes {
			break
		}
		old.used = false
	}
	old := e.expanded[e.hand]
	old.in.aead, old.out.aead, old.place = nil, nil, 0
	e.expanded[e.hand] = c
	c.place = uint32(e.hand + 1)
}

// maxProbes bounds the steps of the clock's hand in search of a place.
const maxProbes = 8

// dismiss takes the expanded keys and their place from a connection.
func (e *Engine) dismiss(c *Conn) {
	if c.place != 0 {
		e.expanded[c.place-1] = nil
		e.vacant = append(e.vacant, c.place)
	}
	c.in.aead, c.out.aead, c.place = nil, nil, 0
}
