package main

// This file holds the project's targets and how the results tell whether they are met, and adds to a results file the
// figures that no run of the load tester gives.

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is a goal of the project, with its measure.
type target struct {
	what  string
	limit float64
	least bool   // the limit is the least and not the most
	unit  string // of the limit and the measured value
	of    func(*results) summary
}

// compared returns a target's measure: millrace's figure over another tracker's.
func compared(workload, key, anchor string) func(*results) summary {
	return func(all *results) summary { return all.ratio(workload, key, millrace, anchor) }
}

// absolute returns a target's measure: millrace's figure itself.
func absolute(workload, key string) func(*results) summary {
	return func(all *results) summary { return all.summary(workload, millrace, key) }
}

// elsewhere returns a target's measure: a figure that was measured in another way and added by hand.
func elsewhere(name string) func(*results) summary {
	return func(all *results) summary {
		f, ok := all.figures[name]
		if !ok {
			return summary{}
		}
		return summarize([]float64{f.Value})
	}
}

// targets are the project's targets.
var targets = []target{
	{"CPU per signalling cycle, heavy ws : aquatic_ws", 0.25, false, "", compared(heavyWS, "cycle", reference)},
	{"the same, light ws", 0.20, false, "", compared(lightWS, "cycle", reference)},
	{"the same, light wss", 0.55, false, "", compared(lightWSS, "cycle", reference)},
	{"the same, real ws", 0.12, false, "", compared(realWS, "cycle", reference)},
	{"the same, real wss", 0.20, false, "", compared(realWSS, "cycle", reference)},
	{"CPU per message, heavy ws : floor", 1.5, false, "", compared(heavyWS, "message", floorServer)},
	{"memory above empty per connection, after heavy ws", 1536, false, "B", absolute(heavyWS, "memory")},
	{"the same, after light wss", 4096, false, "B", absolute(lightWSS, "memory")},
	{"memory per peer, 1 M peers in 100 k swarms", 80, false, "B", elsewhere("bytes-per-peer")},
	{"CPU per cycle, 2 shards : 1 shard, heavy", 1.15, false, "", func(all *results) summary {
		return all.ratio(scalingHeavy, "cycle", millrace2, millrace)
	}},
	{"the same, real", 1.15, false, "", func(all *results) summary {
		return all.ratio(scalingReal, "cycle", millrace2, millrace)
	}},
	{"responses per second and core, max ws : aquatic_ws", 3, true, "", compared(maxWS, "responses", reference)},
	{"the same, max wss", 3, true, "", compared(maxWSS, "responses", reference)},
	{"p99 of announce to reply at 70 % of aquatic_ws's limit : aquatic_ws", 0.5, false, "",
		compared(atSeventy, "p99", reference)},
	{"longest pause of a loop, 1 M peers", 2, false, "ms", elsewhere("longest-pause-ms")},
	{"median of announce to reply, a quarter of heavy ws", 250, false, "µs", absolute(quarterWS, "p50")},
	{"the same, light ws", 250, false, "µs", absolute(lightWS, "p50")},
	{"the same, light wss", 250, false, "µs", absolute(lightWSS, "p50")},
	{"the same, hot ws", 250, false, "µs", absolute(hotWS, "p50")},
	{"CPU per new connection, wss, full handshake : aquatic_ws", 1, false, "", compared(stormFull, "connect", reference)},
	{"the same, resumed", 1, false, "", compared(stormResumed, "connect", reference)},
	{"CPU per full TLS handshake : aquatic_ws", 1.2, false, "", func(all *results) summary {
		return all.handshakeRatio(stormFull, millrace, reference)
	}},
	{"CPU per resumed TLS handshake : aquatic_ws", 1, false, "", func(all *results) summary {
		return all.handshakeRatio(stormResumed, millrace, reference)
	}},
	{"idle connections, all announced, ws", 250_000, true, "", idleConnections},
	{"heap allocations per message, ws", 0, false, "", elsewhere("allocations-ws")},
	{"heap allocations per message, wss", 0, false, "", elsewhere("allocations-wss")},
}

// idleConnections returns the largest number of idle connections over ws that were all held, in a run without a problem
// or in a measurement of its own.
func idleConnections(all *results) summary {
	most := all.figures["idle-connections"].Value
	for k := range all.runs {
		r := &all.runs[k]
		if r.Tracker != millrace || r.Result == nil || r.Result.Config.Profile != "idle" || len(r.Result.Problems) > 0 {
			continue
		}
		c := &r.Result.Counts
		if r.Workload != idleWSS && c.Disconnected == 0 && c.ConnectFailed == 0 {
			most = max(most, float64(c.Connected))
		}
	}
	if most == 0 {
		return summary{}
	}
	return summarize([]float64{most})
}

// verdict says whether the measured values meet a target: in all rounds, by the median alone, or not.
func (t *target) verdict(s summary) string {
	meets := func(v float64) bool {
		if t.least {
			return v >= t.limit
		}
		return v <= t.limit
	}
	worst := s.max
	if t.least {
		worst = s.min
	}
	switch {
	case s.n == 0:
		return "not measured"
	case meets(worst):
		return "met"
	case meets(s.median):
		return "met by the median"
	}
	return "**not met**"
}

// goal returns the limit as the tables show it.
func (t *target) goal() string {
	sign := "≤"
	if t.least {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s", sign, withUnit(short(t.limit), t.unit))
}

func withUnit(text, unit string) string {
	if unit == "" || text == "–" {
		return text
	}
	return text + " " + unit
}

// handFigures are the names of the figures that are measured in another way and added by hand.
var handFigures = []string{
	"bytes-per-peer", "longest-pause-ms", "idle-connections", "allocations-ws", "allocations-wss",
}

// addFigure adds a figure to a results file.
func addFigure(args []string) error {
	if len(args) < 4 || !slices.Contains(handFigures, args[1]) {
		return usageError{fmt.Errorf("figure needs FILE NAME VALUE HOW…; the names are %s", strings.Join(handFigures, ", "))}
	}
	value, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return usageError{fmt.Errorf("%q is no number", args[2])}
	}
	out, err := os.OpenFile(args[0], os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the results file: %w", err)
	}
	err = appendRecord(out, record{Kind: "figure", Time: time.Now().UTC().Round(time.Millisecond),
		Figure: &figureInfo{args[1], value, strings.Join(args[3:], " ")}})
	return errors.Join(err, out.Close())
}
