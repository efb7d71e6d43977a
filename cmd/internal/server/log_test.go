package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
)

// This file proves the log lines about the choices at the start, and about trouble.

// TestLogTrouble proves that connections that never became a client's are one line at debug, whatever ended them, and that
// clients that misbehave are a line for each reason at info.
func TestLogTrouble(t *testing.T) {
	f := func(level slog.Level, want ...string) {
		t.Helper()
		var out bytes.Buffer
		s := &Server{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}
		var before, now shard.Stats
		before.Table.Closed[conn.ReasonTLS], now.Table.Closed[conn.ReasonTLS] = 10, 13
		now.Table.Closed[conn.ReasonBadRequest], now.Table.Closed[conn.ReasonProtocol] = 2, 7
		s.logTrouble(&before, &now)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != len(want) {
			t.Fatalf("logged\n%s", out.String())
		}
		for k, text := range want {
			if !strings.Contains(lines[k], text) {
				t.Errorf("line %d is %q, want %q", k, lines[k], text)
			}
		}
	}
	const client = `level=INFO msg="closed connections of misbehaving clients" count=7 reason=protocol_error`
	f(slog.LevelInfo, client)
	f(slog.LevelDebug, client, "level=DEBUG msg=\"closed connections that never became a client's, as probes of ports do\" count=5 "+
		`bad_request=2 last_bad_request="invalid AddrPort" tls_error=3 last_tls_error=`)
}

// TestLogFeatures proves that a kernel feature gets a line of its own, which says why, where the kernel lacks one that
// would be used, and no line where it is off for another reason.
func TestLogFeatures(t *testing.T) {
	var out bytes.Buffer
	s := &Server{log: slog.New(slog.NewTextHandler(&out, nil))}
	s.setup.ideal.Choices[0].On, s.setup.ideal.Choices[1].On = true, true
	s.setup.plan.Choices[0] = ring.Choice{Name: "used", On: true, Why: "available"}
	s.setup.plan.Choices[1] = ring.Choice{Name: "lacking", Why: "the kernel is old"}
	s.setup.plan.Choices[2] = ring.Choice{Name: "unwanted", Why: "switched off"}
	s.logFeatures()
	first, second, _ := strings.Cut(out.String(), "\n")
	if !strings.HasSuffix(first, `msg="kernel feature cannot be used" name=lacking why="the kernel is old"`) ||
		!strings.Contains(second, `msg="kernel features" used=used not_used=lacking,unwanted,`) ||
		strings.Count(second, "\n") != 1 {
		t.Errorf("logged\n%s", out.String())
	}
}
