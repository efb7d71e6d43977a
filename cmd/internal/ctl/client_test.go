package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// This file proves how commands speak to a tracker, with a server that answers as one does.

// serve answers on a unix socket and returns its address.
func serve(t *testing.T, answer func(r *http.Request) (status int, v any)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, v := answer(r)
		if status != http.StatusNotFound {
			w.Header().Set(OrderHeader, "1")
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return "unix:" + path
}

// run runs a command line at an address, and returns what it prints.
func run(t *testing.T, at, line string) (out, trouble string, err error) {
	t.Helper()
	c, err := Parse(strings.Fields(line))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err = c.Run(context.Background(), at, Terminal{Out: &stdout, Err: &stderr})
	return stdout.String(), stderr.String(), err
}

// TestRun proves that each command asks at its path, orders with POST and the field of orders, questions with GET and
// without it, and that the answer is printed as text or JSON.
func TestRun(t *testing.T) {
	f := func(line, request string, answer any, want string) {
		t.Helper()
		asked := ""
		at := serve(t, func(r *http.Request) (int, any) {
			if asked == "" {
				asked = fmt.Sprintf("%s %s order=%v", r.Method, r.URL, r.Header.Get(OrderHeader) != "")
			}
			return http.StatusOK, answer
		})
		out, _, err := run(t, at, line)
		if err != nil || asked != request || !strings.Contains(out, want) {
			t.Errorf("%q: %v\nasked %q, want %q\nprinted %q, want %q", line, err, asked, request, out, want)
		}
	}
	f("status", "GET /status? order=false", Status{Version: "v1"}, "millrace v1, process")
	f("status --json", "GET /status? order=false", Status{Version: "v1"}, "{\n  \"version\": \"v1\",\n")
	f("top", "GET /top?n=10 order=false", Top{}, "ADDRESS")
	f("client 192.0.2.1", "GET /client?address=192.0.2.1 order=false", Client{Address: "192.0.2.1"}, "192.0.2.1: 0 connections")
	f("torrent aa -n 3", "GET /torrent?hash=aa&n=3 order=false", Torrent{Swarms: []Swarm{{InfoHash: "aabb"}}}, "aabb: 0 seeders")
	f("trace", "GET /trace? order=false", Trace{Lines: []string{"a", "b"}}, "a\nb\n")
	f("ban 192.0.2.1 5", "POST /ban?address=192.0.2.1&minutes=5 order=true", Banned{Network: "192.0.2.1", Ended: 1}, "; 1 connection ended")
	f("unban 192.0.2.1", "POST /unban?address=192.0.2.1 order=true", Unbanned{"192.0.2.1", true}, "banned no more")
	f("unban 192.0.2.1", "POST /unban?address=192.0.2.1 order=true", Unbanned{"192.0.2.1", false}, "was not banned")
	f("reload", "POST /reload? order=true", Reloaded{[]ReloadedFile{{Key: "configuration"}}}, "configuration: read again")
	f("drain 9 --once", "POST /drain?seconds=9 order=true", Drain{5, 9}, "draining: 5 clients left, 9 s to go")
}

// TestFollow proves that a trace goes on from where it was, and tells of events that it has missed; and that a drain is
// watched until the tracker has ended.
func TestFollow(t *testing.T) {
	c, _ := Parse([]string{"trace", "-f", "-n", "7"})
	ctx, cancel := context.WithCancel(context.Background())
	var queries []string
	at := serve(t, func(r *http.Request) (int, any) {
		queries = append(queries, r.URL.RawQuery)
		if len(queries) == 3 {
			cancel()
		}
		return http.StatusOK, Trace{Lines: []string{fmt.Sprint("line ", len(queries))}, Missed: uint64(len(queries) - 1), Next: fmt.Sprint(len(queries))}
	})
	var stdout, stderr bytes.Buffer
	if err := c.Run(ctx, at, Terminal{Out: &stdout, Err: &stderr}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(queries, " "); got != "n=7 since=1 since=2" || !strings.HasPrefix(stdout.String(), "line 1\nline 2\n") ||
		!strings.HasPrefix(stderr.String(), "1 events were overwritten") {
		t.Errorf("asked %q, printed %q and %q", got, stdout.String(), stderr.String())
	}
}

// TestRefusals proves that an answer that is no success is an error with the tracker's words, that a failed part of a reload
// is one too, and that a program that is no tracker, or nobody at all, is named.
func TestRefusals(t *testing.T) {
	f := func(line string, status int, answer any, want string) {
		t.Helper()
		at := serve(t, func(*http.Request) (int, any) { return status, answer })
		if _, _, err := run(t, at, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
	f("status", 400, Failure{"the tracker says no"}, "the tracker says no")
	f("drain", 400, Failure{"the tracker says no"}, "the tracker says no")
	f("status", 404, "something", "is no tracker, or not its listener for commands: it answers with 404 Not Found")
	f("status", 200, 17, "cannot read the answer of the tracker, which may be of another version")
	f("reload", 200, Reloaded{[]ReloadedFile{{Key: "configuration", Error: "bad"}}}, "not all was read again")
	f("reload --json", 200, Reloaded{[]ReloadedFile{{Key: "configuration", Error: "bad"}}}, "not all was read again")
	if _, _, err := run(t, "unix:/nowhere/c", "status"); err == nil || !strings.HasPrefix(err.Error(), "cannot reach a tracker at unix:/nowhere/c: ") {
		t.Error(err)
	}
}
