// Package page writes the result of a load as a page for people: plain data in, one file of HTML out, with pictures and
// tables. It needs nothing from elsewhere and runs no scripts, so it can be kept, sent and printed as it is.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"strings"

	"millrace/bench/load"
	"millrace/bench/plot"
)

//go:embed style.css
var style string

// policy is the Content-Security-Policy of the page: its own style, by its hash, and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// writer gathers the page.
type writer struct{ dst []byte }

// raw is HTML as it is.
type raw string

// add appends HTML. Each text among the arguments is escaped: trackers and configurations send what they like.
func (w *writer) add(format string, args ...any) {
	for k, arg := range args {
		if text, ok := arg.(string); ok {
			args[k] = html.EscapeString(strings.ToValidUTF8(text, "\ufffd"))
		}
	}
	w.dst = fmt.Appendf(w.dst, format, args...)
}

// AppendHTML appends the page.
func AppendHTML(dst []byte, r *load.Result) []byte {
	w := &writer{dst}
	c := &r.Config
	w.add("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"+
		"<meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"referrer\" content=\"no-referrer\"/>\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"%s\"/>\n<title>Load %s on %s</title>\n<style>%s</style>\n"+
		"</head>\n<body>\n<main>\n", raw(policy), c.Profile, c.Place(), raw(style))
	w.head(r)
	w.sentences("Problems", "problems", r.Problems)
	w.sentences("Remarks", "remarks", r.Remarks)
	w.pictures("Latency", "Latency counts from the time at which an announce is due, also if the tracker keeps the client "+
		"waiting: a stall is in the figures of every announce that falls into it.", latencies(r))
	w.pictures("Rates", "Messages as the clients saw them.", rates(r))
	w.pictures("CPU and memory", "", resources(r))
	w.figures(r)
	w.configuration(c)
	w.series(r)
	w.add("</main>\n</body>\n</html>\n")
	return w.dst
}

// head writes the title, the verdict and the figures that matter most.
func (w *writer) head(r *load.Result) {
	c := &r.Config
	w.add("<h1>Load <q>%s</q></h1>\n<p>on <code>%s</code>", c.Profile, c.Place())
	if !r.Started.IsZero() {
		w.add(", %s", r.Started.UTC().Format("2 January 2006, 15:04:05 UTC"))
	}
	w.add("</p>\n<p>%s connections, %s torrents, %d offers of %s bytes in an announce, seed %d. Measured for %s s, from "+
		"second %s of the run on.</p>\n", plot.Grouped(float64(c.Connections)), plot.Grouped(float64(c.Torrents)), c.Offers,
		plot.Grouped(float64(c.OfferBytes())), c.Seed, digits(r.Measured), digits(r.Begun))
	switch n := len(r.Problems); {
	case n == 1:
		w.add("<p class=\"bad\">✗ There is a problem.</p>\n")
	case n > 1:
		w.add("<p class=\"bad\">✗ There are %d problems.</p>\n", n)
	case c.Verify:
		w.add("<p class=\"good\">✓ The counts add up, and every relayed message was right.</p>\n")
	default:
		w.add("<p class=\"good\">✓ The counts add up.</p>\n")
	}
	w.add("<dl class=\"short\">\n")
	tile := func(name, value, unit string) {
		w.add("<div><dt>%s</dt><dd>%s <small>%s</small></dd></div>\n", name, value, unit)
	}
	rate := func(n uint64) string {
		if r.Measured <= 0 {
			return "–"
		}
		return plot.Grouped(float64(n) / r.Measured)
	}
	tile("Announces", rate(r.During.Announces), "per second")
	tile("Cycles", rate(r.During.AnswersReceived), "per second")
	if d := &r.Latency.Reply; d.Count > 0 {
		tile("Reply, median", duration(d.P50), "")
		tile("Reply, 99 %", duration(d.P99), "")
	}
	if s := &r.Server; s.PID > 0 {
		if r.Measured > 0 {
			tile("Tracker", digits(s.CPU/r.Measured), "CPUs busy")
		}
		if s.CPUPerCycle > 0 {
			tile("Cost of a cycle", digits(s.CPUPerCycle), "µs of CPU")
		}
		tile("Memory", digits(float64(s.RSSPeak)/(1<<20)), "MiB at most")
	}
	w.add("</dl>\n")
}

// sentences writes a list of sentences.
func (w *writer) sentences(title, class string, list []string) {
	if len(list) == 0 {
		return
	}
	w.add("<section class=\"%s\">\n<h2>%s</h2>\n<ul>\n", class, title)
	for _, s := range list {
		w.add("<li>%s</li>\n", s)
	}
	w.add("</ul>\n</section>\n")
}

// pictures writes charts.
func (w *writer) pictures(title, about string, charts []chart) {
	if len(charts) == 0 {
		return
	}
	w.add("<section>\n<h2>%s</h2>\n", title)
	if about != "" {
		w.add("<p>%s</p>\n", about)
	}
	w.add("<div class=\"pictures\">\n")
	for k := range charts {
		w.dst = charts[k].append(w.dst)
	}
	w.add("</div>\n</section>\n")
}
