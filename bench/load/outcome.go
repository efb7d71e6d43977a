package load

// This file makes the result of a run from the counts of its workers, and judges it.

import (
	"context"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"millrace/ring/host"
)

// add adds other counts, all of which are numbers.
func (c *Counts) add(o *Counts) { eachField(c, o, func(a, b uint64) uint64 { return a + b }) }

// subtract takes earlier counts away.
func (c *Counts) subtract(o *Counts) { eachField(c, o, func(a, b uint64) uint64 { return a - b }) }

func eachField(c, o *Counts, f func(a, b uint64) uint64) {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(o).Elem()
	for i := range to.NumField() {
		to.Field(i).SetUint(f(to.Field(i).Uint(), from.Field(i).Uint()))
	}
}

func (l *losses) add(o *losses) {
	l.replies += o.replies
	l.failed += o.failed
	l.unsent += o.unsent
	l.unasked += o.unasked
	l.late += o.late
	l.abandoned += o.abandoned
	l.far += o.far
}

// threadRan returns the CPU time of the calling thread; 0 where the kernel does not count it.
func threadRan() time.Duration {
	text, err := os.ReadFile("/proc/thread-self/schedstat")
	if err != nil {
		return 0
	}
	ran, _, _ := host.ParseSchedstat(text)
	return ran
}

// result gathers everything. The workers have ended.
func (r *run) result(ctx context.Context) Result {
	out := Result{Config: *r.config, Started: r.started, Begun: r.measured[0].Seconds(),
		Measured: (r.measured[1] - r.measured[0]).Seconds(), Series: r.series(r.ended)}
	replies, cycles, opens := newRecorder(), newRecorder(), newRecorder()
	kinds := make(map[string]uint64)
	var lost losses
	var between nodeTally
	for _, w := range r.workers {
		during := w.during()
		out.During.add(&during)
		r.settle(w)
		out.Counts.add(&w.counts)
		lost.add(&w.lost)
		replies.merge(w.replies)
		cycles.merge(w.cycles)
		opens.merge(w.opens)
		between.merge(&w.between)
		mergeKinds(kinds, w.errors)
		out.Client.BusyShare = append(out.Client.BusyShare, w.busy(out.Measured))
	}
	out.Counts.add(&r.slow.counts)
	mergeKinds(kinds, r.slow.errors)
	lost.replies += r.slow.counts.Announces // their replies are not read
	out.Errors = topKinds(kinds)
	out.Latency = Latencies{replies.distribution(), cycles.distribution(), opens.distribution()}
	out.Traffic = out.During.traffic()
	out.Client.Workers, out.Client.LateSends = len(r.workers), lost.late
	out.Client.CPU = max(r.self[1]-r.self[0], 0).Seconds()
	out.Server = r.server.figures(out.During.Messages(), out.During.AnswersReceived, uint64(max(r.openAtEnd, 0)))
	r.readCounters(ctx, &out)
	out.Problems = append(out.Problems, r.serverTroubles...)
	out.Problems = append(out.Problems, faults(&out.Counts, &lost)...)
	r.judgeNodes(&between, &out)
	if ctx.Err() == nil {
		out.Problems = append(out.Problems, imbalances(&out.Counts, &lost, r.config)...)
		if !r.settledInTime {
			out.Problems = append(out.Problems, "not all connections could be opened in time")
		}
	} else {
		out.Remarks = append(out.Remarks, "the run was ended early: messages that were under way then are missing")
	}
	out.Remarks = append(out.Remarks, remarks(&out, &lost)...)
	return out
}

// judgeNodes enters the figures of a tracker with several nodes, and its bias where there must be none: trackers may give
// each address only a share of the offers, and where peers come and go the membership is known roughly.
func (r *run) judgeNodes(n *nodeTally, out *Result) {
	if len(r.site.nodes) < 2 {
		return
	}
	out.Cluster = n.figures(len(r.site.nodes))
	hasSources := slices.ContainsFunc(r.site.nodes, func(n node) bool { return len(n.locals) > 0 })
	if hasSources || !r.config.Verify || !r.config.keepsSwarms() {
		return
	}
	problem, remark := out.Cluster.judge()
	if problem != "" {
		out.Problems = append(out.Problems, problem)
	}
	if remark != "" {
		out.Remarks = append(out.Remarks, remark)
	}
}

