package tidy

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This file keeps the texts for operators true: the keys, series and words that they name are those of the code.

// operatorTexts are the texts that name keys and series.
var operatorTexts = []string{"README.md", "config/OPERATING.md", ".github/SECURITY.md"}

// TestTextsNameWhatExists proves that a key, a series or another name of the code that a text for operators shows as
// code is there: a renamed one is renamed in the texts too.
func TestTextsNameWhatExists(t *testing.T) {
	var sources strings.Builder
	for _, s := range readTree(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING && !s.isTest() {
				sources.WriteString(text.Value + "\n")
			}
			return true
		})
	}
	known := readFile(t, "config/default.toml") + readFile(t, "config/METRICS.md") + sources.String()
	for _, name := range operatorTexts {
		for _, word := range missing(readFile(t, name), known) {
			t.Errorf("%s names `%s`, but no key, series or text of the code has that name", name, word)
		}
	}
	got := missing("`a_key` `another_key = 1` `[s] third_key` `millrace_a_series_total` `go_goroutines` `no_key` `-flag`",
		"a_key another_key \"a_series_total\"")
	if !slices.Equal(got, []string{"third_key", "no_key"}) {
		t.Errorf("the rule itself is wrong: %q", got)
	}
}

// TestRulesNameWhatExists proves that the alerts and the dashboard ask for series that the tracker has: a wrong name there is
// an alert that never fires. The list of all series is a test's own.
func TestRulesNameWhatExists(t *testing.T) {
	known := readFile(t, "config/METRICS.md")
	series := regexp.MustCompile(`\bmillrace_[a-z0-9_]+`)
	for _, name := range []string{"config/deploy/prometheus/millrace.rules.yml", "config/deploy/grafana/millrace.json"} {
		text := readFile(t, name)
		all := series.FindAllString(text, -1)
		if len(all) < 20 {
			t.Errorf("%s names %d series", name, len(all))
		}
		for _, s := range all {
			histogram, _ := strings.CutSuffix(s, "_bucket")
			if !strings.Contains(known, "`"+s+"`") && !strings.Contains(known, "`"+histogram+"` | histogram") {
				t.Errorf("%s names %s, which is no series", name, s)
			}
		}
	}
}

var (
	inBackticks = regexp.MustCompile("`[^`\n]+`")              // what Markdown shows as code
	snakeCase   = regexp.MustCompile(`[a-z0-9]+(_[a-z0-9]+)+`) // a name of the configuration or of a series
)

// missing returns the names that a Markdown text shows as code and that known does not have as whole words. Series have
// the prefix millrace_ only in the text; those of the Go runtime and the process come from a library.
func missing(text, known string) (words []string) {
	for _, code := range inBackticks.FindAllString(text, -1) {
		for _, word := range snakeCase.FindAllString(code, -1) {
			name := strings.TrimPrefix(word, "millrace_")
			library := strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
			if !library && !regexp.MustCompile(`\b(millrace_)?`+name+`\b`).MatchString(known) {
				words = append(words, word)
			}
		}
	}
	return words
}

// TestAlertsHaveCases proves that each alert has a case in which it fires and another in which it is quiet. Prometheus' own
// tool judges the cases, where it is installed.
func TestAlertsHaveCases(t *testing.T) {
	const folder = "config/deploy/prometheus/"
	cases := readFile(t, folder+"millrace.test.yml")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(readFile(t, folder+"millrace.rules.yml"), -1)
	if len(alerts) < 20 {
		t.Fatalf("the rules have %d alerts", len(alerts))
	}
	for _, alert := range alerts {
		for _, does := range []string{" fires\n", " is quiet\n"} {
			if !strings.Contains(cases, "name: "+alert[1]+does) {
				t.Errorf("no case in which %s%s", alert[1], does)
			}
		}
	}
}
