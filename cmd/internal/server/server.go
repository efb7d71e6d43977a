// Package server makes a tracker out of a configuration: it tries the features of the kernel, chooses, opens sockets
// and rings, starts the threads in order and stops them in reverse. This file owns that order; each part has a file of
// its own.
package server

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/shard"
	"millrace/config"
	"millrace/ring/host"
	"millrace/swarm"
	"millrace/wsproto"
)

// Process is the part of the process around a tracker that it uses. Its functions may be called from any thread.
type Process struct {
	Log     *slog.Logger                   // it must not block
	Level   func(config.LogLevel)          // changes the least important level that Log logs; nil: it stays
	Version string                         // of the tracker, for the metrics
	Lost    func() uint64                  // how many lines of Log were dropped since the start
	File    string                         // the configuration file; empty: there is none
	Reread  func() (*config.Config, error) // reads it again
	Passed  *host.Passed                   // listening sockets that the service manager has passed; nil: none

	Stopping func() // is called when a stop or a drain begins; nil: nobody wants to know
	// Successor starts another process of the tracker's program, which inherits one end of a hand-over; nil: there can be no hand-over. root is
	// the root directory to which this process has changed, as it was seen before; empty: it has not.
	// HandingOver is called with 0 when a hand-over begins, and then with the process that goes on: this one, or the other, which serves
	// then. nil: nobody wants to know.
	Successor   func(root string, link *os.File) (*exec.Cmd, error)
	HandingOver func(pid int)

	// Predecessor is the link to the process that this one takes over from; nil: it starts from nothing.
	Predecessor *handover.Link

	Progress func(status string) // is told from time to time how far long work has come; nil: nobody wants to know
}

// setProcs is for tests, in which there are several trackers in a process.
var setProcs = runtime.GOMAXPROCS

// Server is a running tracker.
type Server struct {
	log       *slog.Logger
	process   Process
	config    atomic.Pointer[config.Config] // in force; it never changes, another one takes its place
	memory    *pressure                     // the limit of memory
	held      *heldHandler                  // of log, until LogStart
	user      privileges                    // with which the loops run
	setup     setup
	addr      netip.AddrPort // of the first listening socket, at the start
	start     time.Time
	controls  []*shard.Control
	addresses *guard.Table
	origins   *wsproto.Origins // the pages that may connect at the start; nil: all
	secrets   secrets          // keys of hashes
	inherits  *inheritance     // what comes from a predecessor, at the start; nil: there is none

	upgrades upgrades
	past     past // the counters of the processes before this one

	loops        sync.WaitGroup // loops that still turn
	threads      sync.WaitGroup // threads that still hold a ring
	over         chan struct{}  // closed when no thread holds a ring: ends the watchers
	watchers     sync.WaitGroup // goroutines that look after the process from time to time
	done         chan struct{}  // closed when all is over
	err          error          // why, before done is closed; guarded by once
	fail         sync.Once
	procs        int                         // GOMAXPROCS to restore
	served       atomic.Pointer[listenTable] // a copy of listening, for all
	listening    listenTable                 // belongs to the goroutine of watch, as those below do
	admin        *adminServer                // metrics; nil: not asked for
	control      *adminServer                // commands; nil: not asked for
	pages        pages                       // made by the goroutine of watch, read by all
	traces       *traceLog                   // nil: events are not logged
	bridge       *bridge                     // to the other nodes of a cluster; nil: it is alone
	tls          *tlsServer                  // nil: ws only
	rule         *swarm.Access               // the torrents that the configuration had served when it was read last; nil: all
	files        []*watched                  // the files that Reload reads again
	reloadCounts reloadCounts
	outcomes     []ctl.ReloadedFile // of the reload under way
	recent       recent
	known        map[string]bool           // problems that have been logged
	urls         atomic.Pointer[[]string]  // of the listening sockets
	drainUntil   atomic.Pointer[time.Time] // nil: no drain is under way
	work         atomic.Pointer[progress]  // long work that is under way; nil: none is
	reloads      chan struct{}             // a token when Reload was called
	asked        sync.Mutex                // guards reloaded
	reloaded     chan struct{}             // closed when the reload that was asked for is done; nil: none was
}

// Start starts a tracker. It returns when it accepts connections, or with one error that names the remedy. With a predecessor it has
// all that this had then.
func Start(cfg *config.Config, p Process) (*Server, error) {
	if p.Predecessor == nil {
		return start(cfg, p, nil)
	}
	in, err := greet(p.Predecessor, p.Version)
	if err == nil {
		if p.Passed, err = in.passed(cfg); err == nil {
			var s *Server
			if s, err = start(cfg, p, in); err == nil {
				return s, nil
			}
		}
	}
	p.Predecessor.Fail(err)
	return nil, err
}

