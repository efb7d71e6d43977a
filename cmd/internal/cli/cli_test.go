package cli

import (
	"fmt"
	"strings"
	"testing"
)

// This file proves how command lines are read.

// TestParse proves the request of each command line. The arguments are separated by spaces; ~ is an empty one.
func TestParse(t *testing.T) {
	f := func(line string, mode Mode, file string) {
		t.Helper()
		got, err := Parse(arguments(line))
		if want := (Command{mode, file}); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	f("", Run, "")
	f("-c FILE", Run, "FILE")
	f("-cFILE", Run, "FILE")
	f("-c=FILE", Run, "=FILE")
	f("-c -p", Run, "-p") // as everywhere, the argument after -c is the file
	f("--config-file FILE", Run, "FILE")
	f("--config-file=FILE", Run, "FILE")
	f("--config-file=a=b", Run, "a=b")
	f("-p", PrintConfig, "")
	f("--print-config", PrintConfig, "")
	f("-P", PrintParsed, "")
	f("-P -c FILE", PrintParsed, "FILE")
	f("-c FILE -P", PrintParsed, "FILE")
	f("-t -c FILE", Test, "FILE")
	f("--test-config", Test, "")
	f("-t -P", PrintParsed, "")
	f("-v -t", Version, "")
	f("--convert FILE", Convert, "FILE")
	f("--convert=FILE", Convert, "FILE")
	f("-convert FILE", Convert, "FILE")
	f("--convert FILE -h", Help, "FILE")
	f("-v", Version, "")
	f("--version", Version, "")
	f("-h", Help, "")
	f("--help", Help, "")
	f("-h -v -P", Help, "")
	f("-P -v -h", Help, "")
	f("-p -v", Version, "")
}

// TestParseErrors proves that a wrong command line gives one sentence that names the mistake and mentions -h.
func TestParseErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		got, err := Parse(arguments(line))
		if fmt.Sprint(err) != want || got != (Command{}) {
			t.Errorf("%q: got %+v, %v, want %s", line, got, err, want)
		}
		if !strings.Contains(want, "-h") {
			t.Errorf("%q: the sentence does not mention -h", line)
		}
	}
	f("-c", "-c must be followed by the name of a file (-h explains)")
	f("--config-file", "--config-file must be followed by the name of a file (-h explains)")
	f("--convert", "--convert must be followed by the name of a file (-h explains)")
	f("-c a --convert b", `there are two configuration files, "a" and "b", but only one can be read (-h explains)`)
	f("-c ~", "the name of the file after -c is empty (-h explains)")
	f("--config-file=", "the name of the file after --config-file is empty (-h explains)")
	f("-c a -cb", `there are two configuration files, "a" and "b", but only one can be read (-h explains)`)
	f("-x", "unknown option -x (-h lists all)")
	f("--config", "unknown option --config (-h lists all)")
	f("--confg=x", "unknown option --confg (-h lists all)")
	f("-pP", "unknown option -pP (-h lists all)")
	f("--version=1", `--version takes no value, but has "1" (-h explains)`)
	f("file.toml", `unexpected argument "file.toml": a configuration file is given with -c (-h explains)`)
	f("-", `unexpected argument "-": a configuration file is given with -c (-h explains)`)
	f("-h ~", `unexpected argument "": a configuration file is given with -c (-h explains)`)
	f("--", `unknown option -- (-h lists all)`)
}

// arguments splits a line at its spaces.
func arguments(line string) []string {
	args := strings.Fields(line)
	for i := range args {
		if args[i] == "~" {
			args[i] = ""
		}
	}
	return args
}

// TestUsage proves that the text for -h names every flag.
func TestUsage(t *testing.T) {
	for flag := range modes {
		if !strings.Contains(Usage, flag) {
			t.Errorf("the usage text does not mention %s", flag)
		}
	}
	if !strings.Contains(Usage, "-c, --config-file FILE") || !strings.HasSuffix(Usage, "\n") {
		t.Error("the usage text does not explain -c, or has no end")
	}
}
