package load

// This file is the conductor of a thread of clients: it waits for events, hands them on, and knows the phase of the
// run. open.go, send.go, receive.go and tls.go do the work.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"millrace/ring"
	"millrace/ring/host"
	"millrace/ring/pool"
)

// site is shared by all workers of a run. They change only its atomics.
type site struct {
	config    *Config
	books     *ledger
	clock     func() time.Duration // since the start of the run
	nodes     []node
	encrypted bool // all nodes have TLS
	plan      ring.Plan
	slow      []bool // clients that hardly read: slowClients has them, not the workers; nil: none
	workers   int

	plans atomic.Pointer[timeline] // nil during the ramp
	stop  atomic.Bool
}

// timeline says when the phases after the ramp begin, on the clock of the run.
type timeline struct {
	steady  time.Duration // all clients announce from here on
	measure time.Duration // announces due from here on are measured
	end     time.Duration // nothing is announced any more
}

// worker is a thread with a ring and every workers-th client.
type worker struct {
	*site
	number    int
	ring      *ring.Ring
	pool      *pool.Pool // bytes to be sent
	parts     *pool.Pool // frames that were received in part
	pace      ring.Pacer
	clients   []client
	bySlot    []uint32 // slot index to client
	owed      []uint32 // answers without a reply, by client and place of the torrent
	dirty     []uint32
	events    []ring.Event
	ops       []ring.Op
	random    *rand.Rand
	mask      uint64 // state of the masking keys
	scratch   []byte // one sdp
	plain     []byte // TLS: decrypted bytes
	secure    []*secure
	session   []*session
	resume    bool // new connections resume sessions
	remembers bool // sessions are kept, for now or later
	readied   []readyItem
	fragments map[uint32]fragments // messages of which fragments are missing, by client
	deflate   deflater

	schedule  *schedule
	ramped    int           // clients whose first opening was asked for
	reopen    []timer       // to be opened again, in the order of their times
	retry     []timer       // after a failure, in the order of their times
	leaves    timers        // ends of lives
	awaited   []timer       // when openings are given up, in the order of their times
	patience  []timer       // when leaving clients wait no longer, in the order of their times
	looked    time.Duration // when giveUp last looked for clients that wait for a lost reply
	opening   int           // connections being opened
	open      int           // connections that take part
	storms    int           // storms that have been
	scrapes   float64       // scrapes owed
	timeline  *timeline     // the worker's own copy of site.plans
	more      bool          // this turn could not do everything in time: the next one follows at once
	now       time.Duration
	lastHeard time.Duration // when something of interest arrived

	counts, atMeasure, atEnd Counts
	ran, ranMeasured         time.Duration // of the thread: at the start of the measurement, and within it
	measuring, ended         bool
	lost                     losses
	errors                   map[string]uint64
	replies, cycles, opens   *recorder
	series                   series
	between                  nodeTally

	ready  readyList
	mu     sync.Mutex
	public report
}

// losses are counts that explain others.
type losses struct {
	replies   uint64 // announces whose connection was gone before their reply
	failed    uint64 // announces that got a failure instead
	unsent    uint64 // answers not sent, because the tracker did not take the bytes before them
	unasked   uint64 // replies to nothing
	late      uint64 // LateSends
	abandoned uint64 // connections that could not be opened after several tries
	far       uint64 // messages that could not be read because they look back further than what is kept
}

// report is the state of a worker that it shows to the rest of the process now and then.
type report struct {
	counts  Counts
	lost    losses
	open    int
	settled bool          // every client has been opened or given up
	heard   time.Duration // when something last arrived
}

// Bounds of a worker.
const (
	maxOpening    = 1024                   // connections being opened at once
	maxPending    = 512 << 10              // bytes that wait to be sent on a connection
	maxFire       = 256                    // announces in one turn
	retryPause    = 200 * time.Millisecond // before a failed opening is tried again
	maxTries      = 20                     // openings of one client that may fail in a row
	leavePause    = 5 * time.Second        // for the tracker to close after the client has left
	replyPatience = time.Second            // for anything from the tracker, in a closed loop
	lookEvery     = 100 * time.Millisecond // for clients that have waited so long
	openTimeout   = 20 * time.Second       // for a connection to open
	lateFrom      = time.Millisecond       // announces sent later than that after they were due are counted
	publishEvery  = 100 * time.Millisecond
	batchWindow   = 250 * time.Microsecond // for events to gather when there are many
	idleWindow    = time.Millisecond       // for the second of two events when there are few
)

