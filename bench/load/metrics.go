package load

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

// readDrops asks a tracker's Prometheus page how many offers and answers it has taken and not relayed since it was
// started. Only millrace counts that; a page without its series says nothing, and then both are 0.
func readDrops(ctx context.Context, url string) (offers, answers uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("the metrics cannot be asked for at %q: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, fmt.Errorf("the tracker's metrics cannot be read: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("the tracker's metrics cannot be read: %s answers %s", url, response.Status)
	}
	offers, answers, err = parseDrops(io.LimitReader(response.Body, maxMetricsPage))
	if err != nil {
		return 0, 0, fmt.Errorf("the tracker's metrics at %s cannot be understood: %w", url, err)
	}
	return offers, answers, nil
}

// parseDrops adds up the series that count drops on a page in Prometheus' text format.
func parseDrops(page io.Reader) (offers, answers uint64, err error) {
	lines := bufio.NewScanner(page)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		offer, answer := countsDrops(line)
		if !offer && !answer {
			continue
		}
		_, value, _ := strings.Cut(line, "} ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("the line %q does not end with a counter", line)
		}
		if offer {
			offers += n
		} else {
			answers += n
		}
	}
	return offers, answers, lines.Err()
}

// countsDrops says what the series of a line counts: offers that were not relayed, answers that were not, or neither.
// The reasons for an answer are a receiver without room, a mailbox without room on the way to the torrent's shard, and
// an offer that the tracker does not know (any more).
func countsDrops(line string) (offers, answers bool) {
	name, labels, _ := strings.Cut(line, "{")
	labels, _, _ = strings.Cut(labels, "}")
	switch name {
	case "millrace_frames_dropped_total":
		return strings.Contains(labels, `type="offer"`), strings.Contains(labels, `type="answer"`)
	case "millrace_requests_overloaded_total":
		return false, strings.Contains(labels, `type="answer"`)
	case "millrace_answers_total":
		return false, !strings.Contains(labels, `result="relay"`)
	}
	return false, false
}
