package main

// This file is the command line of a comparison: its flags, their defaults, and which loads, trackers and CPUs they
// choose.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/bench/load"
)

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

// parseOptions reads the flags.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
		fmt.Fprint(stderr, choices())
	}
	only := f.String("only", "", "comma-separated workloads; default: all but "+strings.Join(extras(), ", "))
	which := f.String("trackers", "", "comma-separated trackers; default: all, with -base "+
		strings.Join(baseTrackers, ", "))
	f.IntVar(&o.rounds, "rounds", 0, fmt.Sprintf("rounds of each workload; 0: %d, and %d with -base", steady, baseRounds))
	f.IntVar(&o.maxRounds, "max-rounds", 0, fmt.Sprintf("most rounds, where the ratios do not agree within 10 %%; 0: %d, "+
		"or as many as -rounds where that is more", mostRounds))
	f.Float64Var(&o.duration, "duration", 0, "seconds of each measurement; 0: the workload's own")
	f.Float64Var(&o.scale, "scale", 1, "factor for the connections of each workload")
	f.BoolVar(&o.quick, "quick", false, "one round of 5 seconds each, to see that everything works")
	f.BoolVar(&o.offline, "offline", false, "fetch nothing: a tracker that is not installed is missing")
	f.BoolVar(&o.prebuilt, "prebuilt", false, "take millrace and the load tester from bin as they are")
	f.StringVar(&o.base, "base", "", "`commit` of millrace to compare the working tree with")
	server := f.String("server-cpus", "0,1", "CPUs of the server: as many of them as it needs")
	client := f.String("client-cpus", "1", "CPUs of the client")
	f.StringVar(&o.output, "o", "", "results `file`")
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
	o.setRounds()
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
	if o.base != "" && o.trackers == nil {
		o.trackers = baseTrackers
	}
	if err == nil && (o.rounds < 1 || o.maxRounds < o.rounds || o.scale <= 0 || o.duration < 0) {
		err = errors.New("-rounds must be at least 1, -max-rounds no less, -scale above 0 and -duration not below it")
	}
	if err != nil {
		return nil, usageError{err}
	}
	return o, nil
}

// choices lists the workloads and trackers for -h.
func choices() string {
	var b strings.Builder
	b.WriteString("\nWorkloads:\n")
	for k := range workloads {
		fmt.Fprintf(&b, "  %-15s%s\n", workloads[k].name, workloads[k].about)
	}
	fmt.Fprintf(&b, "  %-15s%s %s drives the trackers that speak TLS\n", foreign, foreignCrate, foreignVersion)
	b.WriteString("\nTrackers:\n")
	for _, t := range trackers("the commit of -base") {
		fmt.Fprintf(&b, "  %-19s%s\n", t.name, t.title)
	}
	return b.String()
}

// mostRounds are the most rounds of a workload by default.
const mostRounds = 7

// setRounds gives the rounds that the command line leaves open their defaults.
func (o *options) setRounds() {
	switch {
	case o.quick:
		o.rounds, o.maxRounds = 1, 1
	case o.rounds == 0 && o.base != "":
		o.rounds = baseRounds
	case o.rounds == 0:
		o.rounds = steady
	}
	if o.maxRounds == 0 {
		o.maxRounds = max(mostRounds, o.rounds)
	}
}

// names divides a list and checks that each name is known. It returns nil for an empty list.
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

// serverCPUs returns the CPUs of a tracker that needs so many cores, and clientCPUs those of its clients. The clients
// have their own; if the tracker needs those too, both share all CPUs of the server.
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

// wants reports whether a workload was chosen. An extra one runs only if -only names it.
func (o *options) wants(name string, extra bool) bool {
	return slices.Contains(o.only, name) || o.only == nil && !extra
}
