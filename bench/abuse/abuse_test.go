package main

// This file proves that the harness sees what happens: honest clients alone are served in full, a fault that a tracker
// makes is noticed and counted, attackers get to where their attack begins, and small attacks leave honest clients
// served.

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets this program be the attackers' process too, as the main does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == attackCommand {
		os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// build builds the tracker and returns its file. The flag is the one of the Makefile.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "millrace")
	cmd := exec.Command("go", "build", "-ldflags=-checklinkname=0", "-o", binary, "../../cmd/millrace")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cannot build the tracker: %v\n%s", err, out)
	}
	return binary
}

// small is a harness for short runs with few attackers.
func small(binary string) *harness {
	return &harness{binary: binary, seconds: time.Second, scale: 0.1, shards: 1}
}

// served fails the test unless all honest clients were served, with and without the attack, and the figures add up.
func served(t *testing.T, r *row) {
	t.Helper()
	for name, c := range map[string]*counts{"calm": &r.Calm, "attacked": &r.Attacked} {
		if c.Exchanges == 0 || c.Served != c.Exchanges || c.Newcomers == 0 || c.Entered != c.Newcomers || c.Lost > 0 {
			t.Errorf("%s, %s: %d of %d exchanges, %d of %d newcomers, %d lost; want all and none lost", r.Attack, name,
				c.Served, c.Exchanges, c.Entered, c.Newcomers, c.Lost)
		}
		if c.Unfinished != 0 || c.Offers != offersOfAnnounce*c.Exchanges || len(c.latencies) != c.Exchanges ||
			c.Answers < c.Served || c.Answers > c.Offers || c.P50 <= 0 || c.P99 < c.P50 {
			t.Errorf("%s, %s: the figures do not add up: %+v", r.Attack, name, c)
		}
	}
	if r.Wrong > 0 || !r.Alive || r.MemoryBefore == 0 || r.MemoryPeak == 0 {
		t.Errorf("%s: %d unexpected messages, alive %t, memory %d and %d", r.Attack, r.Wrong, r.Alive, r.MemoryBefore,
			r.MemoryPeak)
	}
}

// TestFaultsAreNoticed proves that a tracker without a fault is found to have none, and that each fault of a tracker is
// in the figure that is meant for it.
func TestFaultsAreNoticed(t *testing.T) {
	f := func(name string, planted fault, miss string, check func(t *testing.T, r *row, planted int)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startFake(t, planted)
			a := &attack{name: name, residents: 4, bounds: bounds{memory: 1, anyMedian: true},
				disturb: func(_ context.Context, srv server) { srv.(*fake).armed.Store(true) }}
			r, err := small("").run(t.Context(), a, false, srv)
			if err != nil {
				t.Fatal(err)
			}
			n := int(srv.planted.Load())
			if planted != noFault && n == 0 {
				t.Fatal("the fake has made no fault")
			}
			if found := strings.Join(r.Misses, "; "); !strings.Contains(found, miss) || miss == "" && found != "" {
				t.Errorf("missed targets: %q, want %q", found, miss)
			}
			check(t, r, n)
		})
	}
	failed := func(r *row) int { return r.Attacked.Exchanges - r.Attacked.Served }
	f("none", noFault, "", func(t *testing.T, r *row, _ int) { served(t, r) })
	f("answers", losesAnswers, "exchanges failed", func(t *testing.T, r *row, n int) {
		if failed(r) == 0 || failed(r) > n {
			t.Errorf("%d exchanges failed, but %d answers were lost", failed(r), n)
		}
	})
	f("failures", refusesSome, "exchanges failed", func(t *testing.T, r *row, n int) {
		if failed(r) != n {
			t.Errorf("%d exchanges failed, want %d", failed(r), n)
		}
	})
	f("replies", losesReplies, "exchanges failed", func(t *testing.T, r *row, _ int) {
		if failed(r) == 0 {
			t.Error("no exchange failed")
		}
	})
	f("offers", changesOffers, "unexpected messages", func(t *testing.T, r *row, n int) {
		if r.Wrong == 0 || r.Wrong > n {
			t.Errorf("%d unexpected messages, but %d offers were changed", r.Wrong, n)
		}
	})
	f("close", closesOne, "1 honest connections were lost", func(*testing.T, *row, int) {})
	f("newcomers", refusesNewcomers, "newcomers did not get in", func(t *testing.T, r *row, n int) {
		if missing := r.Attacked.Newcomers - r.Attacked.Entered; missing != n {
			t.Errorf("%d newcomers did not get in, want %d", missing, n)
		}
	})
	f("junk", relaysJunk, "", func(t *testing.T, r *row, n int) {
		if r.Attacked.Junk == 0 || r.Attacked.Junk > n {
			t.Errorf("%d offers of attackers, but %d were relayed", r.Attacked.Junk, n)
		}
	})
}

