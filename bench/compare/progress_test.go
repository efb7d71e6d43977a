package main

// This file tests the lines that say how far a comparison is.

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestProgress proves that each run is announced with its number among all, and that the sum follows: the runs of a
// tracker that has failed leave it, and rounds beyond the least number join it.
func TestProgress(t *testing.T) {
	t.Setenv("COMPARE_TEST_COST", "20")
	f := func(names []string, least int, want ...string) {
		t.Helper()
		c, _ := playedComparison(t, names...)
		var said bytes.Buffer
		c.progress, c.options.rounds, c.options.maxRounds = &said, least, 3
		c.options.only = []string{heavyWS}
		w := &workload{name: heavyWS, title: "heavy", profile: "heavy", tls: true, figure: "cycle", trackers: names}
		c.plan()
		if err := c.compare(t.Context(), w, 0); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(said.String()) {
			line, times, _ := strings.Cut(line, "; ")
			if got = append(got, line); !strings.Contains(times, " elapsed, about ") || !strings.HasSuffix(times, " left\n") {
				t.Errorf("the times of a line are %q", times)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the lines are\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f([]string{millrace, "broken", reference}, 3,
		"[1/9] heavy-ws millrace, round 1 of 3", "[2/9] heavy-ws broken, round 1 of 3", "[3/9] heavy-ws aquatic, round 1 of 3",
		"[4/7] heavy-ws millrace, round 2 of 3", "[5/7] heavy-ws aquatic, round 2 of 3",
		"[6/7] heavy-ws millrace, round 3 of 3", "[7/7] heavy-ws aquatic, round 3 of 3")
	f([]string{millrace, reference}, 2,
		"[1/4] heavy-ws millrace, round 1 of 2", "[2/4] heavy-ws aquatic, round 1 of 2",
		"[3/4] heavy-ws millrace, round 2 of 2", "[4/4] heavy-ws aquatic, round 2 of 2",
		"[5/6] heavy-ws millrace, round 3 of at most 3", "[6/6] heavy-ws aquatic, round 3 of at most 3")
}

// TestRunText proves that a run of a sweep is told by its rate.
func TestRunText(t *testing.T) {
	c := &comparison{options: &options{rounds: 3, maxRounds: 7}}
	tr := played(millrace)
	f := func(w *workload, round int, rate float64, want string) {
		t.Helper()
		if got := c.runText(w, &tr, round, rate); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(&workload{}, 2, 0, "millrace, round 2 of 3")
	f(&workload{byLimit: 0.7}, 4, 1050, "millrace, round 4 of at most 7")
	f(&workload{rates: sweepRates}, 1, 1500, "millrace at 1500 announces/s")
	f(&workload{rates: sweepRates}, 2, 1500, "millrace at 1500 announces/s, once more")
}
