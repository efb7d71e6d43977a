package tlsconn

import "fmt"

// Handle is the caller's name of a connection. It is given back as it was and means nothing here.
type Handle uint64

// EngineOptions are the limits of one event loop's connections.
type EngineOptions struct {
	// Notify is called from a helper goroutine when the connection has output for [Conn.Drain] or its handshake has
	// ended. It must not block: it queues the handle and wakes the event loop. It may be called for a connection that has
	// been closed meanwhile, and several times for one reason.
	Notify func(Handle)

	// MaxBuffered bounds the bytes of all buffers for records that have arrived in part, 64 KiB at least. Where they are
	// used up, a connection that needs one fails with [ErrNoMemory].
	MaxBuffered int

	// MaxExpanded is how many connections may hold their expanded keys, 1 at least. They take 1.5 KB for each connection
	// with AES-GCM; a connection beyond that number takes over the place of one that was not in use of late, whose keys are
	// expanded again, in about a microsecond, when it is.
	MaxExpanded int
}

// Engine is what the connections of one event loop share: buffers for partial records and the places for expanded keys.
// All of it belongs to that loop's thread.
type Engine struct {
	pool       *Pool
	opt        EngineOptions
	mem        scratch
	free       [len(bufferSizes)][][]byte
	allocated  int      // bytes of all buffers, free ones included
	expanded   []*Conn  // a clock of the connections that hold expanded keys
	vacant     []uint32 // places of expanded that connections which ended have left
	hand       int
	rekeyAfter uint64 // records under one key of ours before it is changed (TLS 1.3)
}

// bufferSizes are the capacities of the buffers for partial records. The last one holds the largest record there is:
// 5 bytes of header, 2^14 of content and the 2048 that RFC 5246 §6.2.3 allows to be added.
var bufferSizes = [...]int{512, 2048, 8192, headerLen + maxPlaintext + 2048}

// rekeyAfter is far below what RFC 8446 §5.5 allows for AES-GCM: «up to 2^24.5 full-size records (about 24 million) may be
// encrypted on a given connection».
const rekeyAfter = 1 << 22

// NewEngine returns the shared state of one event loop's connections, whose handshakes run in p.
func NewEngine(p *Pool, o EngineOptions) *Engine {
	if o.Notify == nil || o.MaxBuffered < 1<<16 || o.MaxExpanded < 1 {
		panic(fmt.Sprintf("BUG: bad EngineOptions: MaxBuffered %d, MaxExpanded %d", o.MaxBuffered, o.MaxExpanded))
	}
	return &Engine{pool: p, opt: o, rekeyAfter: rekeyAfter}
}

// Buffered returns how many bytes of buffers for partial records are allocated, those in reserve included.
func (e *Engine) Buffered() int { return e.allocated }

// classOf returns the smallest class of buffers with n bytes.
func classOf(n int) int {
	for class, size := range bufferSizes {
		if n <= size {
			return class
		}
	}
	panic(fmt.Sprintf("BUG: no record is %d bytes long", n))
}

// get returns an empty buffer with a capacity of at least n bytes, nil if the limit does not allow it.
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

// expand makes sure that h, a half of c, has its key in expanded form.
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

// admit gives c a place among the connections with expanded keys: a new one, else that of a connection that has not been
// used since the clock's hand passed last.
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

// maxProbes bounds how far the clock's hand goes to find a place.
const maxProbes = 8

// dismiss takes the expanded keys from a connection that ends.
func (e *Engine) dismiss(c *Conn) {
	if c.place != 0 {
		e.expanded[c.place-1] = nil
		e.vacant = append(e.vacant, c.place)
	}
	c.in.aead, c.out.aead, c.place = nil, nil, 0
}
