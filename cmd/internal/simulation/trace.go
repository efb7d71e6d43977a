package simulation

import (
	"millrace/cmd/internal/trace"
)

// This file owns the last events of the shards, which are printed when a run fails.

// lastEvents is how many events are printed, of all shards together.
const lastEvents = 200

// trace returns the last events, one a line, oldest first.
func (w *world) trace() string {
	loops := w.running()
	copies := make([]trace.Copy, len(loops))
	for k, l := range loops {
		copies[k] = l.shard.Trace(nil)
	}
	if len(copies) == 0 {
		return ""
	}
	return string(trace.AppendText(nil, trace.Select(trace.Merge(copies...), trace.Filter{}, lastEvents), copies[0].Names))
}
