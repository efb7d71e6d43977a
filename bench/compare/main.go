// Command compare runs WebTorrent trackers side by side under the loads of millrace-load, and makes tables and plots of
// what it sees.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"millrace/bench/load"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // the comparison or the report could not be made
	exitUsage = 2
)

const usage = `compare runs WebTorrent trackers side by side.

  compare [flags]                  run, and write bench/results/DATE-COMMIT.jsonl
  compare report FILE…             make tables and plots of results, and put the tables into README.md
  compare figure FILE NAME VALUE HOW…  add a figure to the results that was measured otherwise

Flags:
`

// options are the command line of a comparison.
type options struct {
	only, trackers    []string
	rounds, maxRounds int
	duration, scale   float64
	quick, offline    bool
	prebuilt          bool
	base              string
	server, client    []int
	output            string
	runTimeout        time.Duration
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command does what the command line asks for and returns the exit code.
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
	} else {
		var o *options
		if o, err = parseOptions(args, stderr); err == nil {
			err = runComparison(ctx, root, o, args, stdout)
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

// moduleRoot returns the folder of millrace's go.mod, from which everything else is found.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if text, e := os.ReadFile(filepath.Join(dir, "go.mod")); e == nil && strings.HasPrefix(string(text), "module millrace\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is not run inside the tree of millrace, whose programs it builds")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// parseOptions reads the flags.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	only := f.String("only", "", "comma-separated workloads; default: all but "+strings.Join(extras(), ", "))
	which := f.String("trackers", "", "comma-separated trackers; default: all")
	f.IntVar(&o.rounds, "rounds", steady, "rounds of each workload")
	f.IntVar(&o.maxRounds, "max-rounds", 7, "most rounds, where the ratios do not agree within 10 %")
	f.Float64Var(&o.duration, "duration", 0, "seconds of each measurement; 0: the workload's own")
	f.Float64Var(&o.scale, "scale", 1, "factor for the connections of each workload")
	f.BoolVar(&o.quick, "quick", false, "one round of 5 seconds each, for trying whether everything works")
	f.BoolVar(&o.offline, "offline", false, "fetch nothing: what is not installed is missing")
	f.BoolVar(&o.prebuilt, "prebuilt", false, "take millrace and the load tester from bin as they are")
	f.StringVar(&o.base, "base", "", "commit of millrace to compare with, as one more tracker")
	server := f.String("server-cpus", "0,1", "CPUs of the server: as many of them as it needs")
	client := f.String("client-cpus", "1", "CPUs of the client")
	f.StringVar(&o.output, "o", "", "results file; default: bench/results/DATE-COMMIT.jsonl")
	f.DurationVar(&o.runTimeout, "run-timeout", 3*time.Minute, "longest that a run may take beyond its own times")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, usageError{err}
	}
	if f.NArg() > 0 {
		return nil, usageError{fmt.Errorf("%q is no flag: compare -h lists them", f.Arg(0))}
	}
	if o.quick {
		o.rounds, o.maxRounds = 1, 1
	}
	var err error
	if o.server, err = parseCPUs(*server); err == nil {
		o.client, err = parseCPUs(*client)
	}
	if err == nil {
		o.only, err = names(*only, workloadNames(), "workload")
	}
	if err == nil {
		o.trackers, err = names(*which, trackerNames(o.base), "tracker")
	}
	if err == nil && (o.rounds < 1 || o.maxRounds < o.rounds || o.scale <= 0 || o.duration < 0) {
		err = errors.New("-rounds must be at least 1, -max-rounds no less, -scale above 0 and -duration not below it")
	}
	if err != nil {
		return nil, usageError{err}
	}
	return o, nil
}

// names divides a list and checks that each name is known. An empty list is nil.
func names(list string, known []string, kind string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	parts := strings.Split(list, ",")
	for _, name := range parts {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no %s %q: there are %s", kind, name, strings.Join(known, ", "))
		}
	}
	return parts, nil
}