// TestSmallAttacks proves that attackers reach the tracker and that honest clients are served beside a few of them.
func TestSmallAttacks(t *testing.T) {
	binary := build(t)
	f := func(name string, secure bool) {
		t.Helper()
		r, err := small(binary).play(t.Context(), attackNamed(name), secure)
		if err != nil {
			t.Fatal(err)
		}
		served(t, r)
		if r.Opened == 0 || r.SentPerSecond <= 0 {
			t.Errorf("%s: the attackers opened %d connections and sent %f bytes/s", name, r.Opened, r.SentPerSecond)
		}
		if a := attackNamed(name); (r.Entered == 0) == (a.stage == upgraded) {
			t.Errorf("%s: %d connections of the attackers were upgraded", name, r.Entered)
		}
	}
	f("tls-hello-drip", true)
	f("torrents", false)
	f("half-messages", false)
	f("giant-headers", true)
	f("close-games", false)
	f("campus", true)
}

// TestJudge proves each target: the sentence about a row that misses it, and none about a row that just meets it.
func TestJudge(t *testing.T) {
	f := func(want string, change func(*row)) {
		t.Helper()
		good := counts{Exchanges: 10, Served: 10, Newcomers: 2, Entered: 2, P50: time.Second}
		r := &row{Calm: good, Attacked: good, Alive: true, Seconds: 2, Residents: 20}
		change(r)
		b := bounds{memory: 1, descriptors: 10, junkRate: 20, junkBurst: 10, allServed: true}
		if got := strings.Join(r.judge(b), "; "); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("", func(*row) {})
	f("1 of 10 exchanges failed", func(r *row) { r.Attacked.Served-- })
	f("not sound: without the attack 9 of 10", func(r *row) { r.Calm.Served-- })
	f("not sound: nobody saw", func(r *row) { r.Attacked.Unfinished++ })
	f("not sound", func(r *row) { r.Attacked = counts{} })
	f("1 of 2 newcomers", func(r *row) { r.Attacked.Entered-- })
	f("3 honest connections", func(r *row) { r.Attacked.Lost = 3 })
	f("", func(r *row) { r.Attacked.P50 = 2 * time.Second })
	f("the median is over 2000 ms", func(r *row) { r.Attacked.P50 = 2*time.Second + 1 })
	f("", func(r *row) { r.Calm.P50, r.Attacked.P50 = 1, 1+medianSlack })
	f("", func(r *row) { r.MemoryPeak = 1 << 20 })
	f("more than 1 MiB", func(r *row) { r.MemoryPeak = 1<<20 + 1 })
	f("descriptors grew by 11", func(r *row) { r.DescriptorsPeak = 11 })
	f("", func(r *row) { r.Attacked.Junk = 50 * 30 })
	f("offers of attackers", func(r *row) { r.Attacked.Junk = 50*30 + 1 })
	f("9 of 10 good clients", func(r *row) { r.Connections, r.Entered = 10, 9 })
	f("11 of 10 good clients got in, 1 times", func(r *row) { r.Connections, r.Entered, r.Refused = 10, 11, 1 })
	f("the tracker has ended", func(r *row) { r.Alive = false })
	f("2 unexpected", func(r *row) { r.Wrong = 2 })
}

// TestPercentile proves which value a percentile is.
func TestPercentile(t *testing.T) {
	values := make([]time.Duration, 200)
	for k := range values {
		values[k] = time.Duration(k + 1)
	}
	f := func(n, p int, want time.Duration) {
		t.Helper()
		if got := percentile(values[:n], p); got != want {
			t.Errorf("percentile %d of 1 to %d is %d, want %d", p, n, got, want)
		}
	}
	f(0, 50, 0)
	f(1, 50, 1)
	f(2, 50, 1)
	f(3, 50, 2)
	f(200, 99, 198)
	f(10, 99, 10)
}

// TestAttacksAreComplete proves that every attack can be told apart and does something.
func TestAttacksAreComplete(t *testing.T) {
	var names []string
	for i := range attacks {
		a := &attacks[i]
		if a.life == nil && a.disturb == nil && a.movers+a.twins == 0 || (a.life == nil) != (a.connections == 0) {
			t.Errorf("%s does nothing", a.name)
		}
		if a.name == "" || a.about == "" || a.memory == 0 || slices.Contains(names, a.name) {
			t.Errorf("%q is not described, has no bound of memory, or is there twice", a.name)
		}
		names = append(names, a.name)
	}
}

// TestCommandLine proves the exit codes of command lines and which attacks they choose.
func TestCommandLine(t *testing.T) {
	f := func(code int, args ...string) {
		t.Helper()
		var out, err strings.Builder
		if got := command(args, nil, &out, &err); got != code || err.Len() == 0 {
			t.Errorf("%q: exit code %d and %q, want %d and a sentence", args, got, err.String(), code)
		}
	}
	f(exitOK, "-h")
	f(exitUsage, "-nonsense")
	f(exitUsage, "argument")
	f(exitUsage, "-scale", "0")
	f(exitUsage, "-only", "nonsense")
	f(exitUsage, "-transports", "ws,http")
	f(exitError, "-binary", "does-not-exist", "-only", "poison")
	f(exitError, attackCommand, "nonsense")
	g := func(words string, want ...string) {
		t.Helper()
		all, _ := chosen(words)
		if !slices.EqualFunc(all, want, func(a *attack, name string) bool { return a.name == name }) {
			t.Errorf("%q chooses %d attacks, want %q", words, len(all), want)
		}
	}
	g("pings-30", "pings-30")
	g("pings", "pings-30", "pings-100", "pings-300")
	g("poison,storm", "poison", "storm")
}

// TestMatches proves that each attack is played over the transports that it needs, that its line names it, and that the
// time that is planned for it covers the time in which it is measured.
func TestMatches(t *testing.T) {
	h := &harness{seconds: 6 * time.Second, scale: 1, attacks: []*attack{{name: "a", wssOnly: true},
		{name: "b", spread: 20 * time.Second}}, transports: []string{"ws", "wss"}}
	var names []string
	for _, m := range h.matches() {
		names = append(names, m.name+" "+transport(m.secure))
		if h.planned(m.attack) <= h.calmTime()+h.attackTime(m.attack) {
			t.Errorf("%v is planned for %s", h.planned(m.attack), m.name)
		}
	}
	if want := []string{"a wss", "b ws", "b wss"}; !slices.Equal(names, want) {
		t.Errorf("played are %q, want %q", names, want)
	}
	if a, b := h.attackTime(h.attacks[0]), h.attackTime(h.attacks[1]); a != 6*time.Second || b != 23*time.Second {
		t.Errorf("the attacks take %v and %v", a, b)
	}
	var out, errs strings.Builder
	command([]string{"-binary", "does-not-exist", "-only", "poison"}, nil, &out, &errs)
	if want := "[1/2] poison over ws; 0 s elapsed, about "; !strings.HasPrefix(errs.String(), want) {
		t.Errorf("the first line is %q, want %q", errs.String(), want)
	}
}

// TestLine proves the form of a row of the table.
func TestLine(t *testing.T) {
	r := &row{Attack: "a", Transport: "ws", Addresses: "1", Connections: 2, SentPerSecond: 1500, MemoryBefore: 1 << 20,
		MemoryPeak: 3 << 19, Calm: counts{P50: time.Millisecond, P99: 20 * time.Millisecond},
		Attacked: counts{P50: 1234 * time.Millisecond, P99: 3 * time.Second, Exchanges: 100000, Served: 99999, Offers: 4,
			Answers: 1, Lost: 3, Junk: 150}, Seconds: 2, Residents: 20, Misses: []string{"b", "c"}}
	want := "| a | ws | 1 | 2 | 1.5 | 1.00 → 1234 | 20.0 → 3000 | 99.9 % | 25 % | – | 3 | 2.5 | 1.0 → 1.5 | b; c |\n"
	if got := r.line(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}
