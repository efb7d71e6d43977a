package load

// This file takes a run through its phases: it prepares the machine, starts the workers, watches them and stops them.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"millrace/ring"
	"millrace/ring/host"
)

// Run puts a load on a tracker and returns the result. progress, which may be nil, is called about once a second by one
// goroutine. When ctx ends, the run ends, and the result holds everything until then. An error means that the load
// could not be put on at all; the tracker's mistakes are in [Result.Problems].
//
// Each worker is a thread that waits in the kernel without giving its P back (see package ring), so Run raises
// GOMAXPROCS to the number of workers and one more. A process with further rings must raise it further.
func Run(ctx context.Context, cfg Config, progress func(Progress)) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, err
	}
	r, err := prepare(ctx, &cfg)
	if err != nil {
		return Result{}, err
	}
	if least := r.site.workers + 1; runtime.GOMAXPROCS(0) < least {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(least))
	}
	r.progress = progress
	r.start()
	err = r.follow(ctx)
	if e := r.finish(); err == nil {
		err = e
	}
	if err != nil {
		return Result{}, err
	}
	return r.result(ctx), nil
}

// run is one run: the workers and their watch.
type run struct {
	config   *Config
	site     *site
	workers  []*worker
	slow     slowClients
	started  time.Time
	progress func(Progress)
	reported time.Duration
	failed   chan error // of a worker, when it ends
	endSlow  context.CancelFunc

	server         *processSampler
	self           [2]time.Duration // CPU time of this process at the begin and end of the measurement
	pageBefore     page             // of the tracker's counters
	usage          usage            // of both processes over the run
	measured       [2]time.Duration // begin and end of the measurement, as they were
	ended          time.Duration    // when no worker ran any more
	openAtEnd      int
	settledInTime  bool
	drainedInTime  bool
	serverTroubles []string
}

// prepare checks the limits of this machine and takes the figures of the empty tracker.
func prepare(ctx context.Context, cfg *Config) (*run, error) {
	s := &site{config: cfg, workers: max(cfg.Workers, 1)}
	if err := s.locate(ctx); err != nil {
		return nil, err
	}
	const descriptorsKept = 64 // standard streams, rings, files of /proc
	if limit := host.RaiseFileLimit(); limit > 0 && limit < uint64(cfg.Connections)+descriptorsKept {
		return nil, fmt.Errorf("%d connections need %d file descriptors, but the limit is %d: raise it with "+
			"ulimit -n, or the line \"* - nofile %d\" in /etc/security/limits.conf and a new login",
			cfg.Connections, cfg.Connections+descriptorsKept, limit, cfg.Connections+descriptorsKept)
	}
	var err error
	if s.plan, err = choosePlan(cfg, s.workers); err != nil {
		return nil, err
	}
	r := &run{config: cfg, site: s, slow: slowClients{site: s}, failed: make(chan error, s.workers)}
	if r.server, err = newProcessSampler(cfg.ServerPID); err != nil {
		return nil, err
	}
	if r.pageBefore, err = readPages(ctx, cfg.metricsURLs()); err != nil {
		return nil, err
	}
	s.books = newLedger(cfg)
	if s.slow, err = chooseSlow(cfg, s.books.who); err != nil {
		return nil, err
	}
	for number := range s.workers {
		r.workers = append(r.workers, newWorker(s, number))
	}
	return r, nil
}

// choosePlan decides the sizes of the workers' rings. Workers wait with a timeout until the next announce is due.
// min_wait is of no use for that: it waits on if nothing has come.
func choosePlan(cfg *Config, workers int) (ring.Plan, error) {
	features := ring.Probe()
	if features.IOUring.Outcome != ring.Available {
		return ring.Plan{}, errors.New(features.IOUring.Reason)
	}
	const least, most = 8 << 20, 256 << 20
	clients := (cfg.Connections + workers - 1) / workers
	burst := 2 * clients * frameSize(AnnounceLayout(cfg.Offers, cfg.OfferBytes()).Size)
	plan, err := ring.Choose(features, ring.Options{
		Entries:           4096,
		ReceiveBuffers:    2048,
		ReceiveBufferSize: 8192,
		SendMemory:        min(max(burst, least), most),
		MaxConnections:    clients + maxOpening,
		Tick:              publishEvery,
		MaxBatchDelay:     idleWindow,
		Outgoing:          true,
		Want:              ring.Want{ring.TimedWait: ring.Require, ring.MinWait: ring.Off}, // timers are due between ticks
	})
	if err != nil {
		return plan, err
	}
	if soft, unlimited := host.MemlockLimit(); !unlimited {
		plan, _, err = ring.FitProcess(plan, soft, workers)
	}
	return plan, err
}

// start starts the workers and the clients that hardly read.
func (r *run) start() {
	r.started = time.Now()
	started := r.started
	r.site.clock = func() time.Duration { return time.Since(started) }
	r.observe()
	for _, w := range r.workers {
		go func() { r.failed <- w.run() }()
	}
	var ctx context.Context
	ctx, r.endSlow = context.WithCancel(context.Background())
	r.slow.start(ctx)
}

// followEvery is how often the run looks at its workers.
const followEvery = 20 * time.Millisecond

// errWorkerEnded says that a worker has ended before it was told to.
var errWorkerEnded = errors.New("a worker of the load tester has ended before the run")

