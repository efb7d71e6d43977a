// Package control answers the operator's commands on a listener of its own: it asks the shards for connections and torrents,
// and passes orders on. This file owns the requests; the words are those of package ctl.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/guard"
	"millrace/cmd/internal/shard"
)

// Parts are what the commands work with. Functions may be called from any goroutine.
type Parts struct {
	Shards    []*shard.Control
	Addresses func() *guard.Table  // which is nil where addresses have no limits
	Clock     func() time.Duration // of the loops
	Software  func(peerID []byte) string

	MayBan func(netip.Addr) error                          // why an address cannot be banned
	Log    func(order string, address string, args ...any) // notes an order about an address

	Status func() ctl.Status
	Reload func() (done <-chan struct{})
	Files  func() []ctl.ReloadedFile      // of the last reload
	Drain  func(over time.Duration) error // 0: the time of the configuration
	Left   func() *ctl.Drain              // nil: no drain is under way
}

// Handler answers requests.
type Handler struct {
	Parts
	local bool // it is reached by TCP: browsers of this machine can send requests too
	slots chan struct{}
	mux   http.ServeMux
	usage usage
}

// Bounds of requests.
const (
	most     = 4               // questions at a time: each makes the loops work
	patience = 5 * time.Second // of a question to the loops
)

// New returns a handler. local says that it listens on TCP, where requests are looked at more closely.
func New(p Parts, local bool) *Handler {
	h := &Handler{Parts: p, local: local, slots: make(chan struct{}, most)}
	h.get(ctl.PathStatus, func(context.Context, *http.Request) (any, error) { return p.Status(), nil })
	h.get(ctl.PathTop, h.inTurn(h.top))
	h.get(ctl.PathClient, h.inTurn(h.client))
	h.get(ctl.PathTorrent, h.inTurn(h.torrent))
	h.get(ctl.PathTrace, h.inTurn(h.trace))
	h.get(ctl.PathDrain, h.drained)
	h.post(ctl.PathBan, h.ban)
	h.post(ctl.PathUnban, h.unban)
	h.post(ctl.PathReload, h.reload)
	h.post(ctl.PathDrain, h.drain)
	return h
}

// answerer answers one request. An error is a sentence for the operator.
type answerer func(context.Context, *http.Request) (any, error)

func (h *Handler) get(path string, f answerer) {
	h.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, f) })
}

func (h *Handler) post(path string, f answerer) {
	h.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(ctl.OrderHeader) == "" {
			fail(w, http.StatusForbidden, fmt.Errorf("an order needs the field %s", ctl.OrderHeader))
			return
		}
		h.answer(w, r, f)
	})
}

// ServeHTTP answers a request. A name that leads here by DNS, as that of a hostile page may, is not ours.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(ctl.OrderHeader, "1")
	if h.local && !isLocal(r.Host) {
		fail(w, http.StatusForbidden, fmt.Errorf("the field Host is %q, but must be an address of this machine", r.Host))
		return
	}
	h.mux.ServeHTTP(w, r)
}

func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// inTurn has a question wait for a place. Orders need none: they must get through when many ask.
func (h *Handler) inTurn(f answerer) answerer {
	return func(ctx context.Context, r *http.Request) (any, error) {
		select {
		case h.slots <- struct{}{}:
			defer func() { <-h.slots }()
			return f(ctx, r)
		case <-time.After(patience):
			return nil, fmt.Errorf("%d other questions are being answered: try again: %w", most, context.DeadlineExceeded)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// answer answers a request.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, f answerer) {
	v, err := f(r.Context(), r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusServiceUnavailable
		}
		fail(w, status, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(ctl.Failure{Sentence: err.Error()})
}

// ask puts a question to every shard, all at once, and returns their answers, or the first error. Shards that have ended have
// nothing to show.
func ask[T any, L interface {
	*T
	shard.Look
}](ctx context.Context, shards []*shard.Control, question T) (looks []L, first error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errs := make(chan error, len(shards))
	for k, s := range shards {
		look := question
		looks = append(looks, &look)
		go func() {
			err := s.Look(ctx, L(&look))
			if errors.Is(err, shard.ErrEnded) {
				err = nil
			}
			if err != nil {
				err = fmt.Errorf("shard %d does not answer: %w", k, err)
			}
			errs <- err
		}()
	}
	for range shards {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return looks, first
}

// addressOf reads the address of a request, which may be a network where that is allowed.
func addressOf(r *http.Request, networks bool) (netip.Prefix, error) {
	text := r.FormValue("address")
	if p, err := netip.ParsePrefix(text); err == nil && networks {
		return p.Masked(), nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("the address is %q, but must be an IP address", text)
	}
	ip = ip.Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}

// numberOf reads a number of a request.
func numberOf(r *http.Request, key string, otherwise, most int) (int, error) {
	text := r.FormValue(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s is %q, but must be a whole number from 1 to %d", key, text, most)
	}
	return n, nil
}
