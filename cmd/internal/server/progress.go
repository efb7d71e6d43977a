package server

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// This file owns the progress of long work, which is the reading of large lists: how far it has come, for the log, the service
// manager and the status.

// progress is how far one piece of work has come.
type progress struct {
	what  string // "reading access_list.path"
	total int    // pieces, roughly
	done  atomic.Int64
	began time.Time
	told  time.Time // when that was logged last

	log  *slog.Logger
	tell func(status string) // the service manager; nil: there is none
}

// tellPeriod is how long work takes before it is told of, and how often then.
const tellPeriod = 5 * time.Second

// listPiece is about how many bytes of an access list make a piece of work: 41 for each hash, which takes 230 ns.
const listPiece = 41 * 100_000 / 230

// readingList begins to read an access list.
func (s *Server) readingList(path string) *progress {
	return startReading(path, s.log, s.process.Progress, &s.work)
}

// startReading begins to read an access list. The work is found at place until it ends.
func startReading(path string, log *slog.Logger, tell func(string), place *atomic.Pointer[progress]) *progress {
	p := &progress{what: "reading access_list.path", total: 1, began: time.Now(), log: log, tell: tell}
	p.told = p.began
	if info, err := os.Stat(path); err == nil {
		p.total = max(int(info.Size()/listPiece), 1)
	}
	place.Store(p)
	return p
}

// piece counts a piece of the work.
func (p *progress) piece() {
	p.done.Add(1)
	now := time.Now()
	if now.Sub(p.told) < tellPeriod {
		return
	}
	p.told = now
	p.log.Info(p.what, "percent", p.percent())
	if p.tell != nil {
		p.tell(p.String())
	}
}

// percent returns the share of the work that is done. Pieces are estimates: it ends when it ends.
func (p *progress) percent() int { return int(min(100*p.done.Load()/int64(p.total), 99)) }

// String returns the progress as people read it.
func (p *progress) String() string { return fmt.Sprintf("%s, about %d %% done", p.what, p.percent()) }

// underWay returns a line for the work that has taken a while; empty where there is none.
func (s *Server) underWay() string {
	if p := s.work.Load(); p != nil && time.Since(p.began) > time.Second {
		return p.String()
	}
	return ""
}