// newWorker makes a worker, without its ring, which belongs to its thread.
func newWorker(s *site, number int) *worker {
	n := (s.config.Connections - number + s.workers - 1) / s.workers
	seed := s.config.Seed + uint64(number)<<32
	w := &worker{
		site:      s,
		number:    number,
		clients:   make([]client, n),
		owed:      make([]uint32, n*s.books.places.perConnection),
		random:    rand.New(rand.NewPCG(seed, 0x776f726b6572)),
		mask:      seed | 1,
		scratch:   make([]byte, max(s.books.offer.size(), s.books.answer.size())),
		fragments: make(map[uint32]fragments),
		deflate:   deflater{keep: s.config.Window},
		errors:    make(map[string]uint64),
		replies:   newRecorder(),
		cycles:    newRecorder(),
		opens:     newRecorder(),
		series:    newSeries(s.config.longest()),
		resume:    s.config.Resume,
	}
	if s.encrypted {
		w.secure = make([]*secure, n)
		w.session = make([]*session, n)
		w.remembers = s.config.Resume
		for _, storm := range s.config.Storms {
			w.remembers = w.remembers || storm.Resume
		}
		w.plain = make([]byte, 64<<10)
	}
	var order []uint32
	for i := range w.clients {
		if !s.isSlow(w.global(uint32(i))) {
			order = append(order, uint32(i))
		}
	}
	w.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	w.schedule = newSchedule(order, number, s.workers, s.config.Connections, seconds(s.config.Interval))
	return w
}

func (s *site) isSlow(connection uint32) bool { return s.slow != nil && s.slow[connection] }

// seconds is a time of the configuration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// global returns the number of a client in the whole run.
func (w *worker) global(i uint32) uint32 { return i*uint32(w.workers) + uint32(w.number) }

// run is the worker's thread. It returns when the run is stopped, with all connections closed.
func (w *worker) run() (err error) {
	// It is never unlocked, so that the thread ends with the worker: the thread is pinned, and has the ring registered.
	// A thread may have no more than 16 registered rings (IORING_REGISTER_RING_FDS).
	runtime.LockOSThread()
	if cpus := w.config.CPUs; len(cpus) > 0 {
		if err := host.PinThread(cpus[w.number%len(cpus)]); err != nil {
			return err
		}
	}
	if w.ring, err = ring.OpenWithin(w.plan); err != nil {
		return fmt.Errorf("worker %d: %w", w.number, err)
	}
	w.pool = w.ring.Pool()
	w.ready.attach(w.ring.Waker())
	defer func() {
		for i := range w.secure {
			w.endTLS(uint32(i))
		}
		w.ready.attach(nil)
		if e := w.ring.Close(); err == nil {
			err = e
		}
	}()
	if w.parts, err = pool.Map(partsSize(len(w.clients))); err != nil {
		return err
	}
	defer w.parts.Unmap()
	w.bySlot = make([]uint32, w.plan.MaxConnections)
	var demand host.Demand
	demand.Open()
	defer demand.Close()
	w.pace = ring.Pacer{Window: batchWindow, Demand: demand.Read}
	for !w.stop.Load() {
		w.turn()
		w.events, err = w.ring.Wait(w.events[:0], w.window())
		w.now = w.clock()
		w.pace.Saw(len(w.events), w.now)
		if err != nil {
			return fmt.Errorf("worker %d: %w", w.number, err)
		}
	}
	w.publish()
	w.counts = w.weighed()
	return nil
}

// partsSize is the memory for incomplete frames, in bytes. Unused pages of it are never touched.
func partsSize(clients int) int { return min(max(clients*(32<<10), 32<<20), 512<<20) }

// turn handles the events of the last wait and all duties of this moment.
func (w *worker) turn() {
	w.phase()
	if w.now >= w.series.next {
		w.series.advance(w.now, w.tally())
	}
	for i := range w.events {
		w.handle(&w.events[i])
	}
	w.handshakes()
	w.more = false
	w.openDue()
	w.leaveDue()
	w.fire()
	w.giveUp()
	w.flush()
	w.weighEnding()
	w.ring.Submit(w.ops)
	clear(w.ops)
	w.ops = w.ops[:0]
}

