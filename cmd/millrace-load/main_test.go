package main

// This file tests the program from its arguments to its exit code.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/bench/load"
)

// call runs the program with a given run of the load, and returns its exit code and output.
func call(t *testing.T, drive runner, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, &out, &errs, drive)
	return code, out.String(), errs.String()
}

// never is a run of the load that must not begin.
func never(t *testing.T) runner {
	return func(context.Context, load.Config, func(load.Progress)) (load.Result, error) {
		t.Error("a load was run")
		return load.Result{}, nil
	}
}

// TestUsageErrors proves that a wrong command line, and a load that cannot be run, are told on stderr in a sentence,
// with exit code 2 and before anything is done.
func TestUsageErrors(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.toml")
	if err := os.WriteFile(wrong, []byte("offers = 3\nofers = 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := call(t, never(t), args...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "millrace-load: ") || !strings.Contains(stderr, want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q", args, code, stdout, stderr, want)
		}
	}
	f("-h explains", "-x")
	f("unexpected argument \"heavy\"", "heavy")
	f("invalid value \"many\" for flag -workers", "-workers", "many")
	f("there is no profile \"big\": the profiles are heavy,", "-profile", "big")
	f("no such file", "-c", wrong+".none")
	f(wrong+":2:1: there is no key \"ofers\"", "-c", wrong)
	f("-scale is 0,", "-scale", "0")
	f("-scale is NaN,", "-scale", "nan")
	f("-rate is -1,", "-rate", "-1")
	f("-rate needs a load with loop = \"open\"", "-rate", "100", "-profile", "max")
	f("write key=value", "-set", "offers")
	f("workers is 0, but must be", "-workers", "0")
	f("\"x\" is no process", "-pid", "9,x")
	f("duration is -1, but must be", "-duration", "-1")
	f("write the number of seconds", "-duration", "2s")
	f("url is \"http://a\"", "-url", "http://a")
	f("-html is empty", "-html", "")
	f("the page of -html cannot be written, so nothing was run: open "+wrong+"/page.html: not a directory: name a file", "-html",
		filepath.Join(wrong, "page.html"))
	f("answer_share is 2", "-set", "answer_share=2", "-set", "offers=5")
}

// TestPrints proves that help, version and loads are printed on stdout without running anything, and that a printed
// load is one that can be read again.
func TestPrints(t *testing.T) {
	f := func(want string, args ...string) string {
		t.Helper()
		code, stdout, stderr := call(t, never(t), args...)
		if code != exitOK || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q", args, code, stdout, stderr, want)
		}
		return stdout
	}
	help := f("Usage: millrace-load", "-h")
	for _, name := range load.Profiles() {
		if !strings.Contains(help, "\n  "+name+"\n      ") {
			t.Errorf("the help does not describe %s", name)
		}
		f("profile = \""+name+"\"", "-p", "-profile", name)
	}
	f("millrace-load ", "--version")
	f("connections = 4000\n", "-p")
	f("interval = 0.1\n", "-P", "-scale", "0.5", "-rate", "20000")

	file := filepath.Join(t.TempDir(), "load.toml")
	printed := f("connections = 200\n", "-P", "-profile", "storm", "-scale", "0.1", "-url", "wss://a/,wss://b/", "-pid", "9,10",
		"-metrics", "http://a/", "-duration", "26.5", "-workers", "2", "-seed", "5", "-set", "placement=tail")
	if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := f("", "-P", "--config-file", file); again != printed {
		t.Errorf("printed\n%s\nread and printed again\n%s", printed, again)
	}
}

