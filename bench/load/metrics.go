package load

// This file reads a tracker's Prometheus page: the drops that it reports, and the share of requests that stay on their
// shard.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	metricsTimeout = 10 * time.Second
	maxMetricsPage = 16 << 20 // bytes
)

// page holds the counters of a tracker's Prometheus page, since the start of the tracker. Only millrace has these
// series; from another tracker's page all of them are 0.
type page struct {
	offers, answers uint64 // taken and not relayed
	here, elsewhere uint64 // announces and answers, by whether the torrent is of the connection's own shard
}

// add adds the counters of another page.
func (p *page) add(o page) {
	p.offers += o.offers
	p.answers += o.answers
	p.here += o.here
	p.elsewhere += o.elsewhere
}

// metricsURLs are the addresses of the pages.
func (c *Config) metricsURLs() []string {
	if c.MetricsURL == "" {
		return nil
	}
	return addresses(c.MetricsURL)
}

// readPages asks all nodes of a tracker for their pages, and adds them up.
func readPages(ctx context.Context, urls []string) (sum page, err error) {
	for _, url := range urls {
		p, err := readPage(ctx, url)
		if err != nil {
			return page{}, err
		}
		sum.add(p)
	}
	return sum, nil
}

// readPage asks a tracker for its page.
func readPage(ctx context.Context, url string) (p page, err error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return p, fmt.Errorf("cannot ask for the metrics at %q: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return p, fmt.Errorf("cannot read the tracker's metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return p, fmt.Errorf("cannot read the tracker's metrics: %s answers %s", url, response.Status)
	}
	if p, err = parsePage(io.LimitReader(response.Body, maxMetricsPage)); err != nil {
		return p, fmt.Errorf("cannot understand the tracker's metrics at %s: %w", url, err)
	}
	return p, nil
}

// parsePage adds up the series of a page in Prometheus' text format.
func parsePage(text io.Reader) (p page, err error) {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		sum := p.sumOf(line)
		if sum == nil {
			continue
		}
		_, value, _ := strings.Cut(line, "} ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return page{}, fmt.Errorf("the line %q does not end with a counter", line)
		}
		*sum += n
	}
	return p, lines.Err()
}

// sumOf returns the sum to which the series of a line belongs, or nil. A tracker does not relay an answer if its
// receiver has no room, if a mailbox on the way to the torrent's shard has none, or if it does not know the offer (any
// more).
func (p *page) sumOf(line string) *uint64 {
	name, labels, _ := strings.Cut(line, "{")
	labels, _, _ = strings.Cut(labels, "}")
	has := func(label string) bool { return strings.Contains(labels, label) }
	switch {
	case name == "millrace_frames_dropped_total" && has(`type="offer"`):
		return &p.offers
	case name == "millrace_frames_dropped_total" && has(`type="answer"`),
		name == "millrace_requests_overloaded_total" && has(`type="answer"`),
		name == "millrace_answers_total" && !has(`result="relay"`):
		return &p.answers
	case name == "millrace_requests_by_owner_total" && has(`owner="own_shard"`):
		return &p.here
	case name == "millrace_requests_by_owner_total":
		return &p.elsewhere
	}
	return nil
}
