package server

// This file keeps config/METRICS.md, the documentation of the metrics page, the same as the tags that the page is made
// of.

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"millrace/cmd/internal/stats"
)

// The documentation of the metrics says of each family what its tags say. With -update it is written anew.
func TestMetricsPage(t *testing.T) {
	var b strings.Builder
	table := func(text string, families ...*stats.Family) {
		fmt.Fprintf(&b, "\n%s\n\n| Name | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n", text)
		for _, f := range families {
			kind := string(f.Type)
			if f.Unit != "" {
				kind += ", " + f.Unit
			}
			fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", metricPrefix, f.Name, kind, labelsOf(f), f.Help)
		}
	}
	b.WriteString("# Metrics\n\n" +
		"millrace serves these figures to Prometheus with `metrics.run_prometheus_endpoint`. Figures of the Go runtime\n" +
		"and the process (`go_…`, `process_…`) come with them. A counter starts at 0; a gauge goes up and down.\n\n" +
		"When a new process takes over (SIGUSR2), all counters of this page go on, but for `go_…` and `process_…`, which are\n" +
		"of one process. Those of shards that there are not any more go to shard 0. The others are 0 again after a start.\n\n" +
		"This file is written by a test from the texts in the code:\n" +
		"`go test -ldflags=-checklinkname=0 ./cmd/internal/server -run TestMetricsPage -update`.\n\n" +
		"## Of each shard\n")
	table("Each series also has the label `worker_index`, which numbers the shards from 0.", shardSeries.Families...)
	b.WriteString("\n## Of the process\n")
	table("Peers are counted by client only where the configuration says so.", clientFamily, prefixFamily)
	table("These are always there.", processSeries.Families...)
	table("These are there while `limits.active` is true.", addressSeries.Families...)
	table("The version.", buildFamily)
	table("These are there with `network.enable_tls`.", tlsSeries.Families...)
	table("These are there in a cluster, with `cluster.nats_url`.", clusterSeries.Families...)
	compareFile(t, "../../../config/METRICS.md", b.String())
}

// labelsOf returns the labels of a family and their values.
func labelsOf(f *stats.Family) string {
	var all []string
	for k, label := range f.Series[0].Labels {
		var values []string
		for _, s := range f.Series {
			if s.Suffix != f.Series[0].Suffix {
				continue
			}
			if v := s.Labels[k].Value; v != "" && !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		text := "`" + label.Name + "`"
		if len(values) > 0 {
			text += ": " + strings.Join(values, ", ")
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
