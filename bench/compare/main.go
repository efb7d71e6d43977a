// Command compare runs WebTorrent trackers side by side under the loads of millrace-load, and makes tables and plots of
// the results.
//
// Trackers (trackers.go) are built or installed once, then take turns in rounds (rounds.go) at the workloads
// (workloads.go), the server pinned to its CPU and the client to another. Every run is a line of a results file
// (records.go), from which the report is made, today's or an old one's (report.go, targets.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"millrace/bench/certificate"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // the comparison or the report could not be made
	exitUsage = 2
)

const usage = `compare runs WebTorrent trackers side by side.

  compare [flags]                  run, and write bench/results/DATE-COMMIT.jsonl;
                                   with -base bench/compare/.results/DATE-COMMIT.jsonl
  compare report FILE…             make tables and plots of results, for README.md and bench/results/README.md
  compare ratios FILE…             print the ratios to the base of results that were made with -base
  compare figure FILE NAME VALUE HOW…  add a figure to the results that was measured in another way

Flags:
`

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command obeys the command line and returns the exit code.
func command(args []string, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	root, err := moduleRoot()
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return exitError
	}
	if len(args) > 0 && args[0] == "report" {
		err = report(root, args[1:], stdout)
	} else if len(args) > 0 && args[0] == "figure" {
		err = addFigure(args[1:])
	} else if len(args) > 0 && args[0] == "ratios" {
		err = printRatios(args[1:], stdout)
	} else {
		var o *options
		if o, err = parseOptions(args, stderr); err == nil {
			err = runComparison(ctx, root, o, args, stdout, stderr)
		}
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "compare:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "compare:", err)
	return exitError
}

// usageError is a mistake in the command line.
type usageError struct{ error }

// moduleRoot returns the folder of millrace's go.mod. All other paths start there.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		text, e := os.ReadFile(filepath.Join(dir, "go.mod"))
		if e == nil && strings.HasPrefix(string(text), "module millrace\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is not run inside the tree of millrace, whose programs it builds")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// runComparison installs the trackers, runs the chosen workloads, and leaves a results file.
func runComparison(ctx context.Context, root string, o *options, args []string, stdout, stderr io.Writer) error {
	for _, need := range []string{"taskset", "make", "git"} {
		if _, err := exec.LookPath(need); err != nil {
			return fmt.Errorf("%s is not installed (taskset is in util-linux)", need)
		}
	}
	files, err := raiseFileLimit()
	if err != nil {
		return err
	}
	in := &installer{root: root, dir: os.Getenv("TRACKERS_DIR"), offline: o.offline, log: stdout}
	if in.dir == "" {
		in.dir = filepath.Join(root, "bench", "compare", ".trackers")
	}
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the folder for the trackers: %w", err)
	}
	if !o.prebuilt {
		if err := in.makeBuild(ctx); err != nil {
			return err
		}
	}
	about := readEnvironment(ctx, in, args)
	about.OpenFiles = files
	work, err := os.MkdirTemp("", "compare")
	if err != nil {
		return fmt.Errorf("cannot make a folder for the trackers' files: %w", err)
	}
	defer os.RemoveAll(work)
	if err := certificate.Write(work); err != nil {
		return err
	}
	name, out, err := createOutput(root, o, about)
	if err != nil {
		return err
	}
	defer out.Close()
	c := &comparison{options: o, in: in, programs: map[string]program{}, tester: in.built("millrace-load"), work: work,
		out: out, log: stdout, progress: stderr, told: map[string]bool{}}
	if err := c.write(record{Kind: "environment", Environment: about}); err != nil {
		return err
	}
	if err = c.installAll(ctx); err == nil {
		err = c.runAll(ctx)
	}
	fmt.Fprintln(stdout, "the results are in", name)
	if err = errors.Join(err, out.Close()); err == nil && o.base != "" {
		err = printRatios([]string{name}, stdout)
	}
	return err
}

// createOutput opens the results file.
func createOutput(root string, o *options, about *environment) (string, *os.File, error) {
	name := o.output
	if name == "" {
		folder := filepath.Join("bench", "results")
		if o.base != "" { // `make report` takes the latest file there, which is to have all trackers
			folder = baseFolder
		}
		name = filepath.Join(root, folder, time.Now().UTC().Format("2006-01-02-1504")+"-"+about.Commit+".jsonl")
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", nil, fmt.Errorf("cannot make the folder for the results: %w", err)
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return "", nil, fmt.Errorf("cannot open the results file: %w", err)
	}
	return name, out, nil
}

// installAll makes the chosen trackers ready, and records those that are missing, with the reason.
func (c *comparison) installAll(ctx context.Context) error {
	for _, t := range trackers(c.options.base) {
		if c.options.trackers != nil && !slices.Contains(c.options.trackers, t.name) {
			continue
		}
		prog, err := t.install(ctx, c.in)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && t.cores > len(c.options.server) {
			err = fmt.Errorf("it needs %d CPUs, but -server-cpus names %d", t.cores, len(c.options.server))
		}
		if err != nil {
			reason := c.in.reason(err)
			fmt.Fprintf(c.log, "%s is missing: %s\n", t.title, reason)
			if err := c.write(record{Kind: "missing", Missing: &missing{t.name, reason}}); err != nil {
				return err
			}
			continue
		}
		c.trackers = append(c.trackers, t)
		c.programs[t.name] = prog
	}
	return nil
}

// runAll runs the chosen workloads.
func (c *comparison) runAll(ctx context.Context) error {
	c.plan()
	for k := range workloads {
		w := &workloads[k]
		if !c.options.wants(w.name, w.extra) {
			continue
		}
		fmt.Fprintf(c.log, "%s: %s\n", w.title, w.about)
		var err error
		switch {
		case w.rates != nil:
			err = c.climb(ctx, w)
		case w.byLimit > 0:
			if highest := limit(c.kept, reference); highest > 0 {
				err = c.compare(ctx, w, w.byLimit*highest)
			} else {
				fmt.Fprintln(c.log, "  left out: the workload", sweep, "has not found the limit of", titleOf(reference))
				c.expect(w, 0)
			}
		default:
			err = c.compare(ctx, w, 0)
		}
		if err != nil {
			return err
		}
	}
	if c.options.wants(foreign, c.options.base != "") {
		return c.compareForeign(ctx)
	}
	return nil
}
