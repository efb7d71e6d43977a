// Package cli holds the parts that the mains of our programs share. [Parse] turns the command line of the tracker into
// a [Command] and does nothing else: its caller opens files and prints texts. [Build] names the version of any program.
package cli

import (
	"fmt"
	"strings"
)

// Exit codes of the tracker.
const (
	ExitOK    = 0 // it has met the request, or was stopped
	ExitError = 1 // the configuration is wrong, or the tracker could not start or go on
	ExitUsage = 2 // the command line is wrong
)

// Usage is the text for -h. It ends with a line feed.
const Usage = `Usage: millrace [-c FILE]
       millrace ctl [OPTIONS] COMMAND

millrace is a WebTorrent tracker. Without options it runs with its default configuration.

  -c, --config-file FILE  read the configuration from FILE
  -p, --print-config      print the default configuration, which explains every key, and exit
  -P                      print the configuration with the values of FILE, and exit
  -t, --test-config       check FILE on this machine as a start would, say all that is wrong, and exit with 0 or 1
  --convert FILE          print a configuration made from that of another tracker (aquatic_ws, wt-tracker,
                          wt-tracker-rust, or the command line of bittorrent-tracker), and exit
  -v, --version           print the version and exit
  -h, --help              print this help and exit

  ctl                     ask a running tracker, or give it an order; millrace ctl -h lists the commands
`

// Mode is the request of a command line.
type Mode uint8

const (
	Run         Mode = iota // run until stopped
	Convert                 // print a configuration made from ConfigFile, which is another tracker's
	Test                    // check that a tracker of ConfigFile, or of the defaults, could start
	PrintConfig             // print the annotated default configuration
	PrintParsed             // print the configuration of ConfigFile, or the defaults without one
	Version                 // print the version
	Help                    // print Usage
)

// Command is a parsed command line.
type Command struct {
	Mode       Mode
	ConfigFile string // empty: no file, the defaults
}

// Parse reads the arguments that follow the program's name. Of several modes, in any order, it takes the most harmless:
// help before the version, the version before the prints, and these before the test and the conversion. The error is one sentence that mentions
// -h.
func Parse(args []string) (Command, error) {
	var command Command
	haveFile := false
	for len(args) > 0 {
		flag, value, hasValue := split(args[0])
		args = args[1:]
		if mode, isMode := modes[flag]; isMode && !hasValue {
			command.Mode = max(command.Mode, mode)
			continue
		}
		switch flag {
		case "-c", "--config-file":
		case "--convert":
			command.Mode = max(command.Mode, Convert)
		default:
			return Command{}, unknown(flag, value, hasValue)
		}
		if !hasValue {
			if len(args) == 0 {
				return Command{}, fmt.Errorf("%s must be followed by the name of a file (-h explains)", flag)
			}
			value, args = args[0], args[1:]
		}
		if value == "" {
			return Command{}, fmt.Errorf("the name of the file after %s is empty (-h explains)", flag)
		}
		if haveFile {
			return Command{}, fmt.Errorf("there are two configuration files, %q and %q, but only one can be read "+
				"(-h explains)", command.ConfigFile, value)
		}
		command.ConfigFile, haveFile = value, true
	}
	return command, nil
}

// modes has the flags that take no value.
var modes = map[string]Mode{
	"-p": PrintConfig, "--print-config": PrintConfig,
	"-P": PrintParsed,
	"-t": Test, "--test-config": Test,
	"-v": Version, "--version": Version,
	"-h": Help, "--help": Help,
}

// split takes an argument with its value apart: --config-file=FILE and -cFILE.
func split(arg string) (flag, value string, hasValue bool) {
	if arg == "-convert" { // as other options of one dash it would be -c with a file
		return "--convert", "", false
	}
	if strings.HasPrefix(arg, "--") {
		return strings.Cut(arg, "=")
	}
	if file, ok := strings.CutPrefix(arg, "-c"); ok && file != "" {
		return "-c", file, true
	}
	return arg, "", false
}

// unknown returns the error for an argument that has no meaning.
func unknown(flag, value string, hasValue bool) error {
	_, isMode := modes[flag]
	switch {
	case isMode && hasValue:
		return fmt.Errorf("%s takes no value, but has %q (-h explains)", flag, value)
	case strings.HasPrefix(flag, "-") && flag != "-":
		return fmt.Errorf("unknown option %s (-h lists all)", flag)
	default:
		return fmt.Errorf("unexpected argument %q: a configuration file is given with -c (-h explains)", flag)
	}
}
