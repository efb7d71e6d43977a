package server

import (
	"fmt"
	"strings"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/wsproto"
)

// This file owns the answer to the question whether the tracker works.

// staleBeat is how long a loop may be silent before health checks fail: several times its publishing period.
const staleBeat = 5 * time.Second

// healthy reports whether every shard's loop turns and new clients are taken in. Any thread may ask.
func (s *Server) healthy() bool { return s.memory.level.Load() < shard.PressureConns && s.Turning() }

// Turning reports whether every shard's loop turns. Any thread may ask.
func (s *Server) Turning() bool { return s.longestSilence() <= staleBeat }

// longestSilence returns for how long a loop has said nothing, of that which has for longest.
func (s *Server) longestSilence() (longest time.Duration) {
	for _, c := range s.controls {
		longest = max(longest, s.silent(c))
	}
	return longest
}

// silent returns for how long a loop has said nothing.
func (s *Server) silent(c *shard.Control) time.Duration { return s.clock() - c.Beat() }

// health answers health checks on the listeners.
func (s *Server) health() (text string, ok bool) {
	text = "ok\n"
	if s.tls != nil {
		text += s.tls.describe(time.Now())
	}
	text += s.bridge.describe()
	return text[:min(len(text), wsproto.MaxText)], s.healthy()
}

// describe says how long the certificates last that the tracker gets by itself, and why one could not be renewed.
func (t *tlsServer) describe(now time.Time) string {
	m := t.acme.Load()
	if m == nil {
		return ""
	}
	var b strings.Builder
	for _, st := range m.Statuses() {
		fmt.Fprintf(&b, "certificate of %s: ", st.Domain)
		switch left := st.NotAfter.Sub(now); {
		case st.NotAfter.IsZero():
			b.WriteString("none yet")
		case left < 0:
			b.WriteString("expired at " + st.NotAfter.UTC().Format(time.RFC3339))
		default:
			fmt.Fprintf(&b, "good until %s", st.NotAfter.UTC().Format(time.RFC3339))
		}
		if st.Err != "" {
			fmt.Fprintf(&b, "; the last try failed at %s, see the log", st.FailedAt.UTC().Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