// follow takes the run through its phases.
func (r *run) follow(ctx context.Context) error {
	settled := func() bool { return r.all(func(p *report) bool { return p.settled }) }
	opening := seconds(r.config.Ramp) + openTimeout
	ok, err := r.until(ctx, PhaseRamp, opening, func(now time.Duration) bool {
		return now >= seconds(r.config.Ramp) && settled() || r.unreachable()
	})
	r.settledInTime = ok
	if err != nil || ctx.Err() != nil || r.unreachable() {
		return err
	}
	now := r.site.clock()
	plan := &timeline{steady: now, measure: now + seconds(r.config.Warmup)}
	plan.end = plan.measure + seconds(r.config.Duration)
	r.announcePlan(plan)
	if _, err = r.until(ctx, PhaseWarmup, plan.measure-now, nil); err != nil || ctx.Err() != nil {
		return err
	}
	r.note(r.server.begin())
	r.self[0] = ownTime()
	r.measured[0] = r.site.clock()
	r.measured[1] = r.measured[0]
	_, err = r.until(ctx, PhaseMeasure, plan.end-r.measured[0], nil)
	r.measured[1] = r.site.clock()
	r.self[1] = ownTime()
	r.note(r.server.end())
	r.openAtEnd = r.sum().open
	if err != nil || ctx.Err() != nil {
		return err
	}
	quietSince := r.site.clock()
	r.drainedInTime, err = r.until(ctx, PhaseDrain, seconds(r.config.Drain), func(now time.Duration) bool {
		return r.drained(now, max(quietSince, plan.end))
	})
	return err
}

// announcePlan tells the workers when the phases begin. They are woken for it: a worker that has nothing to do else looks
// only after some ticks, and its first announces would be late by as much.
func (r *run) announcePlan(plan *timeline) {
	r.site.books.steady.Store(int64(plan.steady))
	r.site.plans.Store(plan)
	for _, w := range r.workers {
		w.wake()
	}
}

// unreachable reports whether a client has given up while no other one could connect: the run is useless.
func (r *run) unreachable() bool {
	s := r.sum()
	return s.counts.Connected == 0 && s.lost.abandoned > 0
}

// note keeps an error of the tracker's figures, once.
func (r *run) note(err error) {
	if err != nil && !slices.Contains(r.serverTroubles, err.Error()) {
		r.serverTroubles = append(r.serverTroubles, err.Error())
	}
}

// observe reads what both processes use.
func (r *run) observe() {
	r.note(r.server.observe())
	s := r.server.latest()
	r.usage.add(reading{r.site.clock(), s.cpu, ownTime(), s.rss})
}

// until watches the run until done is true, or the time is over: then it returns false. A nil done is never true.
func (r *run) until(ctx context.Context, p Phase, atMost time.Duration, done func(now time.Duration) bool) (
	bool, error,
) {
	end := r.site.clock() + atMost
	for {
		now := r.site.clock()
		if now/time.Second > r.reported/time.Second { // at whole seconds, as the intervals of the series
			r.reported = now
			r.observe()
			if r.progress != nil {
				s := r.sum()
				left := r.config.left(p, now, end)
				r.progress(Progress{Phase: p, Elapsed: now, Left: left, Open: s.open, Counts: s.counts})
			}
		}
		if done != nil && done(now) {
			return true, nil
		}
		if now >= end {
			return false, nil
		}
		timer := time.NewTimer(min(followEvery, end-now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, nil
		case err := <-r.failed:
			timer.Stop()
			r.failed <- err
			if err == nil {
				err = errWorkerEnded
			}
			return false, err
		case <-timer.C:
		}
	}
}

// all reports whether the last report of every worker has a property.
func (r *run) all(is func(*report) bool) bool {
	for _, w := range r.workers {
		if p := w.last(); !is(&p) {
			return false
		}
	}
	return true
}

// sum adds up the last reports of the workers.
func (r *run) sum() (s report) {
	for _, w := range r.workers {
		p := w.last()
		s.counts.add(&p.counts)
		s.lost.add(&p.lost)
		s.open += p.open
		s.heard = max(s.heard, p.heard)
	}
	return s
}

// After this much silence missing messages are taken for lost. Of several nodes offers may have come that were not
// expected, and hide others that are under way: so a shorter silence must follow even if all messages seem to have come.
const (
	silence      = 2 * time.Second
	shortSilence = 500 * time.Millisecond
)

// drained reports whether all expected messages have come, or nothing comes any more. The workers' reports may be
// publishEvery old.
func (r *run) drained(now, since time.Duration) bool {
	if now < since+2*publishEvery {
		return false
	}
	s := r.sum()
	n := &s.counts
	quiet := now - max(s.heard, since)
	if n.OffersReceived >= n.OffersExpected && n.AnswersReceived >= n.AnswersSent &&
		n.Replies+s.lost.replies+s.lost.failed >= n.Announces {
		return r.site.books.nodes < 2 || quiet >= shortSilence
	}
	return quiet >= silence
}

// finish stops the workers and waits for them.
func (r *run) finish() error {
	r.endSlow()
	r.site.stop.Store(true)
	for _, w := range r.workers {
		w.wake()
	}
	var first error
	for range r.workers {
		if err := <-r.failed; first == nil {
			first = err
		}
	}
	r.slow.wg.Wait()
	r.ended = r.site.clock()
	r.observe()
	return first
}
