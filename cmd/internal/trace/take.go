package trace

import (
	"context"
	"sync"
)

// This file takes copies from several loops.

// Source is a loop that remembers its last events. Trace may be called on any thread. It asks the loop for a copy of its trace
// and waits for it or for the end of ctx; when the loop has ended it returns the last copy.
type Source interface {
	Trace(ctx context.Context) (Copy, error)
}

// Take asks all sources at once. One that does not answer has an error and an empty copy: somebody who looks for the reason needs
// to see what the others say.
func Take[S Source](ctx context.Context, from []S) ([]Copy, []error) {
	copies, errs := make([]Copy, len(from)), make([]error, len(from))
	var answers sync.WaitGroup
	for k, s := range from {
		answers.Go(func() { copies[k], errs[k] = s.Trace(ctx) })
	}
	answers.Wait()
	return copies, errs
}

// NamesOf returns the names that the records of copies use; nil where no copy has any.
func NamesOf(copies []Copy) *Names {
	for k := range copies {
		if n := copies[k].Names; n != nil {
			return n
		}
	}
	return nil
}