// during returns the worker's counts within the measurement.
func (w *worker) during() (n Counts) {
	if !w.measuring {
		return n
	}
	if n = w.counts; w.ended {
		n = w.atEnd
	}
	n.subtract(&w.atMeasure)
	return n
}

// busy returns the share of the measurement in which the worker's thread ran.
func (w *worker) busy(measured float64) float64 {
	if !w.ended || measured <= 0 {
		return 0
	}
	return w.ranMeasured.Seconds() / measured
}

// settle closes the worker's books: it judges every announce that is still in them.
func (r *run) settle(w *worker) {
	for i := range w.clients {
		g := w.global(uint32(i))
		for k := range r.site.books.history {
			r.site.books.settle(g, &r.site.books.records[g*r.site.books.history+k], &w.counts)
		}
	}
}

// dropsSettle is the time after which a tracker's page shows all that it has counted.
const dropsSettle = 1500 * time.Millisecond

// readCounters reads the tracker's drops in the run, and the share of requests that stayed on their shard.
func (r *run) readCounters(ctx context.Context, out *Result) {
	if r.config.MetricsURL == "" || ctx.Err() != nil {
		return
	}
	n := &out.Counts
	if n.OffersReceived < n.OffersExpected+n.OffersUntold || n.AnswersReceived < n.AnswersSent {
		sleep(ctx, dropsSettle)
	}
	now, err := readPages(ctx, r.config.metricsURLs())
	if err != nil {
		out.Problems = append(out.Problems, err.Error())
		return
	}
	before := &r.pageBefore
	n.OffersDropped, n.AnswersDropped = now.offers-before.offers, now.answers-before.answers
	here, elsewhere := now.here-before.here, now.elsewhere-before.elsewhere
	out.Server.LocalShare = float64(here) / float64(max(here+elsewhere, 1))
}

func mergeKinds(to, from map[string]uint64) {
	for kind, n := range from {
		to[kind] += n
	}
}

// topKinds lists kinds of errors, most frequent first.
func topKinds(kinds map[string]uint64) []ErrorCount {
	list := make([]ErrorCount, 0, len(kinds))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		list = append(list, ErrorCount{kind, kinds[kind]})
	}
	slices.SortStableFunc(list, func(a, b ErrorCount) int { return int(int64(b.Count) - int64(a.Count)) })
	if len(list) > maxErrorKinds {
		other := ErrorCount{Kind: "other"}
		for _, e := range list[maxErrorKinds-1:] {
			other.Count += e.Count
		}
		list = append(list[:maxErrorKinds-1], other)
	}
	return list
}

// sentences is a list of sentences for the report.
type sentences []string

// report adds a sentence that begins with a count, unless the count is zero.
func (s *sentences) report(count uint64, format string, args ...any) {
	if count > 0 {
		*s = append(*s, fmt.Sprintf(format, append([]any{count}, args...)...))
	}
}

// faults lists wrong messages, and requests and connections that failed: each of them fails the run.
func faults(n *Counts, lost *losses) (list sentences) {
	list.report(n.WrongSize, "%d replies spoke of fewer or more peers than the swarm had")
	list.report(n.WrongTorrent, "%d relayed messages named another torrent than they were sent for")
	list.report(n.WrongSender, "%d relayed messages named another sender than their own")
	list.report(n.WrongReceiver, "%d relayed messages came to a wrong client")
	list.report(n.Altered, "%d relayed messages had another sdp than was sent")
	list.report(n.Own, "%d relayed messages came back to their sender")
	list.report(n.Duplicate, "%d relayed messages came more than once")
	list.report(n.Unknown-min(lost.unasked, n.Unknown), "%d messages were sent by no client and asked for by none")
	list.report(lost.unasked, "%d replies came without a request: if the tracker replies to answers too, "+
		"set answer_replies = true")
	list.report(n.Unreadable, "%d messages or frames could not be read")
	list.report(lost.far, "%d of those were compressed with a look further back than clients keep the tracker's messages: "+
		"raise compression_window")
	list.report(n.Failures, "%d announces or other requests were refused by the tracker")
	list.report(n.Disconnected, "%d connections were closed by the tracker")
	list.report(lost.abandoned, "%d connections could not be opened"+hintURL(n))
	return list
}

