package main

// This file compares the counters of the metrics page from before a hand-over with those after it.

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// counters are the sums of the tracker's counters over all shards, by name and other labels.
type counters map[string]float64

var (
	counterLine = regexp.MustCompile(`(?m)^(millrace_\w+_(?:total|count|bucket))(?:\{([^}]*)\})? (\S+)$`)
	shardLabel  = regexp.MustCompile(`worker_index="\d+",?`)
)

// scrape reads the page of the process that serves.
func (t *tracker) scrape() (counters, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + t.metrics + "/metrics")
	if err != nil {
		return nil, fmt.Errorf("cannot read the metrics: %w", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("cannot read the metrics: %w", err)
	}
	return parseCounters(string(text))
}

// parseCounters adds up the counters of a page.
func parseCounters(text string) (counters, error) {
	all := make(counters)
	for _, m := range counterLine.FindAllStringSubmatch(text, -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("the metrics have the line %q", m[0])
		}
		all[m[1]+"{"+strings.TrimSuffix(shardLabel.ReplaceAllString(m[2], ""), ",")+"}"] += v
	}
	return all, nil
}

// wentBack lists the counters that are lower now than they were before.
func (now counters) wentBack(before counters) (list []string) {
	for name, was := range before {
		if is := now[name]; is < was {
			list = append(list, fmt.Sprintf("%s was %v before the hand-over and is %v after it", name, was, is))
		}
	}
	return list
}

// sum adds up the counters of one name.
func (now counters) sum(name string) (n float64) {
	for full, v := range now {
		if before, _, _ := strings.Cut(full, "{"); before == name {
			n += v
		}
	}
	return n
}
