// Command upgrade replaces a running tracker by other processes, again and again and under load, and says what the clients felt.
//
// A run (run.go) has a tracker of its own (tracker.go), to which things happen while millrace-load's clients check every message.
// The counters of its metrics must not go back meanwhile (counters.go).
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
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitOK    = 0 // everything was right
	exitError = 1 // something was not, or a run failed
	exitUsage = 2
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// harness are the options of the program.
type harness struct {
	binary       string
	connections  int
	handovers    int
	seconds      time.Duration // that a hand-over takes at most on average
	ramp, settle time.Duration
	gap          time.Duration // the longest that is right between an announce and its reply
	transports   []string
	other        string   // a tracker to which every second hand-over goes; empty: all go to the same
	heir         string   // a program that fails as a successor
	failures     []string // its steps and deeds
	peers, swarm int      // of a measurement with many peers
	shards       int      // up to which it has them
	json         bool
	stderr       io.Writer
}

// allFailures are the failures of a successor that need no patience. One that hangs is another run: its clients wait.
const allFailures = "started exit,listeners exit,ready exit,state exit,connection exit,connections exit,peers exit,end exit,mine exit," +
	"started nonsense,listeners nonsense,state nonsense,end nonsense,mine nonsense"

// command obeys the command line and returns the exit code.
func command(args []string, stdout, stderr io.Writer) int {
	h, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "upgrade:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err = subreaper(); err == nil {
		if h.peers > 0 {
			err = h.crowds(ctx, stdout)
		} else {
			err = h.all(ctx, stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "upgrade:", err)
		return exitError
	}
	return exitOK
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*harness, error) {
	h := &harness{stderr: stderr}
	flags := flag.NewFlagSet("upgrade", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&h.binary, "binary", "bin/millrace", "`file` of the tracker")
	flags.StringVar(&h.other, "other", "", "`file` of another tracker: hand-overs go to it and back")
	flags.IntVar(&h.connections, "connections", 2000, "`number` of clients")
	flags.IntVar(&h.handovers, "handovers", 10, "`number` of hand-overs in a row")
	flags.DurationVar(&h.seconds, "seconds", 3*time.Second, "`time` that one hand-over takes at most on average: the load lasts for so long")
	flags.DurationVar(&h.ramp, "ramp", 10*time.Second, "`time` over which clients come")
	flags.DurationVar(&h.settle, "settle", 10*time.Second, "`time` of load before memory is measured")
	flags.DurationVar(&h.gap, "gap", longestGap, "the longest `time` that is right between an announce and its reply")
	transports := flags.String("transports", "ws,wss", "`names` with commas")
	flags.StringVar(&h.heir, "heir", "bin/millrace-fakeheir", "`file` of the program that fails as a successor")
	failures := flags.String("failures", allFailures, "`steps` at which it fails, each with what it does, with commas; empty: none")
	flags.IntVar(&h.peers, "peers", 0, "`number` of peers of a measurement with few clients in many torrents, in place of all others; 0: none")
	flags.IntVar(&h.shards, "shards", 2, "`number` up to which that measurement has shards")
	flags.IntVar(&h.swarm, "swarm", 2, "`number` of those peers in a swarm")
	flags.BoolVar(&h.json, "json", false, "print one JSON object a run")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || h.connections < 100 || h.handovers < 0 {
		return nil, errors.New("there are no arguments, and -connections is 100 or more (-h explains)")
	}
	if *failures != "" {
		h.failures = strings.Split(*failures, ",")
	}
	h.transports = strings.Split(*transports, ",")
	for _, t := range h.transports {
		if t != transport(false) && t != transport(true) {
			return nil, fmt.Errorf("-transports has %q, but there are ws and wss", t)
		}
	}
	return h, nil
}

// all does all runs, and prints what they have shown.
func (h *harness) all(ctx context.Context, stdout io.Writer) error {
	wrong := 0
	for _, t := range h.transports {
		for _, r := range h.runs() {
			o, err := h.run(ctx, t == transport(true), r.what, time.Duration(r.events)*h.seconds, r.play)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t, r.what, err)
			}
			wrong += len(o.Problems)
			if h.json {
				err = json.NewEncoder(stdout).Encode(o)
			} else {
				o.table(stdout)
			}
			if err != nil {
				return err
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d problems", wrong)
	}
	return nil
}

// plan is what a run is to show.
type plan struct {
	what   string
	events int
	play   func(s *session) error
}

// runs returns those that were asked for.
func (h *harness) runs() (all []plan) {
	if h.handovers > 0 {
		all = append(all, plan{"hand-overs", h.handovers, func(s *session) error { return s.handOvers(h.handovers) }})
	}
	if len(h.failures) > 0 {
		all = append(all, plan{"successors that fail", len(h.failures) + 1, func(s *session) error { return s.failures(h.failures) }})
	}
	return all
}
