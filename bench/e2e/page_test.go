package e2e

// This file shows the tracker's page to a browser.

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPage shows that axe-core finds nothing to complain of in the page, light
// and dark, on a wide and on a narrow screen, that its policy lets its own
// script run, and that the figures are there without scripts.
func TestPage(t *testing.T) {
	url := startTracker(t, twoShards)
	page := strings.Replace(url, "ws", "http", 1) + "/"
	if out, err := exec.Command("node", "page-check.js", chromium(t), page).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("page-check.js: %v\n%s", err, out)
	}
}
