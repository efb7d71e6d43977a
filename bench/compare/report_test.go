package main

// This file tests the pages and plots of the report, with a made-up comparison.

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/bench/load"
)

var update = flag.Bool("update", false, "write the expected tables anew")

// sample returns the results that the tests make tables of: made-up figures of a short comparison.
func sample(t *testing.T) *results {
	t.Helper()
	files, err := readRecords([]string{"testdata/sample.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	return gather(files)
}

// TestTables proves that the pages of the sample are those in testdata, word for word. A person has looked at those.
func TestTables(t *testing.T) {
	all := sample(t)
	f := func(name, got string) {
		t.Helper()
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("the tables differ from %s: look at them with -update and git diff\n%s", name, got)
		}
	}
	f("testdata/readme.md", shortPage(all))
	f("testdata/results.md", resultsPage(all))
}

// TestTargets proves the verdict about a target: by all rounds, by the median alone, not met, and not measured.
func TestTargets(t *testing.T) {
	most, least := &target{limit: 1}, &target{limit: 3, least: true}
	f := func(tg *target, values []float64, want string) {
		t.Helper()
		if got := tg.verdict(summarize(values)); got != want {
			t.Errorf("the verdict about %v is %q, want %q", values, got, want)
		}
	}
	f(most, nil, "not measured")
	f(most, []float64{0.8, 1, 0.9}, "met")
	f(most, []float64{0.8, 1.1, 0.9}, "met by the median")
	f(most, []float64{0.8, 1.1, 1.2}, "**not met**")
	f(least, []float64{3, 4, 5}, "met")
	f(least, []float64{2, 4, 5}, "met by the median")
	f(least, []float64{2, 2, 5}, "**not met**")
	for k := range targets {
		targets[k].of(&results{}) // none needs anything to be there
	}
}

// TestNotAhead proves that the list names every figure that is behind or level in any round, and none that is ahead in
// all.
func TestNotAhead(t *testing.T) {
	all := notAhead(sample(t))
	f := func(part string, want bool) {
		t.Helper()
		if got := slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, part) }); got != want {
			t.Errorf("a sentence that begins with %q is in the list: %v, want %v\n%s", part, got, want, strings.Join(all, "\n"))
		}
	}
	f("light, ws: announce to reply, median", true)
	f("light, ws: server CPU, µs per signalling cycle", false)
	f("storm, wss, full: server CPU, µs per connection", true)
	f("storm, wss, resumed: server CPU, µs per connection", false)
	f("latency against load: announce to reply, median, µs is not below that of aquatic_ws 0.9.0 at 250 (", true)
	f("heavy, ws: responses", false) // an open loop gives all the same work
	f("max, ws: responses", false)
	if got := notAhead(&results{}); len(got) != 1 {
		t.Errorf("without results the list is %q", got)
	}
}

// TestRatio proves that ratios pair runs of one round, and that files do not mix.
func TestRatio(t *testing.T) {
	files, err := readRecords([]string{"testdata/sample.jsonl", "testdata/sample.jsonl"})
	if err != nil {
		t.Fatal(err)
	}
	one, two := sample(t), gather(files)
	a, b := one.ratio(heavyWS, "cycle", millrace, reference), two.ratio(heavyWS, "cycle", millrace, reference)
	if a.n != 3 || b.n != 6 || a.median != b.median || a.min != b.min || a.max != b.max {
		t.Errorf("one file has ratios %v, the same file twice %v", a, b)
	}
	if limit(one.runs, reference) != 1500 || limit(one.runs, millrace) != 4000 {
		t.Errorf("the limits are %v and %v, want 1500 and 4000", limit(one.runs, reference), limit(one.runs, millrace))
	}
	if !one.full(heavyWS, reference) || one.full(heavyWS, millrace) {
		t.Error("aquatic_ws has used up its CPU in the sample, and millrace has not")
	}
}

// lived returns a run of a tracker that takes so many µs for a connection and for an announce.
func lived(workload, tracker string, round, connections, announces int, connection, announce float64) run {
	r := run{Workload: workload, Tracker: tracker, Round: round, Result: &load.Result{Measured: 1}}
	r.Result.During.Connected, r.Result.During.Announces = uint64(connections), uint64(announces)
	r.Result.During.Replies = uint64(announces)
	r.Result.Server.CPU = (float64(connections)*connection + float64(announces)*announce) / 1e6
	return r
}

