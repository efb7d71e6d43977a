package server

import (
	"sync"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/shard"
)

// This file owns the memory of the last minutes, from which the state of the tracker is told: rates, and trouble that has been
// counted lately.

// moment is what is remembered of a moment. Its counters only grow.
type moment struct {
	at     time.Duration // on the clock of the loops
	needed []time.Duration
	total  shard.Stats

	refused, logLost uint64 // connections of addresses that have enough; lines of the log
}

// recentMoments is how many moments are kept, one for each watchPeriod: five minutes.
const recentMoments = int(5*time.Minute/watchPeriod) + 1

// recent keeps the moments of the last minutes.
type recent struct {
	mu  sync.Mutex
	all []moment // oldest first
}

// add adds a moment that is newer than the others.
func (r *recent) add(m moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == recentMoments {
		copy(r.all, r.all[1:])
		r.all = r.all[:recentMoments-1]
	}
	r.all = append(r.all, m)
}

// leastSpan is the time between two moments below which they say nothing about a rate: the start of the tracker, or one burst,
// would be all of it.
const leastSpan = time.Second

// before returns the oldest moment, and the newest that is leastSpan or more before a time; the oldest where there is none.
func (r *recent) before(now time.Duration) (oldest, newest moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return moment{}, moment{}
	}
	k := len(r.all) - 1
	for k > 0 && now-r.all[k].at < leastSpan {
		k--
	}
	return r.all[0], r.all[k]
}

// moment returns this moment.
func (s *Server) moment() moment {
	m := moment{at: s.clock(), logLost: s.process.Lost()}
	for _, c := range s.controls {
		last := c.Last()
		m.total.Add(&last.Shard)
		m.needed = append(m.needed, last.Loop.Needed)
	}
	if s.addresses != nil {
		m.refused = s.addresses.Refusals()
	}
	return m
}

// rates returns the rates from one moment to another; none if they are too close.
func rates(from, to *moment) (r ctl.Rates) {
	if to.at-from.at < leastSpan {
		return r
	}
	seconds := (to.at - from.at).Seconds()
	a, b := sampleOf(&from.total), sampleOf(&to.total)
	per := func(a, b uint64) float64 { return float64(b-a) / seconds }
	return ctl.Rates{
		Announces: per(a.Announces, b.Announces), Offers: per(a.Offers, b.Offers), Answers: per(a.Answers, b.Answers),
		Received: per(from.total.Messages.BytesIn, to.total.Messages.BytesIn), Sent: per(a.SentByte, b.SentByte),
	}
}

// cpu returns the share of a CPU that a shard needed; 0 if the moments are too close.
func cpu(from, to *moment, shard int) float64 {
	if shard >= len(from.needed) || to.at-from.at < leastSpan {
		return 0
	}
	return float64(to.needed[shard]-from.needed[shard]) / float64(to.at-from.at)
}

// late returns the share of replies that came after more than a time.
func late(from, to *moment, after time.Duration) float64 {
	grown := func(m *moment) (all, over uint64) { return m.total.Messages.Replies.Over(after) }
	allBefore, overBefore := grown(from)
	all, over := grown(to)
	if all == allBefore {
		return 0
	}
	return float64(over-overBefore) / float64(all-allBefore)
}
