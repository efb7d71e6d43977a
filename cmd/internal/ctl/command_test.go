package ctl

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// This file proves how the command line behind `millrace ctl` is read.

// TestParse proves the question of each command line.
func TestParse(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		c, err := Parse(strings.Fields(line))
		got := fmt.Sprintf("%s ?%s at=%s file=%s json=%v once=%v follow=%v", c.Name, c.query.Encode(), c.Address(), c.File, c.JSON, c.Once, c.Follow)
		if err != nil || got != want {
			t.Errorf("%q: %v\n%s\nwant\n%s", line, err, got, want)
		}
	}
	const usual = " at=unix:/run/millrace/control.sock file= json=false once=false follow=false"
	f("status", "status ?"+usual)
	f("--json status", "status ? at=unix:/run/millrace/control.sock file= json=true once=false follow=false")
	f("top --by=bytes -n 5 --once", "top ?by=bytes&n=5 at=unix:/run/millrace/control.sock file= json=false once=true follow=false")
	f("-c f client 192.0.2.1", "client ?address=192.0.2.1 at=unix:/run/millrace/control.sock file=f json=false once=false follow=false")
	f("client 192.0.2.1:500", "client ?address=192.0.2.1"+usual)
	f("client [2001:db8::1]:500", "client ?address=2001%3Adb8%3A%3A1"+usual)
	f("client 192.0.2.0/24", "client ?address=192.0.2.0%2F24"+usual)
	f("torrent ABcd", "torrent ?hash=abcd"+usual)
	f("trace", "trace ?"+usual)
	f("trace -f 192.0.2.1", "trace ?address=192.0.2.1 at=unix:/run/millrace/control.sock file= json=false once=false follow=true")
	f("ban 192.0.2.1", "ban ?address=192.0.2.1"+usual)
	f("ban 192.0.2.1 5", "ban ?address=192.0.2.1&minutes=5"+usual)
	f("unban ::1", "unban ?address=%3A%3A1"+usual)
	f("reload --at 127.0.0.1:3001", "reload ? at=127.0.0.1:3001 file= json=false once=false follow=false")
	f("drain", "drain ?"+usual)
	f("drain 30", "drain ?seconds=30"+usual)
	if c, err := Parse([]string{"-h"}); err != nil || !c.Help {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestParseErrors proves that a wrong command line gives one sentence that names the mistake and mentions -h.
func TestParseErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if _, err := Parse(strings.Fields(line)); err == nil || !strings.HasPrefix(err.Error(), want) ||
			!strings.Contains(err.Error(), "(millrace ctl -h ") {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
	f("", "say what the tracker is to do")
	f("stop", `there is no command "stop"`)
	f("--color status", "unknown option --color")
	f("--json=1 status", "unknown option --json")
	f("status -n", "-n must be followed by a value")
	f("status x", `status has an argument too much, "x"`)
	f("ban", "ban needs an argument")
	f("ban 1.2.3.4 5 6", `ban has an argument too much, "6"`)
	f("ban 1.2.3.0/24", `"1.2.3.0/24" is no IP address`)
	f("ban 1.2.3.4 soon", `the time in minutes is "soon", but must be a whole number from 1 to 525600`)
	f("ban 1.2.3.4 0", `the time in minutes is "0"`)
	f("client host", `"host" is no IP address`)
	f("torrent abc", `"abc" is no info hash`)
	f("torrent xyxy", `"xyxy" is no info hash`)
	f("top --by size", `--by is "size", but must be one of messages, bytes, drops, peers`)
	f("top -n 0", `-n is "0", but must be a whole number from 1 to 1000`)
	f("drain 1 2", `drain has an argument too much, "2"`)
	f("--at= status", "the value of --at is empty")
}

// TestManualPage proves that the manual page and the completions of all shells have each command and each option of the usage.
func TestManualPage(t *testing.T) {
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) |(?:^  |, )(--?[a-z-]+)`).FindAllStringSubmatch(UsageText, -1) {
		words = append(words, m[1]+m[2])
	}
	if len(words) < 18 {
		t.Fatalf("the usage has only %q", words)
	}
	f := func(file string, of func(word string) string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("../../../config/deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !regexp.MustCompile(of(w)).Match(text) {
				t.Errorf("%s has not %s", file, w)
			}
		}
	}
	f("millrace.1", func(w string) string {
		switch name := strings.TrimLeft(w, "-"); len(w) - len(name) {
		case 1:
			return `\bFl ` + name + `\b`
		case 2:
			return `Fl Fl ` + name + `\b`
		default:
			return `(?m)^\.It Cm ` + name + `\b`
		}
	})
	anywhere := func(w string) string { return `[\s'(]` + w + `[\s')]` }
	f("completion/millrace.bash", anywhere)
	f("completion/_millrace", anywhere)
	f("completion/millrace.fish", func(w string) string {
		if w == "-c" || w == "--config-file" || w == "-h" || w == "--help" { // of millrace too
			return ` -[sl] ` + strings.TrimLeft(w, "-") + ` `
		}
		return anywhere(w)
	})
}
