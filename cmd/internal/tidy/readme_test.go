package tidy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeNamesEveryKey proves that an operator who reads README.md finds each key of the configuration file there.
func TestReadmeNamesEveryKey(t *testing.T) {
	for _, key := range unnamed(readFile(t, "config/default.toml"), readFile(t, "README.md")) {
		t.Errorf("README.md does not mention %s: add a row to its section on configuration, the key in backticks", key)
	}
	got := unnamed("a = 1\n[s]\nb = 2\nc = 3\nd = 4\n", "a `a` `s.b` `[s] c` d `dd`")
	if !slices.Equal(got, []string{"s.d"}) {
		t.Errorf("the rule itself is wrong: %q", got)
	}
}

// inBackticks matches what Markdown shows as code.
var inBackticks = regexp.MustCompile("`[^`\n]+`")

// unnamed returns the keys of a TOML file that a Markdown text does not name in backticks: alone, or with their section
// as in `network.address` or `[network] address`.
func unnamed(file, text string) (missing []string) {
	named := make(map[string]bool)
	for _, code := range inBackticks.FindAllString(text, -1) {
		named[strings.Trim(code, "`")] = true
	}
	keys, _ := keysOf(file)
	for _, key := range keys {
		section, name, _ := strings.Cut(key, ".")
		if !named[key] && !named[name] && !named["["+section+"] "+name] {
			missing = append(missing, key)
		}
	}
	return missing
}
