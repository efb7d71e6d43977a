package main

// This file tests rounds with trackers and a load tester that the test binary plays, the loads, and the flags.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/bench/certificate"
	"millrace/bench/load"
)

// The test binary plays both parts: called with "tracker" it accepts connections on a port, called with "-c" it is the
// load tester, which prints a result.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "tracker" {
		playTracker(os.Args[2], os.Args[3])
	}
	if len(os.Args) > 1 && os.Args[1] == "-c" {
		playTester(os.Args[2])
	}
	os.Exit(m.Run())
}

// playTracker listens until it is killed. The tracker "broken" ends at once.
func playTracker(name, port string) {
	if name == "broken" {
		fmt.Fprintln(os.Stderr, "cannot find its soul")
		os.Exit(3)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		c.Close()
	}
}

// playTester reports that the tracker at the configuration's pid took as many µs per cycle as the environment says. The
// value 0 means never to end.
func playTester(file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		os.Exit(2)
	}
	cfg, err := load.Read(file, text, "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var cost float64
	fmt.Sscan(os.Getenv("COMPARE_TEST_COST"), &cost)
	if cost == 0 {
		select {}
	}
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cfg.ServerPID[0]))
	if strings.Contains(string(command), millrace) {
		cost *= 2
	}
	result := load.Result{Config: cfg, Measured: cfg.Duration, Problems: []string{"a sentence"}}
	result.Server.PID, result.Server.CPUPerCycle = cfg.ServerPID[0], cost
	json.NewEncoder(os.Stdout).Encode(result)
	os.Exit(1) // as with any problem
}

// played returns a tracker that the test binary plays.
func played(name string) tracker {
	return tracker{name: name, title: name, tls: true, cores: 1, configure: func(p place) ([]string, map[string]string) {
		return []string{"tracker", name, fmt.Sprint(p.port)}, map[string]string{configFile: "x = 1\n"}
	}}
}

// playedComparison returns a comparison of played trackers, and its output.
func playedComparison(t *testing.T, names ...string) (*comparison, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison{options: &options{rounds: 3, maxRounds: 5, scale: 1, server: []int{0}, client: []int{0},
		runTimeout: time.Minute}, programs: map[string]program{}, tester: self, work: t.TempDir(), told: map[string]bool{}}
	var out bytes.Buffer
	c.out, c.log, c.progress = &out, t.Output(), t.Output()
	if err := certificate.Write(c.work); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		c.trackers = append(c.trackers, played(name))
		c.programs[name] = program{version: "1", build: "by hand", argv: []string{self}}
	}
	return c, &out
}

// TestCompare proves that trackers take turns round by round, that a failing one is on record with its last words and
// not tried again, that rounds end when the ratio has settled, and that records say how each was started.
func TestCompare(t *testing.T) {
	t.Setenv("COMPARE_TEST_COST", "20")
	c, out := playedComparison(t, millrace, "broken", reference)
	w := &workload{name: heavyWS, title: "heavy", profile: "heavy", tls: true, figure: "cycle",
		trackers: []string{millrace, "broken", reference}}
	if err := c.compare(t.Context(), w, 0); err != nil {
		t.Fatal(err)
	}
	records, err := parseRecords(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range records {
		switch r.Kind {
		case "run":
			order = append(order, fmt.Sprint(r.Run.Round, r.Run.Tracker))
			if r.Run.Tracker == "broken" && !strings.Contains(r.Run.Failed, "cannot find its soul") {
				t.Errorf("the failure is %q", r.Run.Failed)
			}
			if r.Run.Tracker != "broken" && (r.Run.Failed != "" || len(r.Run.Result.Problems) != 1) {
				t.Errorf("a run with problems is recorded as %+v", r.Run)
			}
		case "server":
			order = append(order, "server "+r.Server.Tracker+" "+r.Server.Version)
		case "rounds":
			order = append(order, fmt.Sprint(r.Rounds.Tracker, r.Rounds.Rounds, r.Rounds.Agree))
		}
	}
	want := "server millrace 1,1millrace,1broken,server aquatic 1,1aquatic,2millrace,2aquatic,3millrace,3aquatic,millrace3true"
	if got := strings.Join(order, ","); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("the records are\n%s, want\n%s", got, want)
	}
	if of := ratios(c.kept, w, millrace, reference); len(of) != 3 || of[0] != 2 {
		t.Errorf("the ratios are %v, want 2 three times", of)
	}
	if strings.Contains(out.String(), c.work) {
		t.Error("the records name folders of this machine")
	}
}

// TestUnsettled proves that a ratio that does not settle brings more rounds up to the bound, for it and the reference
// alone.
func TestUnsettled(t *testing.T) {
	w := &workload{name: heavyWS, figure: "cycle"}
	c := &comparison{}
	add := func(tracker string, round int, cost float64) {
		r := run{Workload: heavyWS, Tracker: tracker, Round: round, Result: &load.Result{}}
		r.Result.Server.CPUPerCycle = cost
		c.kept = append(c.kept, r)
	}
	present := []tracker{played(millrace), played(floorServer), played(reference)}
	f := func(costs []float64, want ...string) {
		t.Helper()
		c.kept = nil
		for k, cost := range costs {
			add(millrace, k+1, cost)
			add(floorServer, k+1, float64(k+1)) // not ours: it may spread as it likes
			add(reference, k+1, 10)
		}
		var got []string
		for _, tr := range c.unsettled(w, present) {
			got = append(got, tr.name)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("after %v go on %q, want %q", costs, got, want)
		}
	}
	f([]float64{5, 5, 5})
	f([]float64{5, 5, 6}, millrace, reference)
	f([]float64{5, 5}, millrace, reference)
	f([]float64{9, 5, 5, 5})
}

