package e2e

// This file has the load tester's clients on all nodes of a cluster: it checks every reply, every offer, and who gets how many.

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClusterLoad shows that the load tester has nothing to complain of where its clients are on three nodes.
func TestClusterLoad(t *testing.T) {
	c := startCluster(t)
	var urls, pages []string
	for _, n := range c.nodes {
		urls, pages = append(urls, n.url+"/"), append(pages, "http://"+n.metrics+"/metrics")
	}
	program := filepath.Join(filepath.Dir(trackerProgram(t)), "millrace-load")
	load := exec.Command(program, "-profile", "light", "-scale", "0.1", "-set", "interval=2", "-set", "ramp=3", "-set", "warmup=3", "-duration", "5",
		"-url", strings.Join(urls, ","), "-metrics", strings.Join(pages, ","))
	out, err := load.CombinedOutput()
	if err != nil {
		t.Errorf("millrace-load: %v", err)
	}
	t.Logf("%s", out)
}
