package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"millrace/config"
	"millrace/swarm"
)

// This file reads again what operators change while the tracker runs: on SIGUSR1, and by itself when a file has changed.
// A file is taken as a whole or not at all: a bad one leaves in force what was read before, and the log says why.

// watched is one or more files that are read again together.
type watched struct {
	key   string // of the configuration, for the log
	paths []string
	load  func() error // reads the files and puts them in force

	taken look // the files as they were when they were read last
	seen  look // the files as they were last seen
}

// look is what can be seen of files without reading them; nil stands for one that is not there.
type look []fs.FileInfo

// look returns what the files are like now.
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

// complete reports whether all files are there.
func (l look) complete() bool { return !slices.Contains(l, nil) }

// same reports whether two looks have seen the same versions of the same files.
func (l look) same(o look) bool {
	return slices.EqualFunc(l, o, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

// addFiles has files read again by load, which has read them already.
func (s *Server) addFiles(key string, load func() error, paths ...string) {
	w := &watched{key: key, paths: paths, load: load}
	w.taken = w.look()
	w.seen = w.taken
	s.files = append(s.files, w)
	for _, path := range paths {
		if err := s.user.checkReadable(key, path); err != nil {
			s.log.Warn(err.Error())
		}
	}
}

// Reload has all files read again, soon. Requests that come before that are one.
func (s *Server) Reload() {
	select {
	case s.reloads <- struct{}{}:
	default:
	}
}

// reloadAll does what Reload has asked for.
func (s *Server) reloadAll() {
	if len(s.files) == 0 {
		s.log.Info("nothing to reload: neither an access list nor a certificate is in use")
		return
	}
	for _, w := range s.files {
		s.reload(w, w.look())
	}
}

// reloadChanged reads the files that have changed since they were read, and have not changed since the last look: one
// that is being written is left alone until it rests.
func (s *Server) reloadChanged() {
	for _, w := range s.files {
		now := w.look()
		if now.complete() && !now.same(w.taken) && now.same(w.seen) {
			s.reload(w, now)
		}
		w.seen = now
	}
}

// reload reads files and logs what came of it.
func (s *Server) reload(w *watched, now look) {
	w.taken = now
	if err := w.load(); err != nil {
		s.log.Error("not reloaded: what was read before stays in force", "key", w.key, "error", err)
		return
	}
	s.log.Info("reloaded", "key", w.key, "files", w.paths)
}

// restTime is how long the reading of a list sleeps after each piece of work. On a machine without a core to spare the
// kernel would else let it run for milliseconds while an event loop waits: its threads are as good as the loop's.
const restTime = 200 * time.Microsecond

// rest lets the event loops run. A tracker that has stopped has none.
func (s *Server) rest() {
	select {
	case <-s.done:
	default:
		time.Sleep(restTime)
	}
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

// watchAccess has the access list read again when that is asked for. first is the rule that is in force already.
func (s *Server) watchAccess(c config.AccessList, first *swarm.Access) {
	if first == nil {
		return
	}
	s.log.Info("access list", "mode", c.Mode.String(), "info_hashes", first.List.Len())
	s.addFiles("access_list.path", func() error {
		rule, err := readAccess(c, s.rest)
		if err != nil {
			return err
		}
		for _, control := range s.controls {
			control.SetAccess(rule)
		}
		s.log.Info("access list", "mode", c.Mode.String(), "info_hashes", rule.List.Len())
		return nil
	}, c.Path)
}
