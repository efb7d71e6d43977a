package server

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/config"
)

// This file proves that long work tells how far it has come.

// TestProgress proves that the estimate of a list's work is right within a factor of two, that work is told of every five
// seconds and not before, and that it never claims to be done.
func TestProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.txt")
	var list bytes.Buffer
	hash := make([]byte, 20)
	for range 200_000 {
		rand.Read(hash)
		list.WriteString(hex.EncodeToString(hash) + "\n")
	}
	if err := os.WriteFile(path, list.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	var told []string
	var place atomic.Pointer[progress]
	p := startReading(path, slog.New(slog.NewTextHandler(&lines, nil)), func(s string) { told = append(told, s) }, &place)
	if place.Load() != p {
		t.Error("the work is not found")
	}
	if _, err := readAccess(config.AccessList{Mode: config.AccessListDeny, Path: path}, p.piece); err != nil {
		t.Fatal(err)
	}
	if done := int(p.done.Load()); done < p.total/2 || done > 2*p.total {
		t.Errorf("%d pieces, estimated %d", done, p.total)
	}
	p.told, p.began = time.Now(), time.Now()
	p.piece()
	if lines.Len() > 0 || told != nil {
		t.Errorf("told at once: %q, %q", lines.String(), told)
	}
	p.told = time.Now().Add(-tellPeriod)
	p.done.Store(int64(p.total / 2))
	p.piece()
	p.piece()
	if strings.Count(lines.String(), `msg="reading access_list.path" percent=50`) != 1 || len(told) != 1 ||
		told[0] != "reading access_list.path, about 50 % done" {
		t.Errorf("told %q, %q", lines.String(), told)
	}
	p.done.Store(int64(3 * p.total))
	if got := p.percent(); got != 99 {
		t.Errorf("%d %%", got)
	}
	s := &Server{}
	if s.underWay() != "" {
		t.Error("work where there is none")
	}
	s.work.Store(p)
	if got := s.underWay(); got != "" {
		t.Errorf("work that has just begun: %q", got)
	}
	p.began = time.Now().Add(-2 * time.Second)
	if got := s.underWay(); got != "reading access_list.path, about 99 % done" {
		t.Error(got)
	}
}
