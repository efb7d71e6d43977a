// Command millrace-simulate plays simulations of whole shards with new random seeds, one per core at a time, until its
// time is up or one of them fails. It prints a failure with its seed, the command that replays it, and the last events
// of each shard.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"millrace/cmd/internal/simulation"
)

// Exit codes.
const (
	exitOK    = 0 // no simulation failed
	exitError = 1 // a simulation failed, or does not end
	exitUsage = 2 // the command line is wrong
)

// usage is the text for -h.
const usage = `Usage: millrace-simulate [-cluster] [-minutes N] [-from SEED]
       millrace-simulate [-cluster] -seed SEED

millrace-simulate runs whole shards over a kernel of plain memory, with random clients and faults, and checks every
message to a client and everything that remains. It plays one simulation per core at a time.

  -cluster     play clusters of nodes, each of them with shards, on a bus that fails, not single processes
  -minutes N   play new seeds for so many minutes (default 1)
  -from SEED   play the seeds from this one on; without it, from a random one
  -seed SEED   play this seed only, to replay a failure
  -h, -help    print this text, and exit

The exit code is 0 if no simulation failed, 1 if one failed, 2 if the command line is wrong. SIGINT and SIGTERM end it.
Every ten seconds a line on stderr says how many seeds were played, and how much time is left.
`

// hangTime is how long a simulation may take when the time is up. It takes a fraction of a second.
const hangTime = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, simulation.Run, simulation.RunCluster))
}

// command is a command line that has been understood.
type command struct {
	minutes  float64
	from     uint64 // the first seed
	only     bool   // and the last one
	isRandom bool   // from is random
	cluster  bool   // clusters are played
}

// parse reads the arguments that follow the program's name. The error is [flag.ErrHelp] or a sentence that mentions -h.
func parse(args []string) (command, error) {
	var c command
	var seed uint64
	flags := flag.NewFlagSet("millrace-simulate", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.cluster, "cluster", false, "")
	flags.Float64Var(&c.minutes, "minutes", 1, "")
	flags.Uint64Var(&c.from, "from", 0, "")
	flags.Uint64Var(&seed, "seed", 0, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return command{}, err
		}
		return command{}, fmt.Errorf("%w (-h explains)", err)
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	switch {
	case flags.NArg() > 0:
		return command{}, fmt.Errorf("unexpected argument %q (-h explains)", flags.Arg(0))
	case set["seed"] && (set["minutes"] || set["from"]):
		return command{}, errors.New("-seed plays one seed, so -minutes and -from cannot stand beside it (-h explains)")
	case set["seed"]:
		c.from, c.only = seed, true
	case !(c.minutes > 0 && c.minutes <= 1e6):
		return command{}, fmt.Errorf("-minutes is %v, but must be over 0 and at most 1e6 (-h explains)", c.minutes)
	case !set["from"]:
		c.from, c.isRandom = rand.Uint64(), true
	}
	return c, nil
}

// run does what the command line asks for, with simulations of single processes or of clusters, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, process, cluster simulator) int {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "millrace-simulate:", err)
		return exitUsage
	}
	f := newFleet(c.from, process)
	if c.cluster {
		f.simulate, f.paths, f.replay = cluster, simulation.ClusterPaths, "make simulate CLUSTER=1"
	}
	if c.only {
		fmt.Fprintf(stdout, "seed %d\n", c.from)
		f.one(c.from)
	} else {
		fmt.Fprintf(stdout, "seeds from %d on, for %v minutes, %d at a time\n", c.from, c.minutes, runtime.GOMAXPROCS(0))
		timed, cancel := context.WithTimeout(ctx, time.Duration(c.minutes*float64(time.Minute)))
		defer cancel()
		f.play(timed, runtime.GOMAXPROCS(0), hangTime, stderr)
	}
	return f.report(stdout, stderr)
}