// start is Start, with what comes from a predecessor; nil: there is none.
func start(cfg *config.Config, p Process, in *inheritance) (*Server, error) {
	held := &heldHandler{Handler: p.Log.Handler()}
	log := slog.New(held) // an error that keeps the tracker from starting must be the first line
	user, err := in.privileges(cfg.Privileges, log)
	if err != nil {
		return nil, err
	}
	set, err := prepare(cfg, log)
	if err != nil {
		return nil, err
	}
	var work atomic.Pointer[progress]
	rule, err := readAccess(cfg.AccessList, startReading(cfg.AccessList.Path, p.Log, p.Progress, &work).piece)
	if err != nil {
		return nil, err
	}
	pages, ownPage, err := readPages(cfg)
	if err != nil {
		return nil, err
	}
	secure, err := openTLS(cfg, user, log)
	if err != nil {
		return nil, err
	}
	if err := secure.saveTicketKeys(); err != nil {
		return nil, err
	}
	bridge, err := readBridge(&cfg.Cluster)
	if err != nil {
		return nil, err
	}
	memory, err := openPressure(set.memory, log)
	if err != nil {
		return nil, err
	}
	var none listenTable
	listening, err := none.next(cfg, set.shards, p.Passed)
	if err != nil {
		memory.close()
		return nil, err
	}
	s := &Server{
		log:     log,
		process: p,
		held:    held,
		setup:   set,
		user:    user,
		addr:    listening[0].addr,
		start:   time.Now(),
		over:    make(chan struct{}),
		done:    make(chan struct{}),
		reloads: make(chan struct{}, 1),
		// One P more than loops: a loop blocks in the kernel with its P in hand, and garbage collection needs another.
		procs:   setProcs(set.shards + 1),
		rule:    rule,
		tls:     secure,
		origins: pages,
		memory:  memory,
		bridge:  bridge,

		secrets:  newSecrets(),
		inherits: in,

		listening: listening,
	}
	s.config.Store(cfg)
	s.reloadCounts.at.Store(time.Now().Unix())
	s.showListening()
	s.pages.asked, s.pages.own = make(chan struct{}, 1), ownPage
	if err := s.startAll(cfg); err != nil {
		s.listening.closeFresh()
		memory.close()
		setProcs(s.procs)
		return nil, err
	}
	s.listening.taken()
	s.traces = startTraceLog(log, tracers(s.controls))
	s.logAccess(rule, cfg.AccessList)
	s.watchFiles(cfg, rule)
	s.checkFile()
	if cfg.HTTP.PagePath != "" {
		if err := s.user.checkReadable("http.page_path", cfg.HTTP.PagePath); err != nil {
			log.Warn(err.Error())
		}
	}
	s.makePages()
	s.watchers.Go(s.watch)
	s.watchers.Go(s.watchMemory)
	go s.join()
	return s, nil
}

// readPages returns the web pages that may connect, and the tracker's own page.
func readPages(cfg *config.Config) (pages *wsproto.Origins, own []byte, err error) {
	if pages, err = origins(&cfg.Network); err != nil {
		return nil, nil, err
	}
	own, err = readPage(cfg.HTTP.PagePath)
	return pages, own, err
}

// startAll starts the metrics and the shards. The metrics are first, since the shards are harder to take back.
func (s *Server) startAll(cfg *config.Config) (err error) {
	for range s.setup.shards {
		s.controls = append(s.controls, shard.NewControl())
	}
	if cfg.Metrics.RunPrometheusEndpoint {
		if s.admin, err = s.openAdmin(&cfg.Metrics); err != nil {
			return err
		}
	}
	if s.control, err = s.openControl(&cfg.Control); err == nil {
		err = s.startThreads(cfg)
	}
	if err != nil {
		s.admin.close()
		s.control.close()
		return err
	}
	s.admin.serve(s.log)
	s.control.serve(s.log)
	if s.inherits != nil {
		s.claim(s.inherits)
		s.inherits = nil
	}
	s.recent.add(s.moment())
	return nil
}

// Addr returns the address that the tracker listens on, with the port that was really taken.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Config returns the configuration in force, which is not to be changed. Any thread may ask.
func (s *Server) Config() *config.Config { return s.config.Load() }

// Done is closed when the tracker has ended, after Stop or a failure, and has given everything back.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err waits for Done and returns the failure that ended the tracker; nil after a stop.
func (s *Server) Err() error {
	<-s.done
	return s.err
}

// Clients returns how many connections and peers there were when the shards published last, a second ago as a rule.
func (s *Server) Clients() (connections, peers int) {
	for _, c := range s.controls {
		p := c.Last()
		connections += p.Shard.Open()
		peers += p.Shard.Torrents.Swarm.Peers
	}
	return connections, peers
}

// Snapshot asks every shard for its figures of this moment and returns them. Of a shard that stands still, or does not answer
// before the end of ctx, it returns the last ones: somebody who looks for the reason needs the others.
func (s *Server) Snapshot(ctx context.Context) []shard.Published {
	out := make([]shard.Published, len(s.controls))
	for k, c := range s.controls {
		if s.silent(c) <= staleBeat {
			select {
			case <-c.Publish():
			case <-ctx.Done():
			}
		}
		out[k] = c.Last()
	}
	return out
}
