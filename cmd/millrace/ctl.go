package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"millrace/cmd/internal/cli"
	"millrace/cmd/internal/ctl"
	"millrace/ring/host"
)

// This file owns `millrace ctl`: from arguments to the address of a tracker, and from there to the exit code.

// runCtl carries out the command behind "ctl" and returns the exit code.
func runCtl(args []string, stdout, stderr io.Writer) int {
	c, err := ctl.Parse(args)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "millrace ctl:", err)
		return cli.ExitUsage
	case c.Help:
		fmt.Fprint(stdout, ctl.UsageText)
		return cli.ExitOK
	}
	at, err := addressOf(&c)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		to := ctl.Terminal{Out: stdout, Err: stderr}
		if file, ok := stdout.(*os.File); ok {
			to.Rows = host.TerminalRows(int(file.Fd()))
		}
		err = c.Run(ctx, at, to)
	}
	if err != nil {
		fmt.Fprintln(stderr, "millrace ctl:", err)
		return cli.ExitError
	}
	return cli.ExitOK
}

// addressOf returns where the tracker takes commands.
func addressOf(c *ctl.Command) (string, error) {
	if c.At != "" || c.File == "" {
		return c.Address(), nil
	}
	cfg, err := load(c.File)
	if err != nil {
		return "", err
	}
	if cfg.Control.Listen == "" {
		return "", fmt.Errorf("%s has no control.listen, so the tracker takes no commands: set it, such as to %q, and reload or restart "+
			"the tracker", c.File, ctl.DefaultAddress)
	}
	return cfg.Control.Listen, nil
}
