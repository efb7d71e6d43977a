package main

// This file is the command line: its flags, its help, and the load that they describe.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"millrace/bench/load"
)

// command is a command line that has been understood.
type command struct {
	file, profile, html                            string // empty: none named
	json, printDefault, printParsed, version, help bool

	url, metrics   string // empty: as configured
	pid            load.PIDs
	workers        int      // 0: as configured
	seed           uint64   // with isSet
	duration, rate float64  // 0: as configured
	scale          float64  // 1: as configured
	settings       []string // each key=value
	isSet          map[string]bool
}

// synopsis begins the text for -h.
const synopsis = `Usage: millrace-load [-profile NAME | -c FILE] [-url URL] [-pid PID] [options]

millrace-load drives a WebTorrent tracker with many clients, checks every offer and answer that it relays, and reports
rates, latencies and the tracker's CPU time and memory. Any tracker that speaks the protocol will do.

  -profile NAME       the load to run: see below (default heavy)
  -c FILE             read the load from a TOML file; keys that it leaves out have the profile's values
  -set KEY=VALUE      change one key of the load; may be given many times
  -scale FACTOR       change the number of connections, and so all rates, by a factor

  -url URL[,URL…]     address of the tracker: ws://HOST:PORT/ or wss://HOST:PORT/; several are its nodes, and clients
                      are spread over them (-set spread=torrents: all peers of a torrent are on one node)
  -pid PID[,PID…]     process of the tracker on this machine: its CPU time and memory are measured; of several together
  -metrics URL[,URL…] Prometheus page of the tracker: drops that it reports are not missing; of several together
  -duration SECONDS   of the measurement
  -rate N             announces per second of all connections together (sets interval)
  -workers N          threads of clients
  -seed N             of all random choices

  -p                  print the load of the profile, with an explanation of each key, and exit
  -P                  print the load as it would be run, and exit
  -json               print the result as one JSON object
  -html FILE          write the result as a page too: pictures and tables, in one file that needs nothing else
  -v, -version        print the version, and exit
  -h, -help           print this text, and exit

The exit code is 0 if everything was right, 1 if the run failed or the counts do not add up, 2 if the command line or
the load is wrong. The first SIGINT or SIGTERM ends a run early, with its report.

Profiles:
`

// usage returns the text for -h.
func usage() string {
	var b strings.Builder
	b.WriteString(synopsis)
	for _, name := range load.Profiles() {
		text, err := load.Describe(name)
		if err != nil {
			panic("BUG: a profile that is listed cannot be described: " + err.Error())
		}
		fmt.Fprintf(&b, "\n  %s\n", name)
		for _, line := range load.Wrap(text, 112) {
			fmt.Fprintf(&b, "      %s\n", line)
		}
	}
	return b.String()
}

// parse reads the arguments that follow the program's name. The error is one sentence that mentions -h.
func parse(args []string) (command, error) {
	c := command{isSet: make(map[string]bool)}
	set := flag.NewFlagSet("millrace-load", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, name := range []string{"c", "config-file"} {
		set.StringVar(&c.file, name, "", "")
	}
	set.StringVar(&c.profile, "profile", "", "")
	set.StringVar(&c.url, "url", "", "")
	set.StringVar(&c.metrics, "metrics", "", "")
	set.Func("pid", "", func(s string) error { return c.pid.UnmarshalText([]byte(s)) })
	set.IntVar(&c.workers, "workers", 0, "")
	set.Uint64Var(&c.seed, "seed", 0, "")
	set.Func("duration", "", func(s string) (err error) {
		if c.duration, err = strconv.ParseFloat(s, 64); err != nil {
			return errors.New("write the number of seconds, without a unit")
		}
		return nil
	})
	set.Float64Var(&c.rate, "rate", 0, "")
	set.Float64Var(&c.scale, "scale", 1, "")
	set.BoolVar(&c.json, "json", false, "")
	set.StringVar(&c.html, "html", "", "")
	set.Func("set", "", func(s string) error { c.settings = append(c.settings, s); return nil })
	for name, to := range map[string]*bool{"p": &c.printDefault, "print-config": &c.printDefault, "P": &c.printParsed,
		"v": &c.version, "version": &c.version, "h": &c.help, "help": &c.help} {
		set.BoolVar(to, name, false, "")
	}
	if err := set.Parse(args); err != nil {
		return c, fmt.Errorf("%w (-h explains)", err)
	}
	if set.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q (-h explains)", set.Arg(0))
	}
	set.Visit(func(f *flag.Flag) { c.isSet[f.Name] = true })
	if c.scale <= 0 || c.scale > 1e6 || c.scale != c.scale {
		return c, fmt.Errorf("-scale is %v, but must be a number above 0 and up to 1,000,000 (-h explains)", c.scale)
	}
	if c.isSet["html"] && c.html == "" {
		return c, errors.New("-html is empty, but must name the file of the page (-h explains)")
	}
	if c.isSet["rate"] && !(c.rate > 0) {
		return c, fmt.Errorf("-rate is %v, but must be a number above 0 (-h explains)", c.rate)
	}
	return c, nil
}

// config returns the load that the command line describes. It is not validated yet.
func (c *command) config(readFile func(string) ([]byte, error)) (load.Config, error) {
	var data []byte
	if c.file != "" && !c.printDefault {
		var err error
		if data, err = readFile(c.file); err != nil {
			return load.Config{}, fmt.Errorf("cannot read the load: %w", err)
		}
	}
	l, err := load.Read(c.file, data, c.profile)
	if err != nil || c.printDefault {
		return l, err
	}
	l.Scale(c.scale)
	c.override(&l)
	for _, s := range c.settings {
		if err := l.Set(s); err != nil {
			return l, err
		}
	}
	if c.isSet["rate"] {
		if l.Loop != "open" {
			return l, errors.New(`-rate needs a load with loop = "open": in a closed loop the tracker decides the rate`)
		}
		l.Interval = float64(l.Connections) / c.rate
	}
	return l, nil
}

// override takes the keys that have a flag of their own.
func (c *command) override(l *load.Config) {
	for name, take := range map[string]func(){
		"url":      func() { l.URL = c.url },
		"metrics":  func() { l.MetricsURL = c.metrics },
		"pid":      func() { l.ServerPID = c.pid },
		"workers":  func() { l.Workers = c.workers },
		"seed":     func() { l.Seed = c.seed },
		"duration": func() { l.Duration = c.duration },
	} {
		if c.isSet[name] {
			take()
		}
	}
}
