package server

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/trace"
)

// This file owns log_level = "trace": it logs the events that the shards remember. The loops do not know it: as for
// /debug/trace, each of them makes a copy of its trace, once a second. A shard with more events in a second than its
// trace holds loses some of them here, and the log says how many.

// LevelTrace is the level of a log line for each event of a shard.
const LevelTrace = slog.LevelDebug - 4

// traceLogPeriod is how often the new events are logged.
const traceLogPeriod = time.Second

// traceLog logs the events of all shards. A nil traceLog does nothing.
type traceLog struct {
	log   *slog.Logger
	from  []trace.Source
	added []uint64 // by shard: events up to the last look
	quit  chan struct{}
	ended chan struct{}
}

// startTraceLog starts to log events, if the logger has their level; else it returns nil.
func startTraceLog(log *slog.Logger, from []trace.Source) *traceLog {
	if !log.Enabled(context.Background(), LevelTrace) {
		return nil
	}
	t := &traceLog{
		log: log, from: from, added: make([]uint64, len(from)), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go t.run()
	return t
}

// follow starts or ends the log of events as the logger's level says now, and returns what runs then.
func (t *traceLog) follow(log *slog.Logger, controls []*shard.Control) *traceLog {
	switch on := log.Enabled(context.Background(), LevelTrace); {
	case on && t == nil:
		return startTraceLog(log, tracers(controls))
	case !on && t != nil:
		t.close()
		return nil
	}
	return t
}

// run logs once a second, and the rest at the end.
func (t *traceLog) run() {
	defer close(t.ended)
	ticker := time.NewTicker(traceLogPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.look()
		case <-t.quit:
			t.look()
			return
		}
	}
}

// look logs the events since the last look.
func (t *traceLog) look() {
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	copies, errs := trace.Take(ctx, t.from)
	for k := range copies {
		c := &copies[k]
		if errs[k] != nil {
			t.log.Warn("cannot get the trace of a shard", "shard", k, "error", errs[k])
			continue
		}
		fresh, missed := c.Since(t.added[k])
		if missed > 0 {
			t.log.Log(ctx, LevelTrace, "events were overwritten before they could be logged", "shard", k, "count", missed)
		}
		c.Records, t.added[k] = fresh, c.Added
	}
	text := trace.AppendText(nil, trace.Merge(copies...), trace.NamesOf(copies))
	for line := range strings.Lines(string(text)) {
		t.log.Log(ctx, LevelTrace, strings.TrimSuffix(line, "\n"))
	}
}

// close logs the last events. The loops have ended.
func (t *traceLog) close() {
	if t != nil {
		close(t.quit)
		<-t.ended
	}
}
