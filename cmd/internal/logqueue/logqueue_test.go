package logqueue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file proves that a log line never waits for its reader, and that each lost line is counted.

// reader is the far end of a log. It stands still while the test holds its lock.
type reader struct {
	sync.Mutex
	got    bytes.Buffer
	most   int           // bytes of the longest write
	gone   bool          // writes fail
	begun  chan struct{} // a token for each write that has begun, if not nil
	failed chan struct{} // and for each that has failed
}

func (r *reader) Write(p []byte) (int, error) {
	if r.begun != nil {
		r.begun <- struct{}{}
	}
	r.Lock()
	defer r.Unlock()
	if r.gone {
		r.failed <- struct{}{}
		return 0, errors.New("broken pipe")
	}
	r.most = max(r.most, len(p))
	return r.got.Write(p)
}

// patience bounds a hang; no test passes because of it.
const patience = 30 * time.Second

// TestLines proves that lines arrive whole and in order, from several goroutines, and that Close waits for them.
func TestLines(t *testing.T) {
	r := &reader{}
	q := New(r, 1<<20)
	var writers sync.WaitGroup
	for g := range 4 {
		writers.Go(func() {
			for k := range 1000 {
				fmt.Fprintf(q, "%d %d %s\n", g, k, strings.Repeat("x", k%50))
			}
		})
	}
	writers.Wait()
	long := strings.Repeat("y", 3*pieceSize) + "\n"
	io.WriteString(q, long)
	q.Close(patience)
	io.WriteString(q, "late\n")
	next := make([]int, 4)
	lines := strings.SplitAfter(r.got.String(), "\n")
	for _, line := range lines[:len(lines)-2] {
		var g, k int
		if _, err := fmt.Sscanf(line, "%d %d", &g, &k); err != nil || k != next[g] ||
			line != fmt.Sprintf("%d %d %s\n", g, k, strings.Repeat("x", k%50)) {
			t.Fatalf("got %q, %v", line, err)
		}
		next[g]++
	}
	if lines[len(lines)-2] != long || r.most != len(long) || len(lines) != 4002 || q.Dropped() != 1 {
		t.Errorf("%d lines, the longest write has %d bytes, %d dropped", len(lines), r.most, q.Dropped())
	}
}

// dropped is the line that says how many lines were dropped.
var dropped = regexp.MustCompile(`^time=\S+ level=WARN msg="log lines were dropped: [^"]+" count=(\d+)\n$`)

// TestReaderStandsStill proves that Write returns while the reader stands still, that the queue keeps as many bytes as
// it may and drops the lines after them, and that the log says how many once it moves again.
func TestReaderStandsStill(t *testing.T) {
	r := &reader{begun: make(chan struct{}, 1000)}
	q := New(r, 50)
	r.Lock()
	io.WriteString(q, "first 789\n")
	<-r.begun // the goroutine has taken it and waits
	for k := range 25 {
		fmt.Fprintf(q, "line %04d\n", k)
	}
	if q.Dropped() != 20 {
		t.Errorf("%d lines dropped, want 20", q.Dropped())
	}
	q.Close(0) // does not wait for ever
	r.Unlock()
	q.Close(patience)
	want := "first 789\n"
	for k := range 5 {
		want += fmt.Sprintf("line %04d\n", k)
	}
	// The count comes after the first line that got through again: it may be before or after the others.
	got := r.got.String()
	at := strings.Index(got, "time=")
	if at < 0 {
		t.Fatalf("got %q, and no count", got)
	}
	end := at + strings.IndexByte(got[at:], '\n') + 1
	if m := dropped.FindStringSubmatch(got[at:end]); m == nil || m[1] != "20" || got[:at]+got[end:] != want {
		t.Errorf("got %q", got)
	}
}

// TestReaderIsGone proves that lines are dropped and counted while writes fail, and that the log says how many once they
// succeed again.
func TestReaderIsGone(t *testing.T) {
	r := &reader{gone: true, failed: make(chan struct{})}
	q := New(r, 1<<20)
	for range 3 {
		io.WriteString(q, "lost\n")
		<-r.failed
	}
	r.Lock()
	r.gone = false
	r.Unlock()
	io.WriteString(q, "back\n")
	q.Close(patience)
	report, isBack := strings.CutPrefix(r.got.String(), "back\n")
	if m := dropped.FindStringSubmatch(report); !isBack || m == nil || m[1] != "3" || q.Dropped() != 3 {
		t.Errorf("got %q, %d dropped", r.got.String(), q.Dropped())
	}
}
