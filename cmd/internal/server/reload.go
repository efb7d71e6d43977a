package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"millrace/config"
	"millrace/swarm"
)

// This file reads again what operators change while the tracker runs: on SIGUSR1, and by itself when a file has changed.
// A file is taken as a whole or not at all: a bad one leaves in force what was read before, and the log says why.

// watchedFile is a file that is read again.
type watchedFile struct {
	key  string // of the configuration, for the log
	path string
	load func() error // reads the file and puts it in force

	mu    sync.Mutex  // Reload and reloadChanged do not meet
	taken fs.FileInfo // the file as it was when it was read last; nil: it was not there
	seen  fs.FileInfo // the file at the last look
}

// look returns the state of the file now, nil where it cannot be told.
func (f *watchedFile) look() fs.FileInfo {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil
	}
	return info
}

// same reports whether two looks have seen the same version of a file.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Reload reads all files again.
func (s *Server) Reload() {
	if len(s.files) == 0 {
		s.log.Info("nothing to reload: no access list is in use")
		return
	}
	for _, f := range s.files {
		f.mu.Lock()
		s.reload(f, f.look())
		f.mu.Unlock()
	}
}

// reloadChanged reads the files that have changed since they were read, and have not changed since the last look: one
// that is being written is left alone until it rests.
func (s *Server) reloadChanged() {
	for _, f := range s.files {
		f.mu.Lock()
		now := f.look()
		if now != nil && !same(now, f.taken) && same(now, f.seen) {
			s.reload(f, now)
		}
		f.seen = now
		f.mu.Unlock()
	}
}

// reload reads one file and logs what came of it.
func (s *Server) reload(f *watchedFile, now fs.FileInfo) {
	f.taken = now
	if err := f.load(); err != nil {
		s.log.Error("not reloaded: what was read before stays in force", "key", f.key, "error", err)
		return
	}
	s.log.Info("reloaded", "key", f.key, "file", f.path)
}

// readAccess reads the access list of the configuration; nil where there is none.
func readAccess(c config.AccessList) (*swarm.Access, error) {
	modes := map[config.AccessListMode]swarm.AccessMode{
		config.AccessListAllow: swarm.AccessAllow,
		config.AccessListDeny:  swarm.AccessDeny,
	}
	mode, ok := modes[c.Mode]
	if !ok {
		return nil, nil
	}
	data, err := os.ReadFile(c.Path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, fmt.Errorf("cannot read access_list.path %q: %w", c.Path, err)
	}
	list, err := swarm.ParseAccessList(data, c.Path)
	if err != nil {
		return nil, err
	}
	return &swarm.Access{Mode: mode, List: list}, nil
}

// watchAccess has the access list read again when that is asked for. first is the rule that is in force already.
func (s *Server) watchAccess(c config.AccessList, first *swarm.Access) {
	if first == nil {
		return
	}
	s.log.Info("access list", "mode", c.Mode.String(), "info_hashes", first.List.Len())
	f := &watchedFile{key: "access_list.path", path: c.Path}
	f.load = func() error {
		rule, err := readAccess(c)
		if err != nil {
			return err
		}
		for _, control := range s.controls {
			control.SetAccess(rule)
		}
		s.log.Info("access list", "mode", c.Mode.String(), "info_hashes", rule.List.Len())
		return nil
	}
	f.taken = f.look()
	f.seen = f.taken
	s.files = append(s.files, f)
}
