package load

// This file is the run as a time series: what each worker sees in each second, without a lock, an allocation or a system
// call on the path of a message. The series of the workers are put together when all of them have ended.

import (
	"slices"
	"time"
)

// maxIntervals bounds the entries of Result.Series, and so the memory of a worker, which has 11 KB for each. A run that
// is longer has fewer and longer intervals: when all are used up, neighbours are merged, which takes a worker about a
// millisecond, for the first time after ten minutes. It is even, so that each interval has a neighbour.
const maxIntervals = 600

// intervalLength is that of the first intervals.
const intervalLength = time.Second

// tally is what a worker has counted since the start of the run.
type tally struct {
	counts Counts
	open   int // connections, at the moment
}

// bucket is what a worker saw in an interval.
type bucket struct {
	replies, cycles bins // by the time at which their announce was due
	atEnd           tally
}

// series is what a worker saw, interval by interval. It belongs to the worker's thread until that has ended.
type series struct {
	width   time.Duration // of an interval
	buckets []bucket
	at      int           // that of the interval under way
	next    time.Duration // its end
}

// newSeries returns the series of a run that takes so long.
func newSeries(planned time.Duration) series {
	n := int(min(planned/intervalLength+2, maxIntervals))
	return series{width: intervalLength, buckets: make([]bucket, n+n%2), next: intervalLength}
}

// longest is the most time that a run is planned to take.
func (c *Config) longest() time.Duration {
	return seconds(c.Ramp+c.Warmup+c.Duration+c.Drain) + openTimeout
}

// advance goes on to the interval of this moment. It is to be called when the end of the one under way has come.
func (s *series) advance(now time.Duration, t tally) {
	for now >= s.next {
		s.buckets[s.at].atEnd = t
		if s.at++; s.at == len(s.buckets) {
			s.fold()
		}
		s.next = s.width * time.Duration(s.at+1)
	}
}

// fold merges neighbours.
func (s *series) fold() {
	for k := range len(s.buckets) / 2 {
		a, b := &s.buckets[2*k], &s.buckets[2*k+1]
		a.replies.merge(&b.replies)
		a.cycles.merge(&b.cycles)
		if a.atEnd = b.atEnd; k > 0 {
			s.buckets[k] = *a
		}
	}
	clear(s.buckets[len(s.buckets)/2:])
	s.at /= 2
	s.width *= 2
}

// due returns the interval in which an announce was due.
func (s *series) due(at time.Duration) *bucket { return &s.buckets[min(int(at/s.width), s.at)] }

// tally returns the worker's counts at this moment.
func (w *worker) tally() tally { return tally{w.counts, w.open} }

// errors returns how many messages were wrong, and requests and connections failed.
func (c *Counts) errors() uint64 {
	return c.wrong() + c.WrongSize + c.Failures + c.ConnectFailed + c.Disconnected
}

// series puts the series of the workers together. They have ended, and all of them before the given time.
func (r *run) series(end time.Duration) (all []Interval) {
	for _, w := range r.workers {
		w.series.advance(end, w.tally())
		w.series.buckets[w.series.at].atEnd = w.tally()
	}
	width := r.workers[0].series.width // that of all: it follows from the time alone
	before := tally{}
	for k := range r.workers[0].series.at + 1 {
		sum := bucket{}
		for _, w := range r.workers {
			b := &w.series.buckets[k]
			sum.replies.merge(&b.replies)
			sum.cycles.merge(&b.cycles)
			sum.atEnd.counts.add(&b.atEnd.counts)
			sum.atEnd.open += b.atEnd.open
		}
		from := width * time.Duration(k)
		to := min(from+width, end)
		i := sum.interval(&before)
		i.From, i.Length = from.Seconds(), (to - from).Seconds()
		r.usage.fill(&i, from, to)
		all = append(all, i)
		before = sum.atEnd
	}
	return all
}

// interval returns the messages since the tally before, and the latencies.
func (b *bucket) interval(before *tally) Interval {
	n := b.atEnd.counts
	n.subtract(&before.counts)
	return Interval{
		Announces: n.Announces, Replies: n.Replies, Offers: n.OffersReceived, Answers: n.AnswersReceived,
		Connected: n.Connected, Errors: n.errors(), Open: b.atEnd.open,
		Reply: b.replies.quantiles(), Answer: b.cycles.quantiles(),
	}
}

// reading is the use of both processes at a moment.
type reading struct {
	at             time.Duration
	server, client time.Duration // CPU time
	rss            uint64        // of the server
}

// usage are readings, about one a second, in the order of their times.
type usage []reading

// add adds a reading. When there are too many, every second one goes: CPU times are sums, so nothing of them is lost.
func (u *usage) add(r reading) {
	*u = append(*u, r)
	if len(*u) <= 2*maxIntervals {
		return
	}
	kept := (*u)[:0]
	for pair := range slices.Chunk(*u, 2) {
		first := pair[0]
		first.rss = max(first.rss, pair[len(pair)-1].rss)
		kept = append(kept, first)
	}
	*u = kept
}

// at returns the use at a moment, between two readings in proportion.
func (u usage) at(t time.Duration) reading {
	k := slices.IndexFunc(u, func(r reading) bool { return r.at >= t })
	switch {
	case len(u) == 0:
		return reading{}
	case k == 0:
		return u[0]
	case k < 0:
		return u[len(u)-1]
	}
	a, b := u[k-1], u[k]
	part := float64(t-a.at) / float64(b.at-a.at)
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(part*float64(to-from)) }
	return reading{t, between(a.server, b.server), between(a.client, b.client), b.rss}
}

// fill puts the use of both processes into an interval.
func (u usage) fill(i *Interval, from, to time.Duration) {
	a, b := u.at(from), u.at(to)
	i.ServerCPU, i.ClientCPU = max(b.server-a.server, 0).Seconds(), max(b.client-a.client, 0).Seconds()
	for _, r := range u {
		if r.at >= from && r.at < to {
			i.ServerRSS = max(i.ServerRSS, r.rss)
		}
	}
	if i.ServerRSS == 0 {
		i.ServerRSS = b.rss
	}
}