// phase follows the timeline.
func (w *worker) phase() {
	if w.timeline == nil {
		if w.timeline = w.plans.Load(); w.timeline == nil {
			return
		}
		w.schedule.start = w.timeline.steady
		if w.config.Loop == "closed" {
			w.startClosed()
		}
	}
	if !w.measuring && w.now >= w.timeline.measure {
		w.measuring = true
		w.atMeasure = w.weighed()
		w.ran = threadRan()
	}
	if !w.ended && w.now >= w.timeline.end {
		w.ended = true
		w.atEnd = w.weighed()
		w.ranMeasured = threadRan() - w.ran
	}
	if s := w.config.Storms; w.storms < len(s) && w.now >= w.timeline.measure+seconds(s[w.storms].At) {
		w.resume = s[w.storms].Resume
		w.storms++
		w.storm()
	}
}

// measured reports whether an announce due at this time belongs to the measurement.
func (w *worker) measured(due time.Duration) bool {
	return w.timeline != nil && due >= w.timeline.measure && due < w.timeline.end
}

// announcing reports whether new announces are made.
func (w *worker) announcing() bool { return !w.ended }

// handle takes one event.
func (w *worker) handle(e *ring.Event) {
	switch e.Kind {
	case ring.EventConnect:
		w.onConnect(e)
	case ring.EventRecv:
		w.counts.BytesReceived += uint64(len(e.Data))
		w.onReceive(w.bySlot[e.Slot.Index], e.Data)
	case ring.EventSent:
		w.onSent(w.bySlot[e.Slot.Index], e)
	case ring.EventHangup:
		w.onHangup(w.bySlot[e.Slot.Index], e.Errno)
	case ring.EventClosed:
		w.onClosed(w.bySlot[e.Slot.Index])
	case ring.EventTick:
		w.publish()
	}
}

// window says how to wait for the next turn: until something is due, or events come. Many events are left to gather for
// a moment.
func (w *worker) window() ring.Window {
	if w.more {
		return ring.Window{}
	}
	left := w.nextDue() - w.clock()
	if left <= 0 {
		return ring.Window{}
	}
	if p := w.pace.Next(); p.Min > 1 {
		return ring.Window{Min: p.Min, Max: min(p.Max, left)}
	}
	if left > w.plan.LongestTick() {
		return ring.Window{Min: 1}
	}
	return ring.Window{Min: 2, Max: min(left, idleWindow)}
}

// nextDue returns the time at which the worker must act even if nothing happens.
func (w *worker) nextDue() time.Duration {
	due := time.Duration(math.MaxInt64)
	if w.opening < maxOpening {
		if w.ramped < len(w.clients) {
			due = min(due, w.rampTime(w.ramped))
		}
		for _, queue := range [][]timer{w.reopen, w.retry} {
			if len(queue) > 0 {
				due = min(due, queue[0].at)
			}
		}
	}
	if len(w.leaves) > 0 && !w.ended {
		due = min(due, w.leaves[0].at)
	}
	if w.timeline == nil || w.ended {
		return due
	}
	if w.config.Loop != "closed" && !w.config.OnlyOnce && len(w.schedule.order) > 0 {
		due = min(due, w.schedule.next())
	}
	if w.now < w.timeline.measure {
		due = min(due, w.timeline.measure)
	}
	if s := w.config.Storms; w.storms < len(s) {
		due = min(due, w.timeline.measure+seconds(s[w.storms].At))
	}
	return min(due, w.timeline.end)
}

// publish shows the worker's state to the rest of the process.
func (w *worker) publish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	settled := w.ramped == len(w.clients) && w.opening == 0 && len(w.reopen) == 0 && len(w.retry) == 0
	w.public = report{counts: w.counts, lost: w.lost, open: w.open, settled: settled, heard: w.lastHeard}
}

// last returns the report that the worker published last.
func (w *worker) last() report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.public
}

// maxErrorText bounds the text of a kind of error, in bytes.
const maxErrorText = 100

// trouble counts an error by its kind. Beyond maxErrorKinds kinds they are counted together.
func (w *worker) trouble(kind string) {
	if len(kind) > maxErrorText {
		kind = kind[:maxErrorText] + "…"
	}
	if _, known := w.errors[kind]; !known && len(w.errors) >= maxErrorKinds-1 {
		kind = "other"
	}
	w.errors[kind]++
}
