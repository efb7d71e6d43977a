package load

// This file is the progress of a run: its phases, and the line that shows it.

import (
	"fmt"
	"strings"
	"time"

	"millrace/bench/plot"
	"millrace/bench/progress"
)

// Phase is a part of a run.
type Phase uint8

// The phases of a run, in their order.
const (
	PhaseRamp    Phase = iota // connections are opened, each announces for the first time
	PhaseWarmup               // full load, not measured
	PhaseMeasure              // full load, measured
	PhaseDrain                // messages under way arrive
	phases
)

var phaseNames = [phases]string{"ramp", "warm-up", "measuring", "draining"}

func (p Phase) String() string {
	if p < phases {
		return phaseNames[p]
	}
	return "unknown phase"
}

// Progress is the state of a run. It is delivered about once a second.
type Progress struct {
	Phase   Phase
	Elapsed time.Duration // since the start of the run
	Left    time.Duration // of the run, as planned; of the drain at most
	Open    int           // connections that are open now
	Counts  Counts        // since the start of the run
}

// left returns the time that the run has left, as planned, in a phase that ends by then. The ramp waits for connections
// that are slow to open, and the drain is mostly short: neither is counted before.
func (c *Config) left(p Phase, now, end time.Duration) time.Duration {
	left := max(end-now, 0)
	if p == PhaseRamp {
		left = max(seconds(c.Ramp)-now, 0) + seconds(c.Warmup)
	}
	if p < PhaseMeasure {
		left += seconds(c.Duration)
	}
	return left
}

// Messages returns the WebSocket messages of both directions.
func (c *Counts) Messages() uint64 {
	return c.Announces + c.Replies + c.AnswerReplies + c.Scrapes + c.ScrapeReplies + c.OffersReceived +
		c.AnswersSent + c.AnswersReceived + c.Failures + c.wrong()
}

// wrong returns the number of relayed messages that fail the run. A wrong message is not counted as received.
func (c *Counts) wrong() uint64 {
	return c.WrongTorrent + c.WrongSender + c.WrongReceiver + c.Altered + c.Own + c.Duplicate + c.Unknown + c.Unreadable
}

// Line returns the progress as one line of text without a line feed, with rates since an earlier Progress of the run:
// the zero value for the first one.
func (p *Progress) Line(before *Progress) string {
	seconds := (p.Elapsed - before.Elapsed).Seconds()
	rate := func(now, then uint64) string {
		if seconds <= 0 {
			return "0"
		}
		return count(float64(now-then) / seconds)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s %s, about %s left  %s open  %s messages/s  %s cycles/s", p.Phase, progress.Span(p.Elapsed),
		progress.Span(p.Left), count(float64(p.Open)), rate(p.Counts.Messages(), before.Counts.Messages()),
		rate(p.Counts.AnswersReceived, before.Counts.AnswersReceived))
	for _, trouble := range []struct {
		n    uint64
		what string
	}{
		{p.Counts.wrong(), "wrong"},
		{p.Counts.Failures, "failures"},
		{p.Counts.ConnectFailed, "not connected"},
		{p.Counts.Disconnected, "disconnected"},
	} {
		if trouble.n > 0 {
			fmt.Fprintf(&b, "  %s %s", count(float64(trouble.n)), trouble.what)
		}
	}
	return b.String()
}

// count writes a number for people, see plot.Grouped.
func count(v float64) string { return plot.Grouped(v) }
