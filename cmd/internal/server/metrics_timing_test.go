package server

// This file measures what the figures of one shard cost outside of its loop: a page at each scrape, a total every few
// seconds.

import (
	"bytes"
	"testing"

	"millrace/cmd/internal/shard"
)

func BenchmarkMetricsPage(b *testing.B) {
	var p shard.Published
	var page bytes.Buffer
	for b.Loop() {
		page.Reset()
		writeSeries(&page, shardSeries, []*shardFigures{newShardFigures(&p, 0)}, []string{`worker_index="0"`})
	}
}

func BenchmarkTotal(b *testing.B) {
	var total, one shard.Stats
	for b.Loop() {
		total.Add(&one)
	}
}

// The lists are made once, when the process starts.
func BenchmarkMetricsLists(b *testing.B) {
	for b.Loop() {
		mustList[shardFigures](labelTables())
	}
}
