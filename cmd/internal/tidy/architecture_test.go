package tidy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// This file compares cmd/ARCHITECTURE.md with the tables of the rules.

// TestArchitectureNamesMutual proves that cmd/ARCHITECTURE.md names each pair of files that may call each other.
func TestArchitectureNamesMutual(t *testing.T) {
	for _, pair := range unnamedPairs(readFile(t, "cmd/ARCHITECTURE.md")) {
		t.Errorf("cmd/ARCHITECTURE.md does not name %s: say there why the two files call each other", pair)
	}
	for i, want := range mutual {
		text := ""
		for k, row := range mutual {
			if k != i {
				text += fmt.Sprintf("- `%s` ↔ `%s`: %s\n", row.a, row.b, row.why)
			}
		}
		if got := unnamedPairs(text); !slices.Equal(got, []string{"`" + want.a + "` ↔ `" + want.b + "`"}) {
			t.Errorf("the rule itself is wrong: %q", got)
		}
	}
}

// unnamedPairs returns the pairs of the table mutual that a text does not name, in either order.
func unnamedPairs(text string) (missing []string) {
	for _, row := range mutual {
		pair := fmt.Sprintf("`%s` ↔ `%s`", row.a, row.b)
		if !strings.Contains(text, pair) && !strings.Contains(text, fmt.Sprintf("`%s` ↔ `%s`", row.b, row.a)) {
			missing = append(missing, pair)
		}
	}
	return missing
}
