package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/trace"
)

// This file owns GET /debug/trace, which shows the last events of the shards:
//
//	/debug/trace?n=200&addr=192.0.2.1     what happened to the connections of a client, or of a network
//	/debug/trace?conn=17.3&shard=0        what happened to one connection, .3 (its generation) may be left out
//	/debug/trace?event=closed             events of one kind

// tracers returns the shards, of which each has a trace.
func tracers(controls []*shard.Control) []trace.Source {
	all := make([]trace.Source, len(controls))
	for k, c := range controls {
		all[k] = c
	}
	return all
}

// tracePage is the page with the last events.
type tracePage struct {
	tracers []trace.Source
	start   func() time.Time // at which the clock of the loops was zero
}

// answer answers one request.
func (p tracePage) answer(w http.ResponseWriter, r *http.Request) {
	filter, n, err := parseTraceQuery(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
	defer cancel()
	copies, errs := trace.Take(ctx, p.tracers)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	now := time.Now()
	fmt.Fprintf(w, "# now: %.6fs, %s\n", now.Sub(p.start()).Seconds(), now.UTC().Format(time.RFC3339Nano))
	for k, err := range errs {
		if err != nil {
			fmt.Fprintf(w, "# shard %d: cannot get its trace: %v\n", k, err)
		}
	}
	w.Write(trace.AppendText(nil, trace.Select(trace.Merge(copies...), filter, n), trace.NamesOf(copies)))
}

// defaultRecords is how many records are shown where the request does not say it.
const defaultRecords = 200

// parseTraceQuery reads what a request asks for. An error is a sentence for the client.
func parseTraceQuery(query url.Values) (f trace.Filter, n int, err error) {
	n = defaultRecords
	parsers := map[string]func(value string) error{
		"n":    func(v string) error { return setNumber(v, func(u uint32) { n = int(min(u, 1<<30)) }) },
		"addr": func(v string) (err error) { f.Client, err = parseNetwork(v); return err },
		"conn": func(v string) error {
			index, gen, hasGen := strings.Cut(v, ".")
			if err := setNumber(index, func(u uint32) { f.Index = &u }); err != nil || !hasGen {
				return err
			}
			return setNumber(gen, func(u uint32) { f.Gen = &u })
		},
		"shard": func(v string) error { return setNumber(v, func(u uint32) { f.Shard = &u }) },
		"event": func(v string) (err error) {
			var ok bool
			if f.Event, ok = trace.ParseEvent(v); !ok {
				err = fmt.Errorf("must be one of %s", strings.Join(trace.EventNames(), ", "))
			}
			return err
		},
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		parse, known := parsers[key]
		if !known {
			return f, 0, fmt.Errorf("%q is none of the parameters n, addr, conn, shard, event", key)
		}
		if err := parse(query.Get(key)); err != nil {
			return f, 0, fmt.Errorf("%s is %q, but %w", key, query.Get(key), err)
		}
	}
	return f, n, nil
}

// setNumber gives set the number that is written in value.
func setNumber(value string, set func(uint32)) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return errors.New("must be a whole number")
	}
	set(uint32(n))
	return nil
}

// parseNetwork reads a network, or an address, which stands for the network that holds nothing else.
func parseNetwork(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		return network, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, errors.New("must be an IP address or a network such as 192.0.2.0/24")
	}
	ip = ip.Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}
