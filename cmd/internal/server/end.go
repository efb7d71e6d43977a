package server

import "time"

// This file owns the end: the reason, and the wait for everything that runs.

// failed keeps the first reason for which the tracker ended.
func (s *Server) failed(err error) { s.fail.Do(func() { s.err = err }) }

// endPatience is how long the end waits for a file that is being read again. A network file system may not answer at all.
const endPatience = 2 * time.Second

// waitForWatchers waits for the goroutines that look after the process, unless one hangs.
func (s *Server) waitForWatchers() {
	ended := make(chan struct{})
	go func() {
		s.watchers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endPatience):
		s.log.Warn("the stop does not wait for a file that is being read again: its file system does not answer")
	}
}

// join waits for all threads, closes everything else and reports the end.
func (s *Server) join() {
	s.threads.Wait()
	s.finish()
	close(s.over)
	s.waitForWatchers()
	s.traces.close()
	if s.HandedOver() {
		s.control.answerLast()
	}
	s.admin.close()
	s.control.close()
	if s.tls != nil {
		s.tls.acme.Load().Close()
	}
	for _, l := range s.listening {
		if l != nil && !s.HandedOver() {
			s.remove(l)
		}
	}
	setProcs(s.procs)
	close(s.done)
}
