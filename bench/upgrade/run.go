package main

// This file owns a run: a tracker under load while things happen to it, and the judgement about both.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"millrace/bench/load"
)

// Shards of the processes: the first and the last one have as many, since their memory is compared.
var shardsInTurn = []int{1, 3, 2}

const firstShards = 2

// What a run may cost.
const (
	longestGap   = time.Second // of announce and reply, and of the time in which nobody is served
	memoryGrowth = 1.25        // of the last process to the first
	memoryRoom   = 24 << 20    // and bytes beside that
)

// outcome is what a run has shown.
type outcome struct {
	Transport string   `json:"transport"`
	What      string   `json:"what"`
	Steps     []step   `json:"steps"`
	Gap       int      `json:"longest_gap_ms"` // between the time at which an announce was due and its reply
	Announces uint64   `json:"announces"`
	Offers    uint64   `json:"offers"`
	Answers   uint64   `json:"answers"`
	Memory    [2]int   `json:"memory_bytes"` // of the first process and of the last one
	Problems  []string `json:"problems"`
}

// step is a hand-over, or one that failed.
type step struct {
	Name string `json:"name"`
	handOver
	Why string `json:"why"` // what the log says where it failed
}

// report adds a problem.
func (o *outcome) report(format string, args ...any) {
	o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
}

// session is a run that is under way.
type session struct {
	*harness
	tracker  *tracker
	out      *outcome
	progress chan load.Progress // the last word of the load tester
	done     chan struct{}      // closed when the load has ended, and result and err are set
	result   load.Result
	err      error
}

// run starts a tracker and a load, has things happen to the tracker, and judges. The events take about so long.
func (h *harness) run(ctx context.Context, secure bool, what string, takes time.Duration, events func(*session) error) (*outcome, error) {
	dir, err := os.MkdirTemp("", "millrace-upgrade")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the tracker: %w", err)
	}
	defer os.RemoveAll(dir)
	t, err := startTracker(h.binary, dir, secure, firstShards, "")
	if err != nil {
		return nil, err
	}
	defer t.stop()
	s := &session{harness: h, tracker: t, out: &outcome{Transport: transport(secure), What: what}, progress: make(chan load.Progress, 1),
		done: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := s.begin(ctx, takes); err != nil {
		return nil, err
	}
	err = s.watch(events)
	if err != nil {
		cancel() // the load ends early
	}
	<-s.done
	if err = errors.Join(err, s.err); err != nil {
		return nil, fmt.Errorf("%w\nThe log ends with:\n%s", err, t.log.tail())
	}
	s.judge()
	return s.out, t.end()
}

// begin starts the load.
func (s *session) begin(ctx context.Context, takes time.Duration) error {
	c, err := load.Default("light")
	if err != nil {
		return err
	}
	c.Scale(float64(s.connections) / float64(c.Connections))
	c.URL, c.Ramp, c.Warmup = s.tracker.url(), s.ramp.Seconds(), s.settle.Seconds()
	if s.patient() {
		c.MetricsURL = "http://" + s.tracker.metrics + "/metrics"
	}
	c.Duration = (takes + s.settle + 5*time.Second).Seconds()
	go func() {
		defer close(s.done)
		s.result, s.err = load.Run(ctx, c, func(p load.Progress) {
			select { // the last word takes the place of one that nobody has read
			case <-s.progress:
			default:
			}
			s.progress <- p
		})
	}()
	return nil
}

// patient reports whether clients may have to wait for long. They send meanwhile, and the tracker drops what it cannot keep of that: then
// each message must come or be counted as dropped.
func (s *session) patient() bool { return s.gap > longestGap }

// until waits until the load tester has measured for so long, and returns how long that really is.
func (s *session) until(ok func(p *load.Progress) bool) (p load.Progress, err error) {
	for {
		select {
		case p = <-s.progress:
			if ok(&p) {
				return p, nil
			}
			if p.Phase == load.PhaseDrain {
				return p, errors.New("the load has ended before the hand-overs: raise -seconds")
			}
		case <-s.done:
			return p, errors.Join(s.err, errors.New("the load has ended before the hand-overs: raise -seconds"))
		}
	}
}

// watch has the events happen while the load tester measures. The memory of the first process is that at the end of the warm-up; that
// of the last one is after as much time with all its clients.
func (s *session) watch(events func(*session) error) error {
	p, err := s.until(func(p *load.Progress) bool { return p.Phase == load.PhaseMeasure })
	if err != nil {
		return err
	}
	s.out.Memory[0] = s.tracker.resident()
	if err := events(s); err != nil {
		return err
	}
	over := s.clock()
	if p, err = s.until(func(p *load.Progress) bool { return p.Elapsed >= over+s.settle }); err == nil && p.Phase != load.PhaseMeasure {
		err = errors.New("the load has ended before the hand-overs: raise -seconds")
	}
	s.out.Memory[1] = s.tracker.resident()
	return err
}

// clock returns the time since the start of the load, at its next word.
func (s *session) clock() time.Duration {
	p, _ := s.until(func(*load.Progress) bool { return true }) // the next call says what is wrong
	return p.Elapsed
}