// parseCPUs divides a list such as "0,1".
func parseCPUs(list string) (cpus []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no list of CPUs: write 0,1", list)
		}
		cpus = append(cpus, n)
	}
	return cpus, nil
}

// serverCPUs are those of a tracker that needs a number of them, and clientCPUs those of its clients: their own, or all
// of the machine's that are named where the tracker needs the clients' as well.
func (o *options) serverCPUs(cores int) string { return joinCPUs(o.server[:min(cores, len(o.server))]) }

func (o *options) clientCPUs(cores int) string {
	for _, cpu := range o.server[:min(cores, len(o.server))] {
		if slices.Contains(o.client, cpu) {
			return joinCPUs(o.server)
		}
	}
	return joinCPUs(o.client)
}

func joinCPUs(cpus []int) string {
	text := make([]string, len(cpus))
	for k, cpu := range cpus {
		text[k] = strconv.Itoa(cpu)
	}
	return strings.Join(text, ",")
}

// timeout bounds a run.
func (o *options) timeout(c load.Config) time.Duration {
	return o.runTimeout + time.Duration((c.Ramp+c.Warmup+c.Duration+c.Drain)*float64(time.Second))
}

func workloadNames() (all []string) {
	for k := range workloads {
		all = append(all, workloads[k].name)
	}
	return append(all, foreign)
}

func trackerNames(base string) (all []string) {
	for _, t := range trackers(base) {
		all = append(all, t.name)
	}
	return all
}

func extras() (all []string) {
	for k := range workloads {
		if workloads[k].extra {
			all = append(all, workloads[k].name)
		}
	}
	return all
}

// wants reports whether a workload shall run.
func (o *options) wants(name string, extra bool) bool {
	return slices.Contains(o.only, name) || o.only == nil && !extra
}

// runComparison installs, runs all workloads, and leaves a results file.
func runComparison(ctx context.Context, root string, o *options, args []string, stdout io.Writer) error {
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
	if err := writeCertificate(work); err != nil {
		return err
	}
	name, out, err := createOutput(root, o, about)
	if err != nil {
		return err
	}
	defer out.Close()
	c := &comparison{options: o, in: in, programs: map[string]program{}, tester: in.built("millrace-load"), work: work,
		out: out, log: stdout, told: map[string]bool{}}
	if err := c.write(record{Kind: "environment", Environment: about}); err != nil {
		return err
	}
	if err = c.installAll(ctx); err == nil {
		err = c.runAll(ctx)
	}
	fmt.Fprintln(stdout, "the results are in", name)
	return errors.Join(err, out.Close())
}

// createOutput opens the results file.
func createOutput(root string, o *options, about *environment) (string, *os.File, error) {
	name := o.output
	if name == "" {
		name = filepath.Join(root, "bench", "results", time.Now().UTC().Format("2006-01-02-1504")+"-"+about.Commit+".jsonl")
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

// installAll makes those trackers ready that take part in a workload, and records which are missing and why.
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
			err = fmt.Errorf("it needs %d CPUs and -server-cpus names %d", t.cores, len(c.options.server))
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

// estimate is how long the runs of all workloads take at least, sweeps not counted.
func (c *comparison) estimate() (total time.Duration) {
	for k := range workloads {
		w := &workloads[k]
		if !c.options.wants(w.name, w.extra) || w.rates != nil {
			continue
		}
		for _, t := range c.participants(w) {
			if cfg, err := w.config(c.options, &t, 0); err == nil {
				total += time.Duration((cfg.Ramp + cfg.Warmup + cfg.Duration) * float64(c.options.rounds) * float64(time.Second))
			}
		}
	}
	return total
}

// runAll runs the workloads that are asked for.
func (c *comparison) runAll(ctx context.Context) error {
	fmt.Fprintf(c.log, "this takes at least %v\n", c.estimate().Round(time.Minute))
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
			}
		default:
			err = c.compare(ctx, w, 0)
		}
		if err != nil {
			return err
		}
	}
	if c.options.wants(foreign, false) {
		return c.compareForeign(ctx)
	}
	return nil
}
