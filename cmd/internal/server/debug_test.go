package server

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/trace"
)

// This file proves the page with the last events on shards that are made up.

// fakeTracer is a shard that answers with a copy or an error.
type fakeTracer struct {
	copy trace.Copy
	err  error
}

func (f *fakeTracer) Trace(context.Context) (trace.Copy, error) { return f.copy, f.err }

// twoTracers are two shards: the first has accepted 250 connections, the second serves an announce for one of them.
func twoTracers() []trace.Source {
	var names trace.Names
	kind := names.Add("announce")
	zero, one := trace.New(0, 256, &names), trace.New(1, 16, &names)
	for k := range 250 {
		r := zero.Add()
		r.At, r.Event = time.Duration(k)*time.Second, trace.Accepted
		r.Client, r.Port = [16]byte{10: 0xff, 0xff, 192, 0, 2, byte(k)}, 7
		r.Conn = trace.Conn{Index: uint32(k), Gen: 3}
	}
	r := one.Add()
	r.At, r.Event, r.What, r.Decision = 17*time.Second, trace.Mail, kind, trace.Served
	r.Conn = trace.Conn{Index: 17, Gen: 3}
	return []trace.Source{&fakeTracer{copy: zero.Copy(nil)}, &fakeTracer{copy: one.Copy(nil)}}
}

// TestTracePage proves that the page shows the events of all shards that a request asks for, by time, the last 200
// where it does not say how many; that the clock of the first line is the loops'; and that a mistake gets a sentence.
func TestTracePage(t *testing.T) {
	page := tracePage{twoTracers(), func() time.Time { return time.Now().Add(-time.Hour) }}
	get := func(query string) (int, string) {
		w := httptest.NewRecorder()
		page.answer(w, httptest.NewRequest("GET", "/debug/trace"+query, nil))
		return w.Code, w.Body.String()
	}
	const accepted = "17.000000s shard 0 conn 17.3 192.0.2.17:7 accepted\n"
	const mailed = "17.000000s shard 1 for shard 0 conn 17.3 announce mailed by shard 0 → served\n"
	f := func(query, want string) {
		t.Helper()
		status, got := get(query)
		first, rest, _ := strings.Cut(got, "\n")
		var now time.Duration
		if seconds, _, ok := strings.Cut(strings.TrimPrefix(first, "# now: "), ","); ok {
			now, _ = time.ParseDuration(seconds)
		}
		if status != 200 || rest != want || now < time.Hour-time.Minute || now > 2*time.Hour {
			t.Errorf("%s: got %d\n%swant\n%s", query, status, got, want)
		}
	}
	f("?addr=192.0.2.17", accepted+mailed)
	f("?addr=192.0.2.17/32&n=1", mailed)
	f("?addr=::ffff:192.0.2.17", accepted+mailed)
	f("?conn=17", accepted+mailed)
	f("?conn=17.3&shard=0", accepted+mailed)
	f("?conn=17.4", "")
	f("?shard=1", "")
	f("?event=mail", mailed)
	f("?n=0", "")
	if _, got := get(""); strings.Count(got, "\n") != 1+200 || !strings.Contains(got, "conn 249.3 ") {
		t.Errorf("without a number: %d lines, want 1 and the last 200", strings.Count(got, "\n"))
	}
	if _, got := get("?n=4000000000"); strings.Count(got, "\n") != 1+251 {
		t.Errorf("all: %d lines, want 1 and 251", strings.Count(got, "\n"))
	}
	page.tracers = append(page.tracers, &fakeTracer{err: errors.New("it is asleep")})
	f("?event=mail", "# shard 2: cannot get its trace: it is asleep\n"+mailed)
}

// TestTraceQueryErrors proves that a request that cannot be understood gets a sentence.
func TestTraceQueryErrors(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		w := httptest.NewRecorder()
		tracePage{}.answer(w, httptest.NewRequest("GET", "/debug/trace"+query, nil))
		if got := w.Body.String(); w.Code != 400 || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %d %q, want 400 %q", query, w.Code, got, want)
		}
	}
	f("?n=many", `n is "many", but must be a whole number`)
	f("?n=-1", `n is "-1", but must be a whole number`)
	f("?addr=localhost", `addr is "localhost", but must be an IP address or a network such as 192.0.2.0/24`)
	f("?conn=a", `conn is "a", but must be a whole number`)
	f("?conn=1.x", `conn is "1.x", but must be a whole number`)
	f("?shard=99999999999", `shard is "99999999999", but must be a whole number`)
	f("?event=party", `event is "party", but must be one of accepted, adopted, `)
	f("?a=1&n=1", `"a" is none of the parameters n, addr, conn, shard, event`)
}

// TestTakeTraces proves that a shard that does not answer in time does not hide the others.
func TestTakeTraces(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	hangs := tracerFunc(func(ctx context.Context) (trace.Copy, error) {
		<-ctx.Done()
		return trace.Copy{}, ctx.Err()
	})
	last := tracerFunc(func(context.Context) (trace.Copy, error) {
		cancel()
		return trace.Copy{Added: 5}, nil
	})
	copies, errs := trace.Take(ctx, []trace.Source{hangs, last})
	if !errors.Is(errs[0], context.Canceled) || errs[1] != nil || copies[1].Added != 5 {
		t.Errorf("got %+v, %v", copies, errs)
	}
}

type tracerFunc func(context.Context) (trace.Copy, error)

func (f tracerFunc) Trace(ctx context.Context) (trace.Copy, error) { return f(ctx) }
