package control

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"millrace/cmd/internal/ctl"
)

// This file proves in which order requests are answered.

// TestOrdersGetThrough proves that orders and the status are answered while as many questions as are allowed at a time are being
// answered, and that a further question waits for its turn.
func TestOrdersGetThrough(t *testing.T) {
	done := make(chan struct{})
	close(done)
	h := New(Parts{
		Status: func() ctl.Status { return ctl.Status{} },
		Left:   func() *ctl.Drain { return nil },
		Reload: func() <-chan struct{} { return done },
		Files:  func() []ctl.ReloadedFile { return nil },
	}, false)
	for range most {
		h.slots <- struct{}{}
	}
	f := func(ctx context.Context, method, path string, want int) {
		t.Helper()
		r := httptest.NewRequestWithContext(ctx, method, path, nil)
		r.Header.Set(ctl.OrderHeader, "1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end() // a request that waits for a place gives up at once
	f(ended, http.MethodGet, ctl.PathStatus, http.StatusOK)
	f(t.Context(), http.MethodPost, ctl.PathReload, http.StatusOK)
	f(ended, http.MethodGet, ctl.PathTrace, http.StatusBadRequest)
	<-h.slots
	f(t.Context(), http.MethodGet, ctl.PathTrace, http.StatusOK)
}