// hintURL is the end of the sentence about connections that could not be opened.
func hintURL(n *Counts) string {
	if n.Connected > 0 {
		return ""
	}
	return ", nor any other one, and the run ended: is the tracker there, and is the URL wss:// where it has TLS and ws:// where not?"
}

// imbalances lists the counts that do not add up. They fail a run that was not ended early.
func imbalances(n *Counts, lost *losses, c *Config) (list sentences) {
	offers := n.OffersExpected + n.OffersUntold
	offersMissing := less(offers, n.OffersReceived)
	answersMissing := less(n.AnswersSent, n.AnswersReceived)
	list.report(less(offersMissing, n.OffersDropped+n.OffersGone),
		"%d of %d offers were neither received nor reported as dropped", offers)
	list.report(less(answersMissing, n.AnswersDropped+n.AnswersGone),
		"%d of %d answers were neither received nor reported as dropped", n.AnswersSent)
	hint := ""
	if c.AnswerReplies && n.AnswerReplies < n.AnswersSent {
		hint = ": if the tracker replies to announces only, set answer_replies = false"
	}
	list.report(less(n.Announces, n.Replies+lost.replies+lost.failed), "%d of %d announces had no reply%s",
		n.Announces, hint)
	list.report(less(n.Scrapes, n.ScrapeReplies+scrapesForgiven(n, c)), "%d of %d scrapes had no reply", n.Scrapes)
	list.report(less(n.OffersReceived, offers), "%d more offers were received than there were receivers for, "+
		"as the replies told the size of the swarms")
	list.report(less(n.AnswersReceived, n.AnswersSent), "%d more answers were received than were sent")
	return list
}

// scrapesForgiven returns how many scrapes may have no reply: all, where connections come and go or scrapes failed.
func scrapesForgiven(n *Counts, c *Config) uint64 {
	if c.Life > 0 || len(c.Storms) > 0 || n.Failures+n.Disconnected > 0 {
		return n.Scrapes
	}
	return 0
}

// less returns a - b, and 0 where that is below it.
func less(a, b uint64) uint64 { return max(a, b) - b }

// From this busy share of a thread on, the clients may be the bottleneck.
const busyShare = 0.9

// remarks lists the circumstances that a reader of the figures must know.
func remarks(out *Result, lost *losses) (list sentences) {
	for i, share := range out.Client.BusyShare {
		if share > busyShare {
			list = append(list, fmt.Sprintf("worker %d of the load tester was busy for %.0f %% of the time: the clients "+
				"may be the bottleneck; use more workers", i, 100*share))
		}
	}
	if n := &out.Counts; out.Config.Compression && n.Agreed < n.Connected {
		list = append(list, fmt.Sprintf("the tracker declined compression on %d of %d connections", n.Connected-n.Agreed,
			n.Connected))
	}
	list.report(out.Counts.Late, "%d announces were left out because the tracker was too far behind")
	list.report(lost.unsent, "%d answers were not sent because the tracker did not take the bytes before them")
	if late := lost.late; out.Counts.Announces > 0 && late*100 > out.Counts.Announces {
		list = append(list, fmt.Sprintf("%d of %d announces left more than 1 ms after they were due, because the clients "+
			"had no time: latencies include that", late, out.Counts.Announces))
	}
	list.report(out.Counts.OffersUntold, "%d offers reached peers on other nodes that replies did not speak of yet")
	list.report(out.Counts.OffersGone, "%d offers may have been lost because a peer of their swarm left or hardly reads")
	list.report(out.Counts.AnswersGone, "%d answers may have been lost because a peer of their swarm left or hardly reads")
	return list
}
