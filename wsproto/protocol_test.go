package wsproto

// This file proves that PROTOCOL.md names every status, close code and failure that clients can get.

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// section returns the text of PROTOCOL.md from one heading to the next.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("there is no heading %q", heading)
	}
	found, _, _ := strings.Cut(rest, "\n## ")
	return found
}

// numbers returns the numbers in the first column of a section's tables, in order.
func numbers(text string) (found []int) {
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		found = append(found, n)
	}
	return found
}

// The tables of statuses and of failures have a row for each, and no other; the table of close codes has those of the
// errors and those that a server sends by itself.
func TestProtocolDocument(t *testing.T) {
	var statuses []int
	for status := range httpErrors {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	if got := numbers(section(t, "Connection")); !slices.Equal(got, statuses) {
		t.Errorf("the statuses are %v, want %v", got, statuses)
	}
	codes := []int{int(StatusGoingAway), int(StatusProtocolError), int(StatusInvalidPayload), int(StatusPolicy),
		int(StatusTooBig), int(StatusServiceRestart), int(StatusTryAgainLater)}
	if got := numbers(section(t, "Frames and close codes")); !slices.Equal(got, codes) {
		t.Errorf("the close codes are %v, want %v", got, codes)
	}
	var rows []string
	for line := range strings.Lines(section(t, "Failures")) {
		if strings.HasPrefix(line, "| `") {
			first, _, _ := strings.Cut(line[2:], " | ")
			rows = append(rows, strings.Split(first, ", `")...)
		}
	}
	want := map[string]bool{"failure reason`": true} // the head of the table
	for f := range Failures {
		if f != FailureNone {
			want[f.String()+"`"] = true
		}
	}
	for i, row := range rows {
		if rows[i] = strings.TrimPrefix(row, "`"); !want[rows[i]] {
			t.Errorf("%s is no failure", row)
		}
		delete(want, rows[i])
	}
	if len(want) > 0 {
		t.Errorf("these failures have no row: %v", want)
	}
}
