// Command millrace-floor is a server that moves the bytes a WebTorrent tracker has to move, and does nothing else. Its
// cost under millrace-load is the cost of the kernel. See package floor.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"millrace/bench/floor"
)

const usage = `millrace-floor: the part of a tracker's cost that is the kernel's.

It answers millrace-load alone, over ws:// only. It has one thread. SIGINT and SIGTERM end it.

`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run obeys the command line and returns the exit code: 1 after a failure, 2 for a wrong command line.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("millrace-floor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	o := floor.Options{}
	flags.StringVar(&o.Address, "address", "127.0.0.1:3000", "`address` to listen on")
	delay := flags.Int("delay", int(floor.DefaultDelay/time.Microsecond),
		"longest batching window in `microseconds`; 0: none")
	metrics := flags.String("metrics", "", "`address` of a page that counts dropped messages; empty: none")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 || *delay < 0 || *delay > int(time.Second/time.Microsecond) {
		fmt.Fprintln(stderr, "millrace-floor: there are no arguments, and -delay is between 0 and 1000000")
		return 2
	}
	if o.Delay = time.Duration(*delay) * time.Microsecond; *delay == 0 {
		o.Delay = -1
	}
	if err := serve(o, *metrics, stdout); err != nil {
		fmt.Fprintln(stderr, "millrace-floor:", err)
		return 1
	}
	return 0
}

// serve runs the server until a signal.
func serve(o floor.Options, metrics string, stdout io.Writer) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	runtime.GOMAXPROCS(2) // the server's thread and one more: see ring/uring_wait.go
	s, err := floor.Start(o)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	if metrics != "" {
		go func() { failed <- http.ListenAndServe(metrics, page(s)) }()
	}
	fmt.Fprintf(stdout, "millrace-floor listens on %s\n", s.Addr())
	select {
	case <-signals:
	case <-s.Done():
	case err = <-failed:
		err = fmt.Errorf("cannot serve the metrics: %w", err)
	}
	_, stopped := s.Stop()
	if err != nil {
		return err
	}
	return stopped
}

// page writes the counters that millrace-load reads of the tracker, under the same names.
func page(s *floor.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		offers, answers := s.Dropped()
		for _, c := range []struct {
			kind  string
			value uint64
		}{{"offer", offers}, {"answer", answers}} {
			fmt.Fprintf(w, "millrace_frames_dropped_total{type=%q} %d\n", c.kind, c.value)
		}
	}
}
