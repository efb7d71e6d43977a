package server

import (
	"encoding/json"
	"fmt"

	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/page"
	"millrace/cmd/internal/stats"
)

// This file owns the figures of the whole process that go on from those of the processes before it: its counters, and its last hour. Those
// of the shards are in shard.Totals.

// past are the figures of the processes before this one that are totals; all others are zero.
type past struct {
	Process   processFigures
	Addresses guard.Stats
	TLS       tlsFigures
}

// processTotals returns the figures that a successor goes on from: with those that this configuration does not show.
func (s *Server) processTotals() *past {
	p := &past{Process: *s.processFigures(len(s.controls)), Addresses: s.addressFigures(), TLS: s.tlsFigures()}
	stats.KeepTotals(&p.Process)
	stats.KeepTotals(&p.Addresses)
	stats.KeepTotals(&p.TLS)
	p.Process.HandOvers, p.Process.HandOversFailed = 0, 0 // handover.State has them
	return p
}

// sendProcessTotals sends them.
func (h *handOver) sendProcessTotals() error {
	text, err := json.Marshal(h.server.processTotals())
	if err != nil {
		panic("BUG: counters cannot be written as JSON: " + err.Error())
	}
	return h.link.SendRaw(handover.KindProcessTotals, text)
}

// inheritProcessTotals has the figures of the process go on from those of the predecessor.
func (s *Server) inheritProcessTotals(r *handover.Received) error {
	if err := json.Unmarshal(r.Fields, &s.past); err != nil {
		return fmt.Errorf("the counters of the process: %w", err)
	}
	return nil
}

// sendHour sends the samples of the last hour.
func (h *handOver) sendHour() error {
	text, err := json.Marshal(h.server.pages.hour.Samples())
	if err != nil {
		panic("BUG: samples cannot be written as JSON: " + err.Error())
	}
	return h.link.SendRaw(handover.KindHour, text)
}

// inheritHour has the plots of the last hour go on.
func (s *Server) inheritHour(r *handover.Received) error {
	var samples []page.Sample
	if err := json.Unmarshal(r.Fields, &samples); err != nil {
		return fmt.Errorf("the samples of the last hour: %w", err)
	}
	for _, sample := range samples {
		s.pages.hour.Add(sample)
	}
	return nil
}

// addressFigures returns the figures of client addresses, of this moment.
func (s *Server) addressFigures() (f guard.Stats) {
	if s.addresses != nil {
		f = s.addresses.Stats(s.clock())
	}
	stats.Add(&f, &s.past.Addresses)
	return f
}

// tlsFigures returns the figures of TLS, of this moment.
func (s *Server) tlsFigures() (f tlsFigures) {
	if s.tls != nil {
		f = *s.tls.figures()
	}
	stats.Add(&f, &s.past.TLS)
	return f
}
