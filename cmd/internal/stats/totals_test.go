package stats

import (
	"testing"
	"time"
)

// This file tests which figures another process goes on with.

// TestKeepTotals proves that counters, histograms and total times stay, at any depth, and that nothing else does.
func TestKeepTotals(t *testing.T) {
	type inner struct {
		Counter uint64 `metric:"a_total"`
		Gauge   int    `metric:"b"`
	}
	type all struct {
		Array  [2]uint64 `metric:"c_total"`
		Inner  [2]inner
		Busy   time.Duration `metric:"busy_seconds_total"`
		Now    time.Duration `metric:"longest_seconds"`
		Times  Latency       `metric:"times_seconds"`
		Hidden uint64        `metric:"-"`
		Name   [1]string     `metric:"-"`
	}
	v := all{[2]uint64{1, 2}, [2]inner{{3, 4}, {5, 6}}, 7, 8, Latency{}, 9, [1]string{"name"}}
	v.Times.Note(time.Second, 3)
	want := v
	want.Inner[0].Gauge, want.Inner[1].Gauge, want.Now, want.Name[0] = 0, 0, 0, ""
	if KeepTotals(&v); v != want {
		t.Errorf("%+v, want %+v", v, want)
	}
}
