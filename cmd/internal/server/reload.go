package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/config"
	"millrace/swarm"
)

// This file owns the files that operators change while the tracker runs, but for the configuration itself (reconfigure.go).
// It reads them again when it is told to, and by itself when one has changed. A file is taken as a whole or not at all: after a bad one the previous version stays in
// force, and the log says why.

// The kinds of files that are read again, as the metrics name them.
const (
	reloadConfiguration = iota
	reloadAccessList
	reloadCertificate
	reloadKinds
)

var reloadNames = [reloadKinds]string{"configuration", "access_list", "certificate"}

// reloadCounts counts how often files were read again. Any thread may read them.
type reloadCounts struct {
	at     atomic.Int64                                  // when the configuration in force was read, in Unix time
	count  [reloadKinds][2]atomic.Uint64                 // that have succeeded, and failed
	latest [reloadKinds]atomic.Pointer[ctl.ReloadedFile] // what came of it
	all    atomic.Pointer[[]ctl.ReloadedFile]            // of the last reload that was asked for
}

// done counts a reading. key is the one of the configuration that names the file.
func (c *reloadCounts) done(kind int, key string, err error) ctl.ReloadedFile {
	result, outcome := 0, ctl.ReloadedFile{Key: key}
	if err != nil {
		result, outcome.Error = 1, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	c.latest[kind].Store(&outcome)
	c.count[kind][result].Add(1)
	if kind == reloadConfiguration && err == nil {
		c.at.Store(time.Now().Unix())
	}
	return outcome
}

// failing returns the files of which the last version could not be read.
func (c *reloadCounts) failing() (all []ctl.ReloadedFile) {
	for kind := range c.latest {
		if last := c.latest[kind].Load(); last != nil && last.Error != "" {
			all = append(all, *last)
		}
	}
	return all
}

// read returns how many have succeeded (0) or failed (1).
func (c *reloadCounts) read(result int) (all [reloadKinds]uint64) {
	for kind := range all {
		all[kind] = c.count[kind][result].Load()
	}
	return all
}

// watched is one or more files that are read again together.
type watched struct {
	kind  int    // for the metrics
	key   string // of the configuration, for the log
	paths []string
	load  func() error // reads the files and puts them in force

	taken look // the files as they were when they were read last
	seen  look // the files as they were last seen
}

// look is the state of files as the file system shows it without reading them; nil stands for a missing file.
type look []fs.FileInfo

// look returns the present state of the files.
func (w *watched) look() look {
	var l look
	for _, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		l = append(l, info)
	}
	return l
}

