// Command millrace-load drives a WebTorrent tracker with many clients, checks all relayed messages, and reports their
// cost.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"millrace/bench/load"
	"millrace/cmd/internal/cli"
)

// Exit codes.
const (
	exitOK    = 0 // the run is done and everything was right
	exitError = 1 // the run failed, or relayed messages were wrong or do not add up
	exitUsage = 2 // the command line or the description of the load is wrong
)

// version is set by the Makefile; a build without it takes the module's.
var version = ""

func main() {
	// The first signal ends the run early, with its report. A second signal ends the program, unless it comes at once:
	// some senders signal a process and then its group.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, load.Run))
}

// runner is the signature of [load.Run].
type runner func(ctx context.Context, c load.Config, progress func(load.Progress)) (load.Result, error)

// run obeys the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, drive runner) int {
	cmd, err := parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "millrace-load:", err)
		return exitUsage
	}
	switch {
	case cmd.help:
		fmt.Fprint(stdout, usage())
		return exitOK
	case cmd.version:
		fmt.Fprintf(stdout, "millrace-load %s (%s)\n", cli.Build(version), runtime.Version())
		return exitOK
	}
	c, err := cmd.config(os.ReadFile)
	if err != nil {
		fmt.Fprintln(stderr, "millrace-load:", err)
		return exitUsage
	}
	if cmd.printDefault || cmd.printParsed {
		stdout.Write(c.AppendTOML(nil))
		return exitOK
	}
	if err := c.Validate(); err != nil {
		fmt.Fprintf(stderr, "millrace-load: this load cannot be run:\n%v\n", err)
		return exitUsage
	}
	out, err := openPage(cmd.html)
	if err != nil {
		fmt.Fprintln(stderr, "millrace-load:", err)
		return exitUsage
	}
	defer out.close()
	return measure(ctx, c, cmd.json, out, stdout, stderr, drive)
}

// measure runs the load and reports on it.
func measure(ctx context.Context, c load.Config, asJSON bool, out *pageFile, stdout, stderr io.Writer, drive runner) int {
	meter := newMeter(stderr)
	result, err := drive(ctx, c, meter.show)
	meter.end()
	interrupted := ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err()))
	if err != nil && !interrupted {
		fmt.Fprintln(stderr, "millrace-load:", err)
		return exitError
	}
	if asJSON {
		err = json.NewEncoder(stdout).Encode(&result)
	} else {
		err = result.WriteReport(stdout)
	}
	if err = errors.Join(err, out.write(&result)); err != nil {
		fmt.Fprintln(stderr, "millrace-load: cannot write the result:", err)
		return exitError
	}
	if !result.OK() {
		return exitError
	}
	return exitOK
}
