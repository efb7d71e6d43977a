package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// This file owns the figures of the Go runtime and the process, which a library writes without words about them.

// appendRuntime appends them with HELP and TYPE, each family in one piece.
//
// Prometheus' text format 0.0.4: «All lines for a given metric must be provided as one single group».
func appendRuntime(b *bytes.Buffer) {
	var raw bytes.Buffer
	metrics.WritePrometheus(&raw, true)
	var order []string
	families := make(map[string][]byte)
	for line := range bytes.Lines(raw.Bytes()) {
		name := string(line[:max(0, bytes.IndexAny(line, "{ "))])
		if name == "" || line[0] == '#' {
			continue
		}
		family := runtimeFamily(name)
		if _, known := families[family]; !known {
			order = append(order, family)
		}
		families[family] = append(families[family], line...)
	}
	for _, family := range order {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", family, runtimeHelp(family), family, runtimeType(family))
		b.Write(families[family])
	}
}

// runtimeSummaries are the families whose series have further names.
var runtimeSummaries = []string{"go_gc_duration_seconds"}

// runtimeFamily returns the family of a series.
func runtimeFamily(name string) string {
	for _, suffix := range []string{"_sum", "_count"} {
		if family := strings.TrimSuffix(name, suffix); slices.Contains(runtimeSummaries, family) {
			return family
		}
	}
	return name
}

// runtimeType returns the type of a family. Histograms come without sum and count, so they are none for Prometheus.
func runtimeType(family string) string {
	switch {
	case slices.Contains(runtimeSummaries, family):
		return "summary"
	case strings.HasSuffix(family, "_total"):
		return "counter"
	case strings.HasSuffix(family, "_bucket"), strings.HasSuffix(family, "_count"):
		return "untyped"
	}
	return "gauge"
}

// runtimeHelp returns the words about a family. The figures of the memory allocator have those of the package runtime.
func runtimeHelp(family string) string {
	if help, ok := runtimeTexts[family]; ok {
		return help
	}
	switch {
	case strings.HasPrefix(family, "go_memstats_"):
		return "Of the Go runtime: see the type MemStats of the package runtime."
	case strings.HasPrefix(family, "process_"):
		return "Of the process, as Linux counts it in /proc."
	}
	return "Of the Go runtime: see the package runtime/metrics."
}

var runtimeTexts = map[string]string{
	"go_gc_duration_seconds":        "Pauses of the garbage collector.",
	"go_goroutines":                 "Goroutines.",
	"go_gomaxprocs":                 "Threads that may run Go code at a time.",
	"go_memlimit_bytes":             "Memory that the garbage collector tries to keep to.",
	"go_info":                       "Version of Go.",
	"go_info_ext":                   "Compiler and platform of the program.",
	"process_cpu_seconds_total":     "CPU time of the process.",
	"process_resident_memory_bytes": "Resident memory.",
	"process_start_time_seconds":    "When the process was started, in Unix time.",
}
