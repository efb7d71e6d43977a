package page

// This file chooses the pictures of a result.

import (
	"math"

	"millrace/bench/load"
	"millrace/bench/plot"
)

// styles of lines, in the order of their lightness. A broad one lies below another line, and is seen where both are one.
const (
	darkest = iota
	dark
	light
	lightest
	broad
)

// overTime returns a chart of the run as it went on, without its y axis.
func overTime(r *load.Result, title, about string, lines []line) chart {
	length := 0.0
	if n := len(r.Series); n > 0 {
		length = r.Series[n-1].From + r.Series[n-1].Length
	}
	c := chart{title: title, about: about, lines: lines}
	var unit float64
	c.x, unit = timeAxis(length)
	for _, l := range lines {
		for k := range l.points {
			l.points[k].X /= unit
		}
	}
	if c.from, c.to = r.Begun/unit, (r.Begun+r.Measured)/unit; r.Measured <= 0 {
		c.to = c.from
	}
	c.word = "storm"
	for _, storm := range r.Config.Storms {
		if storm.At < r.Measured {
			c.marks = append(c.marks, (r.Begun+storm.At)/unit)
		}
	}
	return c
}

// curve returns a figure of each interval, at the middle of it.
func curve(r *load.Result, name string, style int, of func(*load.Interval) float64) line {
	l := line{name: name, style: style}
	for k := range r.Series {
		i := &r.Series[k]
		l.points = append(l.points, plot.Point{X: i.From + i.Length/2, Y: of(i)})
	}
	return l
}

// gap is the figure of an interval that has none.
var gap = math.NaN()

// perSecond returns the rate of a figure. The last interval is left out if it is too short for a rate.
func perSecond(r *load.Result, name string, style int, of func(*load.Interval) float64) line {
	return curve(r, name, style, func(i *load.Interval) float64 {
		if i.Length < r.Series[0].Length/2 {
			return gap
		}
		return of(i) / i.Length
	})
}

// latencyOverTime returns the quantiles of a latency for each interval.
func latencyOverTime(r *load.Result, title, about string, of func(*load.Interval) *load.Quantiles) chart {
	quantile := func(name string, style int, pick func(*load.Quantiles) float64) line {
		return curve(r, name, style, func(i *load.Interval) float64 {
			if q := of(i); q.Count > 0 {
				return pick(q)
			}
			return gap
		})
	}
	c := overTime(r, title, about, []line{
		quantile("max", lightest, func(q *load.Quantiles) float64 { return q.Max }),
		quantile("p99", light, func(q *load.Quantiles) float64 { return q.P99 }),
		quantile("p90", dark, func(q *load.Quantiles) float64 { return q.P90 }),
		quantile("p50", darkest, func(q *load.Quantiles) float64 { return q.P50 }),
	})
	c.y = logarithmic("latency, logarithmic", c.heights(), bottom, top, mostUp)
	return c
}

// heights returns the values of all lines.
func (c *chart) heights() (all []float64) {
	for _, l := range c.lines {
		for _, at := range l.points {
			all = append(all, at.Y)
		}
	}
	return all
}

// latencies are the pictures of latencies. Those of which there are none are left out.
func latencies(r *load.Result) (all []chart) {
	if r.Latency.Reply.Count > 0 {
		all = append(all, latencyOverTime(r, "Announce to reply over time",
			"Percentiles of the announces that were due in each "+interval(r)+".",
			func(i *load.Interval) *load.Quantiles { return &i.Reply }))
	}
	if r.Latency.Answer.Count > 0 {
		all = append(all, latencyOverTime(r, "Announce to answer over time",
			"A cycle: from the time an announce was due until an answer to one of its offers came back.",
			func(i *load.Interval) *load.Quantiles { return &i.Answer }))
	}
	if kinds := distributions(r); len(kinds) > 0 {
		all = append(all, percentiles(kinds), cumulative(kinds))
	}
	return all
}

// interval names an interval of the series.
func interval(r *load.Result) string {
	if len(r.Series) == 0 || r.Series[0].Length <= 1 {
		return "second"
	}
	return digits(r.Series[0].Length) + " seconds"
}

// kind is one of the latencies that a run measures.
type kind struct {
	name  string
	style int
	*load.Distribution
}

// distributions are the latencies that were measured.
func distributions(r *load.Result) (all []kind) {
	l := &r.Latency
	for _, k := range []kind{{"reply", darkest, &l.Reply}, {"answer", dark, &l.Answer}, {"connect", light, &l.Handshake}} {
		if len(k.Points) > 0 {
			all = append(all, k)
		}
	}
	return all
}

