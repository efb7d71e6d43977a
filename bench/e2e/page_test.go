package e2e

// This file shows pages to a browser: the tracker's, and the load tester's
// report.

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPage shows that axe-core finds nothing to complain of in the page, light
// and dark, on a wide and on a narrow screen, that its policy lets its own
// script run, and that the figures are there without scripts.
func TestPage(t *testing.T) {
	url := startTracker(t, twoShards)
	page := strings.Replace(url, "ws", "http", 1) + "/"
	if out, err := exec.Command("node", "page-check.js", chromium(t), page, "tracker").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("page-check.js: %v\n%s", err, out)
	}
}

// TestReport shows that the report of a load has no fault that axe-core finds,
// light and dark, on a wide and on a narrow screen, that its policy allows its
// style, and that it needs no scripts.
func TestReport(t *testing.T) {
	file, err := filepath.Abs("../load/page/testdata/page.html")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("node", "page-check.js", chromium(t), "file://"+file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("page-check.js: %v\n%s", err, out)
	}
}
