package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// This file owns the commands that go on: top, trace and drain.

// The times between two questions.
const (
	topPeriod   = 2 * time.Second
	tracePeriod = time.Second
	drainPeriod = time.Second
	workPeriod  = 2 * time.Second
)

// Control sequences (ECMA-48).
const (
	home        = "\x1b[H"  // to the first place of the screen
	eraseLine   = "\x1b[K"  // from here on
	eraseScreen = "\x1b[J"  // the same
	clearScreen = "\x1b[2J" // all of it
)

// topLines is the number of lines of top besides its rows.
const topLines = 8

// top shows who uses the tracker most, again and again on a screen.
func (c *Command) top(ctx context.Context, asker *client, to Terminal) error {
	if !c.query.Has("n") {
		rows := 10
		if to.Rows > 0 {
			rows = max((to.Rows-topLines)/3, 1)
		}
		c.query.Set("n", fmt.Sprint(rows))
	}
	draw := to.Rows > 0 && !c.Once && !c.JSON
	if draw {
		fmt.Fprint(to.Out, clearScreen)
	}
	for {
		body, err := asker.ask(ctx, http.MethodGet, PathTop, c.query)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(to.Out, body)
		}
		var t Top
		if err := parse(body, &t); err != nil {
			return err
		}
		text := AppendTop(nil, &t)
		if !draw {
			_, err = to.Out.Write(text)
			return err
		}
		if _, err = to.Out.Write(appendScreen(nil, text)); err != nil {
			return err
		}
		if !wait(ctx, topPeriod) {
			return nil
		}
	}
}

// appendScreen appends a text that takes the place of what is on the screen, line by line, so that nothing flickers.
func appendScreen(dst, text []byte) []byte {
	dst = append(dst, home...)
	for _, b := range text {
		if b == '\n' {
			dst = append(dst, eraseLine...)
		}
		dst = append(dst, b)
	}
	return append(dst, eraseScreen...)
}

// trace prints the last events, and with Follow those that come.
func (c *Command) trace(ctx context.Context, asker *client, to Terminal) error {
	for {
		body, err := asker.ask(ctx, http.MethodGet, PathTrace, c.query)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var t Trace
		if err := parse(body, &t); err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(to.Out, body)
		} else {
			err = printTrace(to, &t)
		}
		if err != nil || !c.Follow || !wait(ctx, tracePeriod) {
			return err
		}
		c.query.Set("since", t.Next)
		c.query.Del("n") // all that has come since
	}
}

func printTrace(to Terminal, t *Trace) error {
	if t.Missed > 0 {
		fmt.Fprintf(to.Err, "%d events were overwritten before they could be shown\n", t.Missed)
	}
	for _, line := range t.Lines {
		if _, err := fmt.Fprintln(to.Out, line); err != nil {
			return err
		}
	}
	return nil
}

// drain has the tracker drain, and shows how far it has come until it has ended.
func (c *Command) drain(ctx context.Context, asker *client, to Terminal) error {
	body, err := asker.ask(ctx, http.MethodPost, PathDrain, c.query)
	if err != nil {
		return err
	}
	for {
		var d Drain
		if err := parse(body, &d); err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(to.Out, body)
		} else {
			_, err = to.Out.Write(append(d.Append(nil), '\n'))
		}
		if err != nil || c.Once || !wait(ctx, drainPeriod) {
			return err
		}
		body, err = asker.ask(ctx, http.MethodGet, PathDrain, url.Values{})
		var refused *Failure
		switch {
		case errors.As(err, &refused):
			return err
		case err != nil: // a tracker that has ended does not answer
			if !c.JSON {
				fmt.Fprintln(to.Out, "the tracker has ended")
			}
			return nil
		}
	}
}

// showWork shows how far long work of the tracker has come, until ended is called.
func showWork(ctx context.Context, asker *client, to Terminal) (ended func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, workPeriod) {
			body, err := asker.ask(ctx, http.MethodGet, PathStatus, url.Values{})
			var s Status
			if err == nil && json.Unmarshal(body, &s) == nil && s.UnderWay != "" {
				fmt.Fprintln(to.Err, s.UnderWay)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
