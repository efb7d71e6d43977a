package page

// This file writes the tables: the figures of the run, its configuration, and its intervals.

import (
	"fmt"
	"reflect"
	"strings"

	"millrace/bench/load"
	"millrace/bench/plot"
)

// table writes rows of cells below a caption. The first cell of a row names it.
func (w *writer) table(caption string, head []string, rows [][]string) {
	w.tableOf("numbers", caption, head, rows)
}

// tableOf is table with classes of the style sheet: cells are numbers, which stand below each other, or texts, which may have
// several lines, and a wide table has the whole width.
func (w *writer) tableOf(classes, caption string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	w.add("<div class=\"table %s\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">\n<table>\n<caption>%s</caption>\n",
		classes, caption, caption)
	if head != nil {
		w.add("<thead><tr>")
		for _, cell := range head {
			w.add("<th scope=\"col\">%s</th>", cell)
		}
		w.add("</tr></thead>\n")
	}
	w.add("<tbody>\n")
	for _, row := range rows {
		w.add("<tr><th scope=\"row\">%s</th>", row[0])
		for _, cell := range row[1:] {
			w.add("<td>%s</td>", cell)
		}
		w.add("</tr>\n")
	}
	w.add("</tbody>\n</table>\n</div>\n")
}

// figures writes the figures of the whole run.
func (w *writer) figures(r *load.Result) {
	w.add("<section>\n<h2>Figures</h2>\n<div class=\"tables\">\n")
	w.tableOf("numbers wide", "Latency, by percentile", []string{"latency", "number", "mean", "50 %", "90 %", "99 %",
		"99.9 %", "max"}, latencyRows(&r.Latency))
	if r.Measured > 0 {
		w.table("Per second of the measurement", []string{"messages", "sent", "received"}, rateRows(r))
	}
	w.table("Bytes of a signalling cycle", []string{"bytes", "sent", "received"}, trafficRows(&r.Traffic))
	w.table("In the whole run", []string{"messages", "expected", "received", "dropped", "gone"}, countRows(&r.Counts, r.Config.Compression))
	if c := &r.Cluster; c.Nodes > 0 {
		w.table("Nodes", nil, [][]string{{"nodes", fmt.Sprint(c.Nodes)}, {"offers counted by node", whole(c.Offers)},
			{"offers from other nodes", c.Share()}})
	}
	if r.Server.PID > 0 {
		w.table(r.ServerName(), nil, serverRows(&r.Server))
	}
	w.table("Load tester", nil, clientRows(&r.Client))
	w.tableOf("texts", "Errors", nil, errorRows(r.Counts.ErrorKinds()))
	w.tableOf("texts", "Errors by cause", nil, errorRows(r.Errors))
	w.add("</div>\n</section>\n")
}

func latencyRows(l *load.Latencies) (rows [][]string) {
	row := func(name string, d *load.Distribution) {
		if d.Count > 0 {
			rows = append(rows, []string{name, whole(d.Count), duration(d.Mean), duration(d.P50), duration(d.P90), duration(d.P99),
				duration(d.P999), duration(d.Max)})
		}
	}
	row("announce to reply", &l.Reply)
	row("announce to answer", &l.Answer)
	row("connect to open", &l.Handshake)
	return rows
}

func rateRows(r *load.Result) (rows [][]string) {
	d := &r.During
	row := func(name string, sent, received uint64) {
		if sent > 0 || received > 0 {
			rows = append(rows, []string{name, plot.Grouped(float64(sent) / r.Measured), plot.Grouped(float64(received) / r.Measured)})
		}
	}
	row("announces, replies", d.Announces, d.Replies)
	row("scrapes, replies", d.Scrapes, d.ScrapeReplies)
	row("offers, relayed", d.OffersSent, d.OffersReceived)
	row("answers = cycles", d.AnswersSent, d.AnswersReceived)
	row("replies to answers", 0, d.AnswerReplies)
	sent := d.Announces + d.Scrapes + d.AnswersSent
	row("all messages", sent, d.Messages()-sent)
	row("bytes", d.BytesSent, d.BytesReceived)
	return rows
}

func trafficRows(t *load.Traffic) (rows [][]string) {
	for _, row := range t.Rows() {
		rows = append(rows, row[:])
	}
	return rows
}

// countRows are the books: the numbers on the left must be found again on the right.
func countRows(c *load.Counts, compression bool) (rows [][]string) {
	row := func(name string, numbers ...uint64) {
		cells := []string{name, "", "", "", ""}
		for k, n := range numbers {
			cells[k+1] = whole(n)
		}
		rows = append(rows, cells)
	}
	row("announces, replies", c.Announces, c.Replies)
	if c.Scrapes > 0 {
		row("scrapes, replies", c.Scrapes, c.ScrapeReplies)
	}
	row("offers", c.OffersExpected, c.OffersReceived, c.OffersDropped, c.OffersGone)
	row("answers", c.AnswersSent, c.AnswersReceived, c.AnswersDropped, c.AnswersGone)
	row("connections", c.Connected)
	if compression {
		row("connections that compress", c.Agreed)
	}
	if c.HandshakesFull+c.HandshakesResumed > 0 {
		row("full TLS handshakes", c.HandshakesFull)
		row("resumed TLS handshakes", c.HandshakesResumed)
	}
	return rows
}