// handOvers hands over so many times, and looks at what each has carried.
func (s *session) handOvers(n int) error {
	for k := range n {
		shards := shardsInTurn[k%len(shardsInTurn)]
		if k == n-1 {
			shards = firstShards
		}
		name := fmt.Sprint(k + 1)
		if s.other != "" {
			program := [2]string{s.other, s.binary}[k%2]
			name += ", to " + program
			if err := s.tracker.install(program); err != nil {
				return err
			}
		}
		if err := s.handOver(name, shards); err != nil {
			return err
		}
	}
	return nil
}

// handOver hands over once.
func (s *session) handOver(name string, shards int) error {
	before, err := s.tracker.scrape()
	if err != nil {
		return err
	}
	done, err := s.tracker.handOver(shards)
	if err != nil {
		return fmt.Errorf("hand-over %s: %w", name, err)
	}
	after, err := s.tracker.scrape()
	if err != nil {
		return err
	}
	for _, what := range after.wentBack(before) {
		s.out.report("hand-over %s: %s", name, what)
	}
	done.Refused = int(after.sum("millrace_requests_overloaded_total") - before.sum("millrace_requests_overloaded_total"))
	s.out.Steps = append(s.out.Steps, step{Name: name, handOver: done})
	s.say(name)
	if done.Connections != s.connections || done.Peers != s.connections || done.Lost != 0 {
		s.out.report("hand-over %s: %d connections and %d peers went over and %d got lost, of %d each", name, done.Connections, done.Peers,
			done.Lost, s.connections)
	}
	if gap := time.Duration(done.Frozen) * time.Millisecond; gap >= longestGap {
		s.out.report("hand-over %s: nobody was served for %v, but at most %v is right", name, gap, longestGap)
	}
	return nil
}

// failures has a hand-over fail in each way, by a successor that is none, and then one succeed.
func (s *session) failures(ways []string) error {
	for _, way := range ways {
		if err := s.fail(way); err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
	}
	if err := s.tracker.install(s.binary); err != nil {
		return err
	}
	return s.handOver("after all that", firstShards)
}

// fail has a hand-over fail in a way: a step and a deed, as fakeheir reads them.
func (s *session) fail(way string) error {
	if err := os.WriteFile(filepath.Join(s.tracker.dir, "fakeheir"), []byte(way), 0o600); err != nil {
		return err
	}
	if err := s.tracker.install(s.heir); err != nil {
		return err
	}
	before, err := s.tracker.scrape()
	if err != nil {
		return err
	}
	line, err := s.tracker.failToHandOver()
	if err != nil {
		return err
	}
	after, err := s.tracker.scrape()
	if err != nil {
		return err
	}
	for _, what := range after.wentBack(before) {
		s.out.report("%s: %s", way, what)
	}
	why := field(line, "error")
	if why == "" {
		s.out.report("%s: the log does not say why: %s", way, line)
	}
	s.out.Steps = append(s.out.Steps, step{Name: way, Why: why})
	s.say(way)
	return nil
}

// say says on stderr how far the run is.
func (s *session) say(name string) {
	fmt.Fprintf(s.stderr, "%s, %s: %s done\n", s.out.Transport, s.out.What, name)
}

// judge looks at what the clients have seen, and at the memory.
func (s *session) judge() {
	r, n := &s.result, &s.result.Counts
	s.out.Gap = int(r.Latency.Reply.Max / 1000)
	s.out.Announces, s.out.Offers, s.out.Answers = n.Announces, n.OffersReceived, n.AnswersReceived
	s.out.Problems = append(s.out.Problems, r.Problems...)
	for _, e := range r.Errors {
		s.out.report("%d times: %s", e.Count, e.Kind)
	}
	all := n.OffersReceived == n.OffersExpected && n.AnswersReceived == n.AnswersSent
	if !all && !s.patient() || n.Replies != n.Announces || n.Late > 0 {
		s.out.report("%d of %d replies, %d of %d offers and %d of %d answers came; %d announces were left out", n.Replies, n.Announces,
			n.OffersReceived, n.OffersExpected, n.AnswersReceived, n.AnswersSent, n.Late)
	}
	if gap := time.Duration(r.Latency.Reply.Max) * time.Microsecond; gap >= s.gap {
		s.out.report("a client waited for %v for the reply to an announce, but at most %v is right", gap, s.gap)
	}
	if m := s.out.Memory; float64(m[1]) > memoryGrowth*float64(m[0])+memoryRoom {
		s.out.report("the last process has %d MiB of memory, the first had %d MiB", m[1]>>20, m[0]>>20)
	}
}

// table prints what a run has shown.
func (o *outcome) table(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %s: %d announces, %d offers and %d answers were relayed; the longest gap between an announce and its reply was %d ms\n",
		o.Transport, o.What, o.Announces, o.Offers, o.Answers, o.Gap)
	fmt.Fprintf(w, "memory of the first process %d MiB, of the last %d MiB, each after the same time with all clients\n\n", o.Memory[0]>>20, o.Memory[1]>>20)
	fmt.Fprintf(w, "| hand-over | shards | connections | peers | nobody_served_ms | took_ms | refused | the log says |\n|---|---:|---:|---:|---:|---:|---:|---|\n")
	for _, k := range o.Steps {
		if k.Why != "" {
			fmt.Fprintf(w, "| %s | | | | | | | %s |\n", k.Name, k.Why)
			continue
		}
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | |\n", k.Name, k.Shards, k.Connections, k.Peers, k.Frozen, k.Took, k.Refused)
	}
	for _, p := range o.Problems {
		fmt.Fprintf(w, "- PROBLEM: %s\n", p)
	}
}
