package e2e

// This file holds the metrics page against Prometheus' own checks.

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"testing"
)

// TestAlerts shows that each alert fires in one case and keeps quiet in
// another, as promtool judges them. The house's own tests see that no alert
// lacks its two cases.
func TestAlerts(t *testing.T) {
	const folder = "../../config/deploy/prometheus/"
	for _, args := range [][]string{{"check", "rules", folder + "millrace.rules.yml"}, {"test", "rules", folder + "millrace.test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
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
