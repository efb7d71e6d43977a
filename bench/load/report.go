package load

// This file writes a result as text for people.

import (
	"fmt"
	"io"
	"strings"
)

// reportWidth is the number of columns that the report keeps to.
const reportWidth = 80

// OK reports whether all relayed messages were right and the counts add up.
func (r *Result) OK() bool { return len(r.Problems) == 0 }

// WriteReport writes the result as a table for people, of at most 80 columns.
func (r *Result) WriteReport(w io.Writer) error {
	p := &printer{}
	p.head(r)
	p.rates(r)
	p.traffic(&r.Traffic)
	p.counts(&r.Counts, r.Config.Compression)
	if r.Cluster.Offers > 0 {
		p.line("  offers from other nodes: %s", r.Cluster.Share())
	}
	p.latencies(&r.Latency)
	p.server(r)
	p.client(&r.Client)
	p.errors(r)
	p.sentences("Remarks", r.Remarks)
	p.sentences("Problems", r.Problems)
	if r.OK() {
		p.line("\nThe counts add up.")
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

// printer gathers the text of a report.
type printer struct {
	text strings.Builder
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format+"\n", args...)
}

// section begins a part of the report.
func (p *printer) section(title, columns string) {
	p.line("\n%s", strings.TrimRight(fmt.Sprintf("%-24s%s", title, columns), " "))
}

func (p *printer) head(r *Result) {
	c := &r.Config
	title := fmt.Sprintf("%s on %s", c.Profile, c.Place())
	if len(title) > reportWidth {
		title = strings.Join(Wrap(title, reportWidth), "\n")
	}
	p.line("%s", title)
	p.line("%s connections, %s torrents, %d offers of %d bytes, seed %d", count(float64(c.Connections)),
		count(float64(c.Torrents)), c.Offers, c.OfferBytes(), c.Seed)
	p.line("measured for %.1f s after %.1f s", r.Measured, c.Ramp+c.Warmup)
}

// ServerName returns the title of the figures of the tracker's processes.
func (r *Result) ServerName() string {
	if n := len(r.Config.ServerPID); n > 1 {
		return fmt.Sprintf("Tracker, %d processes", n)
	}
	return fmt.Sprintf("Tracker, process %d", r.Server.PID)
}

// rates writes the messages and bytes in a second of the measurement.
func (p *printer) rates(r *Result) {
	p.section("Per second", fmt.Sprintf("%14s%14s", "sent", "received"))
	rate := func(n uint64) string {
		if r.Measured <= 0 {
			return "0"
		}
		return count(float64(n) / r.Measured)
	}
	d := &r.During
	row := func(name string, sent, received uint64) {
		if sent > 0 || received > 0 {
			p.line("  %-22s%14s%14s", name, rate(sent), rate(received))
		}
	}
	row("announces, replies", d.Announces, d.Replies)
	row("scrapes, replies", d.Scrapes, d.ScrapeReplies)
	row("offers relayed", 0, d.OffersReceived)
	row("answers = cycles", d.AnswersSent, d.AnswersReceived)
	row("replies to answers", 0, d.AnswerReplies)
	sent := d.Announces + d.Scrapes + d.AnswersSent
	row("all messages", sent, d.Messages()-sent)
	row("bytes", d.BytesSent, d.BytesReceived)
}

// traffic writes the bytes of a signalling cycle.
func (p *printer) traffic(t *Traffic) {
	for k, row := range t.Rows() {
		if k == 0 {
			p.section("Bytes per cycle", fmt.Sprintf("%14s%14s", "sent", "received"))
		}
		p.line("  %-22s%14s%14s", row[0], row[1], row[2])
	}
}

// counts writes the books: the numbers on the left must be found again on the right.
func (p *printer) counts(c *Counts, compression bool) {
	p.section("In the whole run", fmt.Sprintf("%14s%14s%14s%14s", "expected", "received", "dropped", "gone"))
	row := func(name string, numbers ...uint64) {
		line := fmt.Sprintf("  %-22s", name)
		for _, n := range numbers {
			line += fmt.Sprintf("%14s", count(float64(n)))
		}
		p.line("%s", line)
	}
	row("announces", c.Announces, c.Replies)
	if c.Scrapes > 0 {
		row("scrapes", c.Scrapes, c.ScrapeReplies)
	}
	row("offers", c.OffersExpected, c.OffersReceived, c.OffersDropped, c.OffersGone)
	row("answers", c.AnswersSent, c.AnswersReceived, c.AnswersDropped, c.AnswersGone)
	p.line("  %-22s%14s", "connections", count(float64(c.Connected)))
	if compression {
		p.line("  %-22s%14s", "  that compress", count(float64(c.Agreed)))
	}
	if c.HandshakesFull+c.HandshakesResumed > 0 {
		p.line("  %-22s%14s full%14s resumed", "TLS handshakes", count(float64(c.HandshakesFull)),
			count(float64(c.HandshakesResumed)))
	}
}

// latencies writes the figures in milliseconds: microseconds are too long for a table, and 0.001 ms is one.
func (p *printer) latencies(l *Latencies) {
	p.section("Milliseconds", fmt.Sprintf("%11s%11s%11s%11s%11s", "p50", "p90", "p99", "p99.9", "max"))
	row := func(name string, d *Distribution) {
		if d.Count > 0 {
			p.line("  %-22s%11.3f%11.3f%11.3f%11.3f%11.3f", name, d.P50/1e3, d.P90/1e3, d.P99/1e3, d.P999/1e3, d.Max/1e3)
		}
	}
	row("announce to reply", &l.Reply)
	row("offer to answer", &l.Answer)
	row("connect to open", &l.Handshake)
}

func (p *printer) server(r *Result) {
	s := &r.Server
	if s.PID == 0 {
		return
	}
	p.section(r.ServerName(), fmt.Sprintf("%14s%14s%14s", "CPU", "user", "system"))
	part := func(name, unit string, all float64) {
		if all <= 0 || s.CPU <= 0 {
			return
		}
		p.line("  %-22s%14.2f%14.2f%14.2f %s", name, all, all*s.User/s.CPU, all*s.System/s.CPU, unit)
	}
	part("in all", "s", s.CPU)
	part("per message", "µs", s.CPUPerMessage)
	part("per signalling cycle", "µs", s.CPUPerCycle)
	p.line("  %-22s%14d", "threads", s.Threads)
	if s.LocalShare > 0 {
		p.line("  %-22s%12.1f %%", "local requests", 100*s.LocalShare)
	}
	p.section("Memory in MiB", fmt.Sprintf("%14s%14s%14s", "empty", "peak", "end"))
	p.line("  %-22s%14.1f%14.1f%14.1f", "of the tracker", mebibytes(s.RSSEmpty), mebibytes(s.RSSPeak), mebibytes(s.RSSEnd))
	p.line("  %-22s%42.2f KiB", "  per connection", s.RSSPerConnection/(1<<10))
	p.line("  %-22s%42.1f with clients", "of the kernel for TCP", mebibytes(s.SocketMemory))
	p.line("  %-22s%42.1f with clients", "growth of its slab", float64(s.SlabGrowth)/(1<<20))
}

func (p *printer) client(c *ClientFigures) {
	p.section("Load tester", "")
	shares := make([]string, len(c.BusyShare))
	for k, share := range c.BusyShare {
		shares[k] = fmt.Sprintf("%.0f %%", 100*share)
	}
	for k, line := range Wrap(strings.Join(shares, " "), reportWidth-24) {
		name := ""
		if k == 0 {
			name = "busy share of threads"
		}
		p.line("  %-22s%s", name, line)
	}
	p.line("  %-22s%.2f s", "CPU", c.CPU)
	p.line("  %-22s%s", "late announces", count(float64(c.LateSends)))
}

// errors writes the errors by kind.
func (p *printer) errors(r *Result) {
	p.errorList("Errors", r.Counts.ErrorKinds())
	p.errorList("Errors by cause", r.Errors)
}

// ErrorKinds returns the counts of all that went wrong, each with a name for people.
func (c *Counts) ErrorKinds() []ErrorCount {
	return []ErrorCount{
		{"connections that could not be opened", c.ConnectFailed},
		{"connections that the tracker closed", c.Disconnected},
		{"failure messages", c.Failures},
		{"announces not sent, too many unanswered", c.Late},
		{"replies with a wrong size of the swarm", c.WrongSize},
		{"relayed to a torrent that is not the client's", c.WrongTorrent},
		{"relayed with a wrong sender", c.WrongSender},
		{"relayed to a wrong receiver", c.WrongReceiver},
		{"relayed with an altered sdp", c.Altered},
		{"relayed to its own sender", c.Own},
		{"relayed more than once", c.Duplicate},
		{"messages of an unknown kind", c.Unknown},
		{"messages that cannot be read", c.Unreadable},
	}
}

// errorList writes those kinds of error that have occurred.
func (p *printer) errorList(title string, kinds []ErrorCount) {
	first := true
	for _, kind := range kinds {
		if kind.Count == 0 {
			continue
		}
		if first {
			p.section(title, "")
			first = false
		}
		lines := Wrap(kind.Kind, reportWidth-16)
		if len(lines) == 0 {
			lines = []string{"unknown"}
		}
		p.line("%14s  %s", count(float64(kind.Count)), strings.Join(lines, "\n"+strings.Repeat(" ", 16)))
	}
}

// sentences writes a list of sentences.
func (p *printer) sentences(title string, list []string) {
	if len(list) == 0 {
		return
	}
	p.section(title, "")
	for _, sentence := range list {
		p.line("  - %s", strings.Join(Wrap(sentence, reportWidth-4), "\n    "))
	}
}

// mebibytes converts bytes to MiB.
func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }
