package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestManualPage proves that the manual page and the completions of all shells have each option of the usage, and no other.
func TestManualPage(t *testing.T) {
	option := regexp.MustCompile(`(?m)(?:^|[ (,{'])(--?[a-zA-Z][a-z-]*)`)
	usage := options(option, Usage)
	f := func(file string, text func(string) string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("../../../config/deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		if got := options(option, text(string(b))); !slices.Equal(got, usage) {
			t.Errorf("%s has the options\n%q, the usage\n%q", file, got, usage)
		}
	}
	f("millrace.1", func(s string) string {
		_, s, _ = strings.Cut(s, ".Bl -tag -width Ds\n.It Fl c")
		s, _, _ = strings.Cut("\n.It Fl c"+s, "\n.El")
		return regexp.MustCompile(`Fl (Fl )?`).ReplaceAllStringFunc(s, func(m string) string {
			return strings.Repeat("-", strings.Count(m, "Fl"))
		})
	})
	f("completion/millrace.bash", func(s string) string {
		_, s, _ = strings.Cut(s, "compgen -W")
		s, _, _ = strings.Cut(s, "-- ")
		return s
	})
	f("completion/_millrace", func(s string) string {
		_, s, _ = strings.Cut(s, "_arguments")
		return regexp.MustCompile(`\[[^]]*\].*`).ReplaceAllString(s, "")
	})
	f("completion/millrace.fish", func(s string) string {
		s, _, _ = strings.Cut(s, "complete -c millrace -n ") // those of ctl, which package ctl tests
		s = regexp.MustCompile(` -d .*`).ReplaceAllString(s, "")
		s = regexp.MustCompile(` -[rF]\b`).ReplaceAllString(s, "")
		s = regexp.MustCompile(`-c millrace( -f\n)?`).ReplaceAllString(s, "")
		return regexp.MustCompile(`-([sl]) `).ReplaceAllStringFunc(s, func(m string) string {
			return map[string]string{"-s ": "-", "-l ": "--"}[m]
		})
	})
}

// options returns the options in a text, sorted.
func options(option *regexp.Regexp, text string) (all []string) {
	for _, m := range option.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
