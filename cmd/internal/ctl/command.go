package ctl

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// This file reads the command line behind `millrace ctl`.

// UsageText is the text of `millrace ctl -h`. It ends with a line feed.
const UsageText = `Usage: millrace ctl [OPTIONS] COMMAND

Asks the tracker on its control listener ([control] in its configuration), or gives it an order.

  status                  how it is, and what is wrong
  top                     which addresses, clients and torrents use it most; a terminal shows it again and again
  client ADDRESS          the connections of an address, their torrents, and what happened to them last
  torrent HASH            a torrent and its peers; the first digits of the info hash are enough
  trace [ADDRESS]         the last events, of an address or a network or of all
  ban ADDRESS [MINUTES]   end the connections of an address and refuse new ones (60)
  unban ADDRESS           take a ban back
  reload                  read the configuration, access list and certificates again
  drain [SECONDS]         take nobody in, send the clients away one after the other, and end

  -c, --config-file FILE  find the tracker where FILE has it listen
  --at ADDRESS            find it there: unix:PATH, or an IP address and port of this machine
  --json                  print the answer as JSON
  --by WHAT               top: messages (default), bytes, drops, or peers of torrents
  -n ROWS                 top, torrent, trace: show at most so many
  --once                  top: print it once; drain: do not wait for the end
  -f, --follow            trace: go on with new events until it is interrupted
  -h, --help              print this help and exit
`

// Command is a parsed command line.
type Command struct {
	Name   string
	File   string // the configuration; empty: none is named
	At     string // empty: none is named
	JSON   bool
	Once   bool
	Follow bool
	Help   bool

	query url.Values
}

// Address returns the address that the command line names, or the usual one.
func (c *Command) Address() string { return cmp.Or(c.At, DefaultAddress) }

// MaxRows bounds -n.
const MaxRows = 1000

// Parse reads the arguments behind "ctl". The error is one sentence that mentions -h.
func Parse(args []string) (c Command, err error) {
	c.query = make(url.Values)
	var words []string
	for len(args) > 0 && err == nil {
		flag, value, hasValue := strings.Cut(args[0], "=")
		if !strings.HasPrefix(flag, "-") {
			words, args = append(words, args[0]), args[1:]
			continue
		}
		args = args[1:]
		if set, isSwitch := c.switches()[flag]; isSwitch && !hasValue {
			*set = true
			continue
		}
		set := c.valued()[flag]
		switch {
		case set == nil:
			return c, fmt.Errorf("unknown option %s (millrace ctl -h lists all)", flag)
		case !hasValue && len(args) == 0:
			return c, fmt.Errorf("%s must be followed by a value (millrace ctl -h explains)", flag)
		case !hasValue:
			value, args = args[0], args[1:]
		}
		err = set(value)
	}
	if err == nil && !c.Help {
		err = c.command(words)
	}
	return c, err
}

func (c *Command) switches() map[string]*bool {
	return map[string]*bool{
		"--json": &c.JSON, "--once": &c.Once, "-f": &c.Follow, "--follow": &c.Follow, "-h": &c.Help, "--help": &c.Help,
	}
}

func (c *Command) valued() map[string]func(string) error {
	file := func(v string) error { c.File = v; return notEmpty("-c", v) }
	return map[string]func(string) error{
		"-c": file, "--config-file": file,
		"--at": func(v string) error { c.At = v; return notEmpty("--at", v) },
		"--by": func(v string) error {
			c.query.Set("by", v)
			if kinds := []string{"messages", "bytes", "drops", "peers"}; !slices.Contains(kinds, v) {
				return fmt.Errorf("--by is %q, but must be one of %s (millrace ctl -h explains)", v, strings.Join(kinds, ", "))
			}
			return nil
		},
		"-n": func(v string) error { return c.number("n", "-n", v, MaxRows) },
	}
}

func notEmpty(flag, v string) error {
	if v == "" {
		return fmt.Errorf("the value of %s is empty (millrace ctl -h explains)", flag)
	}
	return nil
}

// number sets a parameter of the question to a whole number.
func (c *Command) number(key, name, v string, most int) error {
	if n, err := strconv.Atoi(v); err != nil || n < 1 || n > most {
		return fmt.Errorf("%s is %q, but must be a whole number from 1 to %d (millrace ctl -h explains)", name, v, most)
	}
	c.query.Set(key, v)
	return nil
}

// Bounds of orders.
const (
	MaxBan   = 525600    // minutes: a year
	MaxDrain = 24 * 3600 // seconds
)

// command reads the command and its arguments.
func (c *Command) command(words []string) error {
	if len(words) == 0 {
		return errors.New("say what the tracker is to do (millrace ctl -h lists the commands)")
	}
	c.Name, words = words[0], words[1:]
	var second func(string) error
	address := func(v string) error { return c.address(v) }
	var first func(string) error
	least := 0
	switch c.Name {
	case "status", "top", "reload":
	case "client", "unban":
		first, least = address, 1
	case "torrent":
		first, least = c.hash, 1
	case "trace":
		first = address
	case "ban":
		first, least = address, 1
		second = func(v string) error { return c.number("minutes", "the time in minutes", v, MaxBan) }
	case "drain":
		first = func(v string) error { return c.number("seconds", "the time in seconds", v, MaxDrain) }
	default:
		return fmt.Errorf("there is no command %q (millrace ctl -h lists the commands)", c.Name)
	}
	for k, set := range []func(string) error{first, second} {
		switch {
		case k < len(words) && set == nil:
			return fmt.Errorf("%s has an argument too much, %q (millrace ctl -h explains)", c.Name, words[k])
		case k < len(words):
			if err := set(words[k]); err != nil {
				return err
			}
		case k < least:
			return fmt.Errorf("%s needs an argument (millrace ctl -h explains)", c.Name)
		}
	}
	if len(words) > 2 {
		return fmt.Errorf("%s has an argument too much, %q (millrace ctl -h explains)", c.Name, words[2])
	}
	return nil
}

// address sets the address of the question: of an IP address, with a port perhaps, or of a network where the command takes
// one.
func (c *Command) address(v string) error {
	if with, err := netip.ParseAddrPort(v); err == nil {
		v = with.Addr().String()
	}
	_, err := netip.ParseAddr(v)
	if _, isNetwork := netip.ParsePrefix(v); isNetwork == nil && (c.Name == "trace" || c.Name == "client") {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%q is no IP address such as 192.0.2.1 or 2001:db8::1 (millrace ctl -h explains)", v)
	}
	c.query.Set("address", v)
	return nil
}

// hash sets the info hash of the question.
func (c *Command) hash(v string) error {
	if v = strings.ToLower(v); len(v) < 2 || len(v) > 40 || len(v)%2 != 0 || strings.Trim(v, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no info hash: it has 40 hex digits, of which an even number of the first is enough "+
			"(millrace ctl -h explains)", v)
	}
	c.query.Set("hash", v)
	return nil
}