// same reports whether two looks have seen the same versions of the same files.
func (l look) same(o look) bool {
	return slices.EqualFunc(l, o, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

// addFiles adds files that load has read once and will read again.
func (s *Server) addFiles(kind int, key string, load func() error, paths ...string) {
	w := &watched{kind: kind, key: key, paths: paths, load: load}
	w.taken = w.look()
	w.seen = w.taken
	s.files = append(s.files, w)
	for _, path := range paths {
		if err := s.user.checkReadable(key, path); err != nil {
			s.log.Warn(err.Error())
		}
	}
}

// Reload makes the tracker read its configuration and all files again, soon. Several requests before that count as one. The channel is closed when
// that has been done; never, if the tracker ends before.
func (s *Server) Reload() <-chan struct{} {
	s.asked.Lock()
	defer s.asked.Unlock()
	if s.reloaded == nil {
		s.reloaded = make(chan struct{})
		s.reloads <- struct{}{} // there is room: the last token was taken before reloaded was
	}
	return s.reloaded
}

// reloadAsked does what Reload asks for. Later requests are new ones: the files may have changed since these were read.
func (s *Server) reloadAsked() {
	s.asked.Lock()
	done := s.reloaded
	s.reloaded = nil
	s.asked.Unlock()
	if s.tls != nil {
		s.tls.acme.Load().Retry()
	}
	s.outcomes = nil
	s.reconfigure()
	s.reloadAll()
	outcomes := s.outcomes
	s.reloadCounts.all.Store(&outcomes)
	close(done)
}

// reloadedFiles returns what came of the last reload that was asked for.
func (s *Server) reloadedFiles() []ctl.ReloadedFile {
	if all := s.reloadCounts.all.Load(); all != nil && *all != nil {
		return *all
	}
	return []ctl.ReloadedFile{}
}

// reloadAll reads all files again.
func (s *Server) reloadAll() {
	for _, w := range s.files {
		s.reload(w, w.look())
	}
}

// reloadChanged reads the files that have changed since they were read, and finds that one has gone. A file that has also
// changed since the last look may still be written, or have its place taken by another: it waits for the next look.
func (s *Server) reloadChanged() {
	for _, w := range s.files {
		now := w.look()
		if !now.same(w.taken) && now.same(w.seen) {
			s.reload(w, now)
		}
		w.seen = now
	}
}

// reload reads files and logs the result.
func (s *Server) reload(w *watched, now look) {
	w.taken = now
	err := w.load()
	s.outcomes = append(s.outcomes, s.reloadCounts.done(w.kind, w.key, err))
	if err != nil {
		s.log.Error("reload failed, keeping the previous version", "key", w.key, "error", err)
		return
	}
	s.log.Info("reloaded", "key", w.key, "files", w.paths)
}

// restTime is the sleep after each piece of work while a list is read. Without it, on a machine that has no core to
// spare, the kernel would let the reader run for milliseconds while an event loop waits: to the kernel all threads are
// equal.
const restTime = 200 * time.Microsecond

// rest lets the event loops run. It does not sleep after the tracker has stopped.
func (s *Server) rest() {
	select {
	case <-s.over:
	default:
		time.Sleep(restTime)
	}
}

// readAccess reads the access list while the loops run, and tells how far it has come.
func (s *Server) readAccess(c config.AccessList) (*swarm.Access, error) {
	p := s.readingList(c.Path)
	defer s.work.Store(nil)
	return readAccess(c, func() {
		p.piece()
		s.rest()
	})
}

// readAccess reads the access list of the configuration; nil where there is none. rest is called between pieces of the
// work, if it is not nil.
func readAccess(c config.AccessList, rest func()) (*swarm.Access, error) {
	modes := map[config.AccessListMode]swarm.AccessMode{
		config.AccessListAllow: swarm.AccessAllow,
		config.AccessListDeny:  swarm.AccessDeny,
	}
	mode, ok := modes[c.Mode]
	if !ok {
		return nil, nil
	}
	data, err := readFile(c.Path, rest)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("cannot read access_list.path %q: %w", c.Path, err)
	}
	list, err := swarm.ParseAccessList(data, c.Path, rest)
	if err != nil {
		return nil, err
	}
	return &swarm.Access{Mode: mode, List: list}, nil
}

// filePiece is how much of a file is read at a time, in bytes.
const filePiece = 256 << 10

// readFile reads a file like os.ReadFile, and rests between its pieces.
func readFile(path string, rest func()) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var data []byte
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		data = make([]byte, 0, info.Size()+1) // one more, for the read that finds the end
	}
	for {
		data = slices.Grow(data, 1)
		n, err := file.Read(data[len(data):min(cap(data), len(data)+filePiece)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if rest != nil {
			rest()
		}
	}
}

// watchFiles makes the list of the files that are read again. first is the rule of access in force, nil for none.
func (s *Server) watchFiles(cfg *config.Config, first *swarm.Access) {
	s.files = nil
	if first != nil {
		s.addFiles(reloadAccessList, "access_list.path", func() error { return s.loadAccess(cfg.AccessList) }, cfg.AccessList.Path)
	}
	if s.tls != nil && cfg.NeedsTLS() && len(cfg.TLS.ACMEDomains) == 0 {
		s.addFiles(reloadCertificate, "network.tls_certificate_path", func() error { return s.swapCertificate(cfg) },
			cfg.Network.TLSCertificatePath, cfg.Network.TLSPrivateKeyPath)
	}
}

// loadAccess reads the access list and puts it in force.
func (s *Server) loadAccess(c config.AccessList) error {
	rule, err := s.readAccess(c)
	if err != nil {
		return err
	}
	for _, control := range s.controls {
		control.SetAccess(rule)
	}
	s.logAccess(rule, c)
	return nil
}

// logAccess says how many torrents are in the access list.
func (s *Server) logAccess(rule *swarm.Access, c config.AccessList) {
	if rule != nil {
		s.log.Info("access list", "mode", c.Mode.String(), "info_hashes", rule.List.Len())
	}
}
