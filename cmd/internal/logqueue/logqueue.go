// Package logqueue keeps the log from holding up the program. A [Queue] takes lines at once and writes them in a
// goroutine of its own. While the reader of the log stands still, or is gone, lines are dropped and counted: nothing
// that matters waits for a log line.
package logqueue

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// Size is the number of bytes that wait for the reader at most, in whole lines. A second so many may be in the hands of
// the writing goroutine. At log_level = "trace" two shards can log a megabyte in one go.
const Size = 4 << 20

// pieceSize is how many bytes are written at a time, if a line is not longer: so many reach a pipe in one piece, although
// others write to it too.
//
// POSIX.1-2017, write: «Write requests of {PIPE_BUF} bytes or less shall not be interleaved with data from other
// processes doing writes on the same pipe.»
const pieceSize = 4096

// Queue is an [io.Writer] for log lines that never blocks. Any goroutine may use it.
type Queue struct {
	to    io.Writer // may block, and may fail
	size  int
	ended chan struct{} // closed when the goroutine has written all lines and Close was called

	mu       sync.Mutex
	filled   sync.Cond // lines is not empty, or closed is set
	lines    []byte
	closed   bool
	dropped  uint64 // since the start
	reported uint64 // of them, in the log
}

// New returns a queue in front of a writer, which only the queue may use from now on. size is that of [Size].
func New(to io.Writer, size int) *Queue {
	q := &Queue{to: to, size: size, ended: make(chan struct{})}
	q.filled.L = &q.mu
	go q.drain()
	return q
}

// Write takes one or more whole lines, or drops them where too much waits already. It keeps no reference to them, and
// its error is always nil.
func (q *Queue) Write(lines []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.lines)+len(lines) > q.size {
		q.dropped += count(lines)
		return len(lines), nil
	}
	q.lines = append(q.lines, lines...)
	q.filled.Signal()
	return len(lines), nil
}

// Dropped returns how many lines have been dropped since the start.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Close waits until all lines are written, but not longer than patience. Later lines are dropped.
func (q *Queue) Close(patience time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.filled.Signal()
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(patience):
	}
}

// drain writes the lines until the queue is closed and empty. What it cannot write is dropped.
func (q *Queue) drain() {
	defer close(q.ended)
	var taken []byte
	for q.take(&taken) {
		lost := q.write(taken)
		q.mu.Lock()
		q.dropped += lost
		unreported := q.dropped - q.reported
		q.mu.Unlock()
		if lost > 0 || unreported == 0 {
			continue
		}
		// The reader has moved again.
		report := fmt.Appendf(nil, "time=%s level=WARN msg=%q count=%d\n", time.Now().Format("2006-01-02T15:04:05.000Z07:00"),
			"log lines were dropped: the reader of the log stood still or was gone", unreported)
		if q.write(report) == 0 {
			q.mu.Lock()
			q.reported += unreported
			q.mu.Unlock()
		}
	}
}

// take waits for lines and exchanges them for the buffer in taken. It reports whether there are any: they end with
// Close.
func (q *Queue) take(taken *[]byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.closed {
		q.filled.Wait()
	}
	spare := (*taken)[:0]
	if cap(spare) > 64<<10 { // of a burst that is over
		spare = nil
	}
	*taken, q.lines = q.lines, spare
	return len(*taken) > 0
}

// write writes lines in pieces and returns how many it has lost. A piece that fails is lost, but not those after it.
func (q *Queue) write(lines []byte) (lost uint64) {
	for len(lines) > 0 {
		end := bytes.LastIndexByte(lines[:min(len(lines), pieceSize)], '\n') + 1
		if end == 0 {
			end = bytes.IndexByte(lines, '\n') + 1
		}
		if end == 0 {
			end = len(lines)
		}
		if n, err := q.to.Write(lines[:end]); err != nil {
			lost += max(1, count(lines[n:end]))
		}
		lines = lines[end:]
	}
	return lost
}

// count returns the number of lines.
func count(lines []byte) uint64 { return uint64(bytes.Count(lines, []byte{'\n'})) }
