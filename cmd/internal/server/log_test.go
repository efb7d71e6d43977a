package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"millrace/ring"
)

// This file proves the log lines about the choices at the start.

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