// percentiles draws the latencies against the share that is shorter, with room for the longest ones.
func percentiles(kinds []kind) chart {
	c := chart{title: "Latency by percentile", about: "Each nine has the same room, so the few longest are seen. " +
		"A connection is open when its WebSocket handshake is done, TLS included."}
	most := uint64(0)
	for _, k := range kinds {
		most = max(most, k.Count)
		l := line{name: k.name, style: k.style}
		last := math.Log10(float64(k.Count)) // the place of the longest one
		for _, at := range k.Points {
			l.points = append(l.points, plot.Point{X: min(nines(at.Share), last), Y: at.Latency})
		}
		c.lines = append(c.lines, l)
	}
	c.x = shareAxis(most)
	c.y = logarithmic("latency, logarithmic", c.heights(), bottom, top, mostUp)
	return c
}

// cumulative draws the share of the latencies that are at most so long.
func cumulative(kinds []kind) chart {
	c := chart{title: "Cumulative distribution", about: "The share of the latencies that are at most so long."}
	var all []float64
	for _, k := range kinds {
		l := line{name: k.name, style: k.style}
		for _, at := range k.Points {
			l.points = append(l.points, plot.Point{X: at.Latency, Y: 100 * at.Share})
			all = append(all, at.Latency)
		}
		c.lines = append(c.lines, l)
	}
	c.x = logarithmic("latency, logarithmic", all, left, right, mostAcross)
	c.y = axis{title: "share of latencies", scale: plot.Scale{High: 100, From: bottom, To: top},
		text: func(v float64) string { return digits(v) + " %" }}
	return c
}

// rates are the pictures of messages and connections.
func rates(r *load.Result) (all []chart) {
	if len(r.Series) == 0 {
		return nil
	}
	add := func(title, about, unit string, lines ...line) {
		c := overTime(r, title, about, lines)
		c.y = linear(unit, thousands, c.lines)
		all = append(all, c)
	}
	add("Announces and replies", "The lines lie on each other while the tracker follows.", "per second",
		perSecond(r, "announces", broad, func(i *load.Interval) float64 { return float64(i.Announces) }),
		perSecond(r, "replies", darkest, func(i *load.Interval) float64 { return float64(i.Replies) }))
	if r.Counts.OffersReceived > 0 {
		add("Offers and answers", "Messages that the tracker has relayed. Each answer completes a signalling cycle.", "per second",
			perSecond(r, "offers", broad, func(i *load.Interval) float64 { return float64(i.Offers) }),
			perSecond(r, "answers", darkest, func(i *load.Interval) float64 { return float64(i.Answers) }))
	}
	add("Connections", "Open at the end of each "+interval(r)+".", "open",
		curve(r, "open", darkest, func(i *load.Interval) float64 { return float64(i.Open) }))
	add("New connections", "Opened up to the end of the WebSocket handshake.", "per second",
		perSecond(r, "new", darkest, func(i *load.Interval) float64 { return float64(i.Connected) }))
	errors := func(i *load.Interval) float64 { return float64(i.Errors) }
	for k := range r.Series {
		if errors(&r.Series[k]) > 0 {
			add("Errors", "Wrong messages, failure messages, and connections that failed or that the tracker closed.", "per second",
				perSecond(r, "errors", dark, errors))
			break
		}
	}
	return all
}

// resources are the pictures of CPU time and memory.
func resources(r *load.Result) (all []chart) {
	if len(r.Series) == 0 {
		return nil
	}
	const about = "Time that each process ran, in all of its threads: 1 is one CPU that is always busy."
	client := perSecond(r, "load tester", light, func(i *load.Interval) float64 { return i.ClientCPU })
	if r.Server.PID == 0 {
		c := overTime(r, "CPU", about+" The tracker's process was not watched.", []line{client})
		c.y = linear("busy CPUs", digits, c.lines)
		return []chart{c}
	}
	c := overTime(r, "CPU", about, []line{
		perSecond(r, "tracker", darkest, func(i *load.Interval) float64 { return i.ServerCPU }), client})
	c.y = linear("busy CPUs", digits, c.lines)
	memory := overTime(r, "Memory of the tracker", "Resident memory of its process, the highest reading of each "+interval(r)+".",
		[]line{curve(r, "tracker", darkest, func(i *load.Interval) float64 { return float64(i.ServerRSS) / (1 << 20) })})
	memory.y = linear("MiB", digits, memory.lines)
	return []chart{c, memory}
}
