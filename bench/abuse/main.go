// Command abuse plays attacks on a millrace tracker beside honest clients, and says what the honest clients felt.
//
// Each attack (attacks.go, lives.go) has a run of its own (run.go), with a tracker of its own (tracker.go). Honest
// clients (honest.go) are measured alone, then beside the attackers, which are another process (attacker.go). A row of
// the table (table.go) compares the two.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/bench/progress"
)

// Exit codes.
const (
	exitOK    = 0 // all rows meet their targets
	exitError = 1 // a row misses a target, or a run failed
	exitUsage = 2
)

func main() { os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// harness are the options of the program.
type harness struct {
	binary     string
	seconds    time.Duration // of each attack
	scale      float64
	shards     int
	attacks    []*attack
	transports []string
	json       bool
}

// command obeys the command line and returns the exit code.
func command(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 2 && args[0] == attackCommand {
		if err := obey(args[1], stdin, stdout); err != nil {
			fmt.Fprintln(stderr, "abuse:", err)
			return exitError
		}
		return exitOK
	}
	h, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "abuse:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	missed, err := h.all(ctx, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "abuse:", err)
		return exitError
	}
	if missed > 0 {
		fmt.Fprintf(stderr, "abuse: %d rows miss a target\n", missed)
		return exitError
	}
	return exitOK
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*harness, error) {
	h := &harness{}
	flags := flag.NewFlagSet("abuse", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&h.binary, "binary", "bin/millrace", "`file` of the tracker")
	seconds := flags.Float64("seconds", 6, "`seconds` of each attack")
	flags.Float64Var(&h.scale, "scale", 1, "`factor` of the number of attackers' connections")
	flags.IntVar(&h.shards, "shards", 1, "`number` of the tracker's shards")
	only := flags.String("only", "", "attacks to play: `names`, or beginnings of names, with commas; empty: all")
	transports := flags.String("transports", "ws,wss", "`names` with commas")
	flags.BoolVar(&h.json, "json", false, "print one JSON object a row, with all figures, times in nanoseconds")
	flags.Usage = func() {
		fmt.Fprint(stderr, "abuse plays attacks on a tracker beside honest clients.\n\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, "\nAttacks:\n")
		for _, a := range attacks {
			fmt.Fprintf(stderr, "  %-19s %s\n", a.name, a.about)
		}
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	h.seconds = time.Duration(*seconds * float64(time.Second))
	if flags.NArg() > 0 || h.seconds <= 0 || h.scale <= 0 || h.shards <= 0 {
		return nil, errors.New("there are no arguments, and -seconds, -scale and -shards are over 0 (-h explains)")
	}
	h.transports = strings.Split(*transports, ",")
	for _, t := range h.transports {
		if t != transport(false) && t != transport(true) {
			return nil, fmt.Errorf("-transports has %q, but there are ws and wss", t)
		}
	}
	var err error
	h.attacks, err = chosen(*only)
	return h, err
}

// chosen returns the attacks that the words name: a name, or the beginning of some.
func chosen(words string) (all []*attack, err error) {
	for i := range attacks {
		if slices.ContainsFunc(strings.Split(words, ","), func(w string) bool {
			return attacks[i].name == w || attackNamed(w) == nil && strings.HasPrefix(attacks[i].name, w)
		}) {
			all = append(all, &attacks[i])
		}
	}
	if len(all) == 0 {
		err = fmt.Errorf("no attack is called %q (-h lists all)", words)
	}
	return all, err
}

// match is an attack over one transport.
type match struct {
	*attack
	secure bool
}

// matches returns those that are to be played, in their order.
func (h *harness) matches() (all []match) {
	for _, a := range h.attacks {
		for _, t := range h.transports {
			if secure := t == transport(true); secure || !a.wssOnly {
				all = append(all, match{a, secure})
			}
		}
	}
	return all
}

// all plays the chosen attacks, prints a row for each, and returns how many rows miss a target. A line for each that
// begins goes to stderr, with the time that is left.
func (h *harness) all(ctx context.Context, stdout, stderr io.Writer) (missed int, err error) {
	matches, begun := h.matches(), time.Now()
	var steps progress.Steps
	for k, m := range matches {
		steps.Expect(fmt.Sprint(k), 1, h.planned(m.attack))
	}
	if !h.json {
		fmt.Fprint(stdout, tableHead)
	}
	for k, m := range matches {
		what := m.name + " over " + transport(m.secure)
		fmt.Fprintln(stderr, steps.Begin(fmt.Sprint(k), what, time.Since(begun)))
		r, err := h.play(ctx, m.attack, m.secure)
		if ctx.Err() != nil {
			return missed, errors.New("stopped by a signal")
		}
		if err != nil {
			return missed, fmt.Errorf("%s: %w", what, err)
		}
		if len(r.Misses) > 0 {
			missed++
		}
		if h.json {
			err = json.NewEncoder(stdout).Encode(r)
		} else {
			_, err = io.WriteString(stdout, r.line())
		}
		if err != nil {
			return missed, fmt.Errorf("cannot print a row: %w", err)
		}
	}
	return missed, nil
}

// play starts a tracker for one attack and plays it.
func (h *harness) play(ctx context.Context, a *attack, secure bool) (*row, error) {
	dir, err := os.MkdirTemp("", "millrace-abuse")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the tracker: %w", err)
	}
	defer os.RemoveAll(dir)
	s, err := baseSettings(h.binary, h.shards, secure)
	if err != nil {
		return nil, err
	}
	if a.tune != nil {
		a.tune(s)
	}
	t, err := startTracker(h.binary, dir, s)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	return h.run(ctx, a, secure, t)
}