// TestCancel proves that a comparison that is interrupted in a run ends with that reason and leaves no process behind.
func TestCancel(t *testing.T) {
	t.Setenv("COMPARE_TEST_COST", "0")
	c, _ := playedComparison(t, millrace)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	c.out = writerFunc(func(b []byte) (int, error) { // the tracker runs when its configuration is recorded
		cancel(why)
		return len(b), nil
	})
	w := &workload{name: heavyWS, title: "heavy", profile: "heavy", figure: "cycle", trackers: []string{millrace}}
	if err := c.compare(ctx, w, 0); !errors.Is(err, why) {
		t.Errorf("the comparison ends with %v, want %v", err, why)
	}
	if left := processesBelow(t, c.work); len(left) > 0 {
		t.Errorf("these processes are left: %v", left)
	}
	if entries, err := os.ReadDir(c.work); err != nil || len(entries) != 2 {
		t.Errorf("beside the certificate and key these files are left: %v, %v", entries, err)
	}
}

// processesBelow returns the pids of processes whose working directory is in a folder.
func processesBelow(t *testing.T, dir string) (pids []string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if at, err := os.Readlink("/proc/" + entry.Name() + "/cwd"); err == nil && strings.HasPrefix(at, dir) {
			pids = append(pids, entry.Name())
		}
	}
	return pids
}

// writerFunc is a writer made of a function.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestWorkloads proves that each workload is a valid load, for every tracker that takes part, and that its names are
// known.
func TestWorkloads(t *testing.T) {
	for k := range workloads {
		w := &workloads[k]
		if w.rates == nil {
			figureOf(w.figure)
		}
		if w.about == "" || w.title == "" || len(w.trackers) == 0 {
			t.Errorf("%s lacks a title, a description or trackers", w.name)
		}
		for _, name := range w.trackers {
			if _, err := names(name, trackerNames(""), "tracker"); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
			for _, quick := range []bool{false, true} {
				cfg, err := w.config(&options{scale: 1, quick: quick}, &tracker{name: name}, 100)
				if err == nil {
					err = cfg.Validate()
				}
				if err != nil {
					t.Errorf("%s for %s: %v", w.name, name, err)
				}
				if wants := strings.HasPrefix(name, "aquatic"); cfg.AnswerReplies != wants {
					t.Errorf("%s for %s: answer_replies is %v, want %v", w.name, name, cfg.AnswerReplies, wants)
				}
			}
		}
	}
}

// TestOptions proves the checks and defaults of the command line, and the CPUs of servers and clients.
func TestOptions(t *testing.T) {
	f := func(args, wantErr string) *options {
		t.Helper()
		o, err := parseOptions(strings.Fields(args), t.Output())
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q gives %v, want %q", args, err, wantErr)
		}
		if err != nil && !errors.As(err, new(usageError)) {
			t.Errorf("%q gives an error that is not one of usage", args)
		}
		return o
	}
	f("-only heavy-ws,foreign -trackers millrace,floor -quick", "")
	f("-base HEAD -trackers millrace-base", "")
	f("-trackers millrace-base", "there is no tracker")
	f("-only heavy", "there is no workload")
	f("-rounds -1", "-rounds")
	f("-rounds 8 -max-rounds 7", "-max-rounds")
	f("-scale 0", "-scale")
	f("-server-cpus a", "no list of CPUs")
	f("-server-cpus 0,-1", "no list of CPUs")
	f("heavy-ws", "is no flag")
	f("-what", "what")
	o := f("", "")
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("the CPUs are %q, want %q", got, want)
		}
	}
	check(o.serverCPUs(1), "0")
	check(o.clientCPUs(1), "1")
	check(o.serverCPUs(2), "0,1")
	check(o.clientCPUs(2), "0,1")
	o = f("-server-cpus 0,1,2,3 -client-cpus 4,5", "")
	check(o.serverCPUs(2), "0,1")
	check(o.clientCPUs(2), "4,5")
	for list, want := range map[string]int{"0": 1, "0,1": 2, "0-3": 4, "0-1,4": 3} {
		if got := cpusIn(list); got != want {
			t.Errorf("cpusIn(%q) = %d, want %d", list, got, want)
		}
	}
	rounds := func(args string, least, most int) {
		t.Helper()
		if o := f(args, ""); o.rounds != least || o.maxRounds != most {
			t.Errorf("%q gives %d to %d rounds, want %d to %d", args, o.rounds, o.maxRounds, least, most)
		}
	}
	rounds("", steady, 7)
	rounds("-base HEAD", 5, 7)
	rounds("-base HEAD -rounds 9", 9, 9)
	rounds("-base HEAD -quick", 1, 1)
	if o := f("-base HEAD", ""); !slices.Equal(o.trackers, baseTrackers) {
		t.Errorf("with a base the trackers are %q", o.trackers)
	}
	if !o.wants(heavyWS, false) || o.wants("slow-ws", true) || !f("-only slow-ws", "").wants("slow-ws", true) {
		t.Error("extra workloads must run when they are named, and only then")
	}
}