// TestApart proves that the time of a connection and that of an announce are found from two loads of one round, and that
// rounds whose loads are alike, or of which one was not followed, are left out.
func TestApart(t *testing.T) {
	behind := lived(realWSS, millrace, 3, 48, 188, 600, 90)
	behind.Result.During.Replies = 1
	all := &results{runs: []run{
		lived(shortWSS, millrace, 1, 400, 400, 500, 100), lived(realWSS, millrace, 1, 48, 188, 500, 100),
		lived(realWSS, millrace, 2, 50, 200, 600, 90), lived(shortWSS, millrace, 2, 300, 320, 600, 90),
		lived(shortWSS, millrace, 3, 400, 400, 600, 90), behind,
		lived(shortWSS, millrace, 4, 400, 400, 600, 90), lived(realWSS, millrace, 4, 180, 190, 600, 90),
		lived(shortWSS, millrace, 5, 400, 400, 600, 90),
		lived(shortWSS, aquatic, 1, 400, 400, 300, 400), lived(realWSS, aquatic, 1, 48, 188, 300, 400),
	}}
	f := func(tracker string, wantConnection, wantAnnounce []float64) {
		t.Helper()
		connection, announce := all.apart(shortWSS, realWSS, tracker)
		near := func(a, b float64) bool { return max(a-b, b-a) < 1e-6 }
		if !slices.EqualFunc(connection, wantConnection, near) || !slices.EqualFunc(announce, wantAnnounce, near) {
			t.Errorf("%s: %v a connection and %v an announce, want %v and %v", tracker, connection, announce, wantConnection, wantAnnounce)
		}
	}
	f(millrace, []float64{500, 600}, []float64{100, 90})
	f(aquatic, []float64{300}, []float64{400})
	f(floorServer, nil, nil)
	if text := apartTable(all); !strings.Contains(text, "| wss | millrace | 550 (500–600, 2) | 95.0 (90.0–100, 2) |\n") {
		t.Errorf("the table is\n%s", text)
	}
	if text := apartTable(&results{}); text != "" {
		t.Errorf("without results the table is %q", text)
	}
}

// TestCurves proves that a curve has the cost and the latencies of the rates that a tracker followed, and that each rate at
// which another tracker is not behind is told.
func TestCurves(t *testing.T) {
	at := func(tracker string, rate, cycle, p50 float64) run {
		r := lived(sweepWSS, tracker, 1, 0, 10, 0, 0)
		r.Rate = rate
		r.Result.Server.CPUPerCycle, r.Result.Latency.Reply.P50, r.Result.Latency.Reply.P99 = cycle, p50, p50
		return r
	}
	lost := at(aquatic, 200, 1, 1)
	lost.Result.During.Replies = 5
	all := &results{runs: []run{at(millrace, 200, 20, 100), at(millrace, 100, 30, 300), at(aquatic, 100, 60, 200), lost}}
	if got := all.curve(sweepWSS, millrace); !slices.Equal(got, []point{{100, 30, 300, 300}, {200, 20, 100, 100}}) {
		t.Errorf("the curve is %v", got)
	}
	want := []string{
		"latency against load, wss: announce to reply, median, µs is not below that of aquatic_ws 0.9.0 at 100 (1.50 times) announces per second",
		"latency against load, wss: announce to reply, 99th percentile, µs is not below that of aquatic_ws 0.9.0 at 100 (1.50 times) announces per second",
	}
	if got := slowerAt(all); !slices.Equal(got, want) {
		t.Errorf("the sentences are %q", got)
	}
}

// TestReplace proves that only the text between the marks changes, any number of times, and that a page without them is
// an error and stays as it is.
func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "README.md")
	f := func(before, text, want string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		err := replaceBetween(name, text)
		if (err != nil) != (want == "") {
			t.Fatalf("replaceBetween: %v", err)
		}
		if want == "" {
			want = before
		}
		if got, _ := os.ReadFile(name); string(got) != want {
			t.Errorf("the page is %q, want %q", got, want)
		}
	}
	f("a\n"+beginMark+"\n"+endMark+"\nb\n", "new\n", "a\n"+beginMark+"\nnew\n"+endMark+"\nb\n")
	f("a\n"+beginMark+"\nold\n"+endMark+"\nb\n", "new\n", "a\n"+beginMark+"\nnew\n"+endMark+"\nb\n")
	f("a\n"+beginMark+"\nold\n", "new\n", "")
	f("a\n", "new\n", "")
}

// TestReport proves that the command fills both pages and keeps the text that stands there by hand, that README.md gets
// the short table alone, and that each plot is well-formed XML.
func TestReport(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, plotFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{"README.md": "**CPU time of the tracker", plotFolder + "/README.md": "(" + plotFolder}
	for name := range pages {
		text := "# by hand\n" + beginMark + "\n" + endMark + "\nby hand too\n"
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	if err := report(root, []string{"testdata/sample.jsonl"}, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "light, ws: announce to reply, median") {
		t.Errorf("the report says %q", said.String())
	}
	for name, absent := range pages {
		text, err := os.ReadFile(filepath.Join(root, name))
		page := string(text)
		if err != nil || !strings.HasPrefix(page, "# by hand\n") || !strings.HasSuffix(page, "\nby hand too\n") ||
			!strings.Contains(page, "cost.svg)") || strings.Contains(page, absent) {
			t.Errorf("%s is %v\n%s", name, err, page)
		}
	}
	for _, name := range plotNames {
		text, err := os.ReadFile(filepath.Join(root, plotFolder, name))
		if err != nil {
			t.Error(err)
		}
		for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
			t.Errorf("%s has coordinates that are no numbers", name)
		}
	}
	if err := report(root, nil, &said); !errors.As(err, new(usageError)) {
		t.Errorf("without files the report says %v", err)
	}
}