// TestExitCodes proves how a run ends: 0 with its report when all was right, 1 when it was not or could not be run.
func TestExitCodes(t *testing.T) {
	drive := func(result load.Result, err error) runner {
		return func(_ context.Context, c load.Config, progress func(load.Progress)) (load.Result, error) {
			progress(load.Progress{Phase: load.PhaseMeasure, Elapsed: time.Second, Open: 12})
			result.Config = c
			return result, err
		}
	}
	f := func(drive runner, wantCode int, wantOut, wantErr string, args ...string) {
		t.Helper()
		code, stdout, stderr := call(t, drive, args...)
		if code != wantCode || !strings.Contains(stdout, wantOut) || !strings.Contains(stderr, wantErr) {
			t.Errorf("%q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	bad := load.Result{Problems: []string{"3 of 9 offers are missing."}}
	f(drive(load.Result{}, nil), exitOK, "The counts add up.", "measuring", "-profile", "light")
	f(drive(bad, nil), exitError, "- 3 of 9 offers are missing.", "12 open")
	f(drive(bad, nil), exitError, `"problems":["3 of 9 offers are missing."]`, "", "-json")
	f(drive(load.Result{}, errors.New("nobody listens")), exitError, "", "millrace-load: nobody listens\n")

	code, stdout, _ := call(t, drive(load.Result{}, nil), "--json", "-profile", "max")
	var got load.Result
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitOK || got.Config.Loop != "closed" {
		t.Errorf("-json: code %d, %v: %s", code, err, stdout)
	}
}

// TestPage proves that -html writes a page beside the report, also of a run with problems and with -json, that it takes the
// place of a longer one, and that a run that fails leaves the page that was there, or none.
func TestPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	f := func(result load.Result, failure error, args ...string) (page, stdout string) {
		t.Helper()
		code, stdout, stderr := call(t, func(_ context.Context, c load.Config, _ func(load.Progress)) (load.Result, error) {
			result.Config = c
			return result, failure
		}, append(args, "-html", file)...)
		if failed := failure != nil || !result.OK(); failed != (code == exitError) {
			t.Errorf("%q: code %d, %q", args, code, stderr)
		}
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return string(text), stdout
	}
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
	if page, _ := f(load.Result{}, errors.New("nobody listens")); page != "" {
		t.Errorf("a run that failed leaves the page %q", page)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a run that failed leaves an empty file")
	}
	page, stdout := f(load.Result{Problems: []string{"3 of 9 offers are missing, " + strings.Repeat("and more ", 1000)}}, nil)
	has(page, "<li>3 of 9 offers are missing")
	has(stdout, "Problems")
	if again, _ := f(load.Result{}, errors.New("nobody listens")); again != page {
		t.Error("a run that failed changes the page that was there")
	}
	page, stdout = f(load.Result{}, nil, "-json")
	has(page, "The counts add up")
	has(stdout, `{"config":`)
	if !strings.HasSuffix(page, "</html>\n") || strings.Count(page, "</html>") > 1 {
		t.Errorf("the page ends with %q", page[len(page)-100:])
	}
}

// TestInterrupt proves that a run which is ended by a signal is reported with the figures up to then.
func TestInterrupt(t *testing.T) {
	for _, failure := range []error{nil, context.Canceled} {
		ctx, cancel := context.WithCancel(context.Background())
		drive := func(ctx context.Context, c load.Config, _ func(load.Progress)) (load.Result, error) {
			cancel()
			<-ctx.Done()
			return load.Result{Config: c, Measured: 3}, failure
		}
		var stdout, stderr bytes.Buffer
		code := run(ctx, nil, &stdout, &stderr, drive)
		if code != exitOK || !strings.Contains(stdout.String(), "measured for 3.0 s") || stderr.Len() > 0 {
			t.Errorf("%v: code %d, stdout %q, stderr %q", failure, code, stdout.String(), stderr.String())
		}
	}
}

// TestMeter proves how progress is shown: on a terminal always in the same line, elsewhere in a line per phase and
// every ten seconds.
func TestMeter(t *testing.T) {
	f := func(terminal bool, want int, separator string) {
		t.Helper()
		var b bytes.Buffer
		m := meter{to: &b, terminal: terminal}
		for second := range 30 {
			p := load.Progress{Phase: load.PhaseRamp, Elapsed: time.Duration(second) * time.Second}
			if second >= 5 {
				p.Phase = load.PhaseMeasure
			}
			m.show(p)
		}
		m.end()
		if got := strings.Count(b.String(), separator); got != want {
			t.Errorf("terminal %v: %d lines, want %d: %q", terminal, got, want, b.String())
		}
	}
	f(true, 30, "\r\x1b[K")
	f(true, 1, "\n")
	f(false, 4, "\n") // at 0, 5, 15 and 25 s
	if isTerminal(&bytes.Buffer{}) {
		t.Error("a buffer is taken for a terminal")
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(file) {
		t.Error("a file is taken for a terminal")
	}
}
