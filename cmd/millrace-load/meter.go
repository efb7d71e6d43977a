package main

// This file shows the progress of a run on a terminal or in a log.

import (
	"fmt"
	"io"
	"os"
	"time"

	"millrace/bench/load"
)

// quietInterval is the time between two lines of progress in a log.
const quietInterval = 10 * time.Second

// meter shows the progress of a run: on a terminal in one line that changes every second, elsewhere in a line every ten
// seconds and at the beginning of every phase.
type meter struct {
	to       io.Writer
	terminal bool
	before   load.Progress // shown by the last line
	shown    bool
}

func newMeter(to io.Writer) *meter { return &meter{to: to, terminal: isTerminal(to)} }

// isTerminal reports whether w is a terminal, as far as its kind of file tells.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show prints the progress of the run, if it is time.
func (m *meter) show(p load.Progress) {
	if !m.terminal && m.shown && p.Phase == m.before.Phase && p.Elapsed-m.before.Elapsed < quietInterval {
		return
	}
	line := p.Line(&m.before)
	m.before, m.shown = p, true
	if m.terminal {
		// Back to the start of the line, erase it, and cut it off at the right edge: the rest in a second line would stay.
		fmt.Fprintf(m.to, "\r\x1b[K\x1b[?7l%s\x1b[?7h", line)
	} else {
		fmt.Fprintln(m.to, line)
	}
}

// end leaves the line.
func (m *meter) end() {
	if m.terminal && m.shown {
		fmt.Fprintln(m.to)
	}
}