func serverRows(s *load.ServerFigures) [][]string {
	mebibytes := func(n uint64) string { return digits(float64(n)/(1<<20)) + " MiB" }
	rows := [][]string{
		{"CPU time", digits(s.CPU) + " s"},
		{"in user mode", digits(s.User) + " s"},
		{"in the kernel", digits(s.System) + " s"},
		{"per message", digits(s.CPUPerMessage) + " µs"},
		{"per signalling cycle", digits(s.CPUPerCycle) + " µs"},
		{"threads", fmt.Sprint(s.Threads)},
		{"memory when empty", mebibytes(s.RSSEmpty)},
		{"memory at most", mebibytes(s.RSSPeak)},
		{"memory at the end", mebibytes(s.RSSEnd)},
		{"memory per connection", digits(s.RSSPerConnection/(1<<10)) + " KiB"},
		{"kernel memory for TCP, with clients", mebibytes(s.SocketMemory)},
		{"growth of the kernel's slab, with clients", digits(float64(s.SlabGrowth)/(1<<20)) + " MiB"},
	}
	if s.LocalShare > 0 {
		rows = append(rows, []string{"requests for torrents of the own shard", digits(100*s.LocalShare) + " %"})
	}
	return rows
}

func clientRows(c *load.ClientFigures) [][]string {
	rows := [][]string{{"threads", fmt.Sprint(c.Workers)}}
	for k, share := range c.BusyShare {
		rows = append(rows, []string{fmt.Sprintf("thread %d was busy", k), digits(100*share) + " % of the time"})
	}
	return append(rows, []string{"CPU time", digits(c.CPU) + " s"},
		[]string{"announces more than 1 ms late for lack of time", whole(c.LateSends)})
}

// errorRows are those kinds of error that have occurred.
func errorRows(kinds []load.ErrorCount) (rows [][]string) {
	for _, k := range kinds {
		if k.Count > 0 {
			rows = append(rows, []string{whole(k.Count), k.Kind})
		}
	}
	return rows
}

// configuration writes each key of the load, and marks those that differ from the profile's.
func (w *writer) configuration(c *load.Config) {
	profile, err := load.Default(c.Profile)
	var rows [][]string
	v, before := reflect.ValueOf(c).Elem(), reflect.ValueOf(&profile).Elem()
	for k := range v.NumField() {
		row := []string{v.Type().Field(k).Tag.Get("toml"), valueText(v.Field(k).Interface()), ""}
		if was := before.Field(k).Interface(); err == nil && !reflect.DeepEqual(was, v.Field(k).Interface()) {
			if text := valueText(was); text != row[1] {
				row[2] = text
			}
		}
		rows = append(rows, row)
	}
	w.add("<section>\n<h2>Configuration</h2>\n<p><code>millrace-load -p</code> explains each key. Times are in seconds.</p>\n" +
		"<div class=\"tables\">\n")
	head := []string{"key", "value", "the profile has"}
	half := (len(rows) + 1) / 2
	w.tableOf("texts", "Keys of the load", head, rows[:half])
	w.tableOf("texts", "Further keys", head, rows[half:])
	w.add("</div>\n</section>\n")
}

// valueText writes the value of a key for people.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return "none"
		}
		return v
	case []load.Storm:
		var storms []string
		for _, s := range v {
			how := "full handshakes"
			if s.Resume {
				how = "resumed handshakes"
			}
			storms = append(storms, fmt.Sprintf("at %v s, %s", s.At, how))
		}
		return valueText(strings.Join(storms, "; "))
	case load.PIDs:
		if len(v) > 1 {
			return strings.ReplaceAll(v.String(), ",", ", ")
		}
		return v.String()
	case []int:
		return valueText(strings.Trim(fmt.Sprint(v), "[]"))
	}
	return fmt.Sprint(v)
}

// series writes every interval.
func (w *writer) series(r *load.Result) {
	if len(r.Series) == 0 {
		return
	}
	rows := make([][]string, len(r.Series))
	quantiles := func(q *load.Quantiles) []string {
		if q.Count == 0 {
			return []string{"", "", "", ""}
		}
		return []string{duration(q.P50), duration(q.P90), duration(q.P99), duration(q.Max)}
	}
	for k := range r.Series {
		i := &r.Series[k]
		row := []string{fmt.Sprintf("%s–%s", digits(i.From), digits(i.From+i.Length)), whole(i.Announces), whole(i.Replies),
			whole(i.Offers), whole(i.Answers), whole(uint64(max(i.Open, 0))), whole(i.Errors)}
		row = append(append(row, quantiles(&i.Reply)...), quantiles(&i.Answer)...)
		rows[k] = append(row, digits(i.ServerCPU), digits(float64(i.ServerRSS)/(1<<20)), digits(i.ClientCPU))
	}
	w.add("<section>\n<h2>Every %s</h2>\n<details>\n<summary>The numbers of the pictures over time</summary>\n", interval(r))
	w.table("Counts, latencies, CPU seconds and memory", []string{"seconds", "announces", "replies", "offers", "answers",
		"open", "errors", "reply 50 %", "reply 90 %", "reply 99 %", "reply max", "answer 50 %", "answer 90 %", "answer 99 %", "answer max",
		"tracker CPU", "tracker MiB", "tester CPU"}, rows)
	w.add("</details>\n</section>\n")
}

// whole writes a count.
func whole(n uint64) string { return plot.Grouped(float64(n)) }
