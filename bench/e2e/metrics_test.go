package e2e

// This file holds the metrics page against Prometheus' own checks.

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestAlerts shows that each alert fires in one case and keeps quiet in
// another, as promtool judges them.
func TestAlerts(t *testing.T) {
	const folder = "../../config/deploy/prometheus/"
	for _, args := range [][]string{{"check", "rules", folder + "millrace.rules.yml"}, {"test", "rules", folder + "millrace.test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
	rules, err := os.ReadFile(folder + "millrace.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(folder + "millrace.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(rules, -1) {
		for _, does := range []string{" fires\n", " is quiet\n"} {
			if !bytes.Contains(cases, append(append([]byte("name: "), m[1]...), does...)) {
				t.Errorf("no case in which %s%s", m[1], does)
			}
		}
	}
}

// TestMetricsPage shows that promtool, which comes with Prometheus, finds
// nothing to complain of in the page: each family is explained, typed, in one
// piece and named as it should be.
func TestMetricsPage(t *testing.T) {
	address := freeAddress(t)
	s := tlsTwoShards
	s.tables = "[metrics]\nrun_prometheus_endpoint = true\npeer_clients = true\npeer_id_prefixes = true\n" +
		"prometheus_endpoint_address = \"" + address + "\"\n"
	startTracker(t, s)
	page := metricsPage(t, address)
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// metricsPage returns the page of a tracker that serves metrics at an address.
func metricsPage(t *testing.T, address string) []byte {
	t.Helper()
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page
}
