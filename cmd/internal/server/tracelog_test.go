package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/trace"
)

// This file proves that the log shows each event of the shards once.

// TestTraceLog proves that each look logs the events since the last one, those of all shards by time, says how many
// were lost, and that close looks once more.
func TestTraceLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: LevelTrace}))
	buffers := []trace.Buffer{trace.New(0, 4, nil), trace.New(1, 4, nil)}
	shards := []*fakeTracer{{}, {}}
	add := func(shard int, at time.Duration) {
		r := buffers[shard].Add()
		r.At, r.Event = at*time.Second, trace.Order
		shards[shard].copy = buffers[shard].Copy(nil)
	}
	l := startTraceLog(log, []trace.Source{shards[0], shards[1]})
	l.close() // so that only this test looks
	f := func(want ...string) {
		t.Helper()
		l.look()
		lines := strings.Count(out.String(), "\n")
		for _, w := range want {
			_, rest, found := strings.Cut(out.String(), w)
			if !found {
				t.Errorf("no %q in\n%s", w, out.String())
			}
			out.Reset()
			out.WriteString(rest)
		}
		if lines != len(want) {
			t.Errorf("%d lines, want %d", lines, len(want))
		}
		out.Reset()
	}
	f()
	add(0, 3)
	add(1, 2)
	f(`msg="2.000000s shard 1 order`, `msg="3.000000s shard 0 order`)
	f()
	for at := range time.Duration(7) {
		add(1, 10+at)
	}
	f(`overwritten before they could be logged" shard=1 count=3`, "13.0", "14.0", "15.0", "16.0")

	l = startTraceLog(log, []trace.Source{shards[0]})
	l.close()
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("close logged %q", out.String())
	}
	out.Reset()
	l = startTraceLog(slog.New(slog.NewTextHandler(&out, nil)), []trace.Source{shards[0]})
	l.close()
	if l != nil || out.Len() > 0 {
		t.Errorf("at level info: %q", out.String())
	}
}
