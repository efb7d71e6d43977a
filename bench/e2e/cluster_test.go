package e2e

// This file shows that files move between clients on different nodes of a cluster.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"testing"

	"github.com/anacrolix/torrent/metainfo"
)

// TestCluster shows that a file goes from each kind of client to each other one while both are on nodes of their own, by ws and by wss, and
// that each node answers with the counts of all of them.
func TestCluster(t *testing.T) {
	b := startBrowser(t)
	c := startCluster(t)
	kinds := []struct {
		name string
		kind kind
	}{{"browser", b.kind()}, {"Go", goKind}, {"Node", nodeKind}} // each on the node of its number
	for _, scheme := range []string{"ws", "wss"} {
		for from := range kinds {
			for to := range kinds {
				if from == to {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s to %s", scheme, kinds[from].name, kinds[to].name), func(t *testing.T) {
					seedAt, leechAt, by := c.nodes[from].url, c.nodes[to].url, byTorrentFile
					if scheme == "wss" {
						seedAt, leechAt, by = c.nodes[from].secure, c.nodes[to].secure, byMagnet
					}
					testTransferBetween(t, c, kinds[from].kind, kinds[to].kind, seedAt, leechAt, by)
				})
			}
		}
	}
	for _, n := range c.nodes {
		check := exec.Command("promtool", "check", "metrics")
		check.Stdin = bytes.NewReader(metricsPage(t, n.metrics))
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("promtool of node %s: %v\n%s", n.name, err, out)
		}
	}
}

// testTransferBetween shows that a file reaches a leecher on another node unchanged, and that all nodes count both peers.
func testTransferBetween(t *testing.T, c *testCluster, from, to kind, seedAt, leechAt string, by link) {
	ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
	defer cancel()
	sent := randomFile(t.Name())
	want := sha256.Sum256(sent.content)

	seeder := from.newPeer(t)
	shared := seeder.seed(ctx, t, sent, seedAt)
	var observers []*observer
	for _, n := range c.nodes {
		observers = append(observers, newObserver(ctx, t, n.url, infoHash(t, shared)))
	}
	all := func(want swarmSize, when string) {
		t.Helper()
		for k, o := range observers {
			o.waitFor(ctx, t, want, fmt.Sprintf("%s, on node %d,", when, k+1))
		}
	}
	all(swarmSize{Complete: 1}, "with the seeder alone")

	leecher := to.newPeer(t)
	if got := leecher.leech(ctx, t, by(shared.at(t, leechAt))); got != hex.EncodeToString(want[:]) {
		t.Errorf("the file arrived with SHA-256 %s, want %x", got, want)
	}
	if to.saysCompleted {
		all(swarmSize{Complete: 2}, "after the download")
	}
	leecher.close(t)
	all(swarmSize{Complete: 1}, "after the leecher left")
	seeder.close(t)
	all(swarmSize{}, "after all peers left")
}

// at returns the share as somebody would pass it on who knows the tracker by another address.
func (s share) at(t *testing.T, trackerURL string) share {
	t.Helper()
	magnet, err := metainfo.ParseMagnetUri(s.magnet)
	if err != nil {
		t.Fatal(err)
	}
	magnet.Trackers = []string{trackerURL}
	meta, err := metainfo.Load(bytes.NewReader(s.torrentFile))
	if err != nil {
		t.Fatal(err)
	}
	meta.Announce, meta.AnnounceList = trackerURL, nil
	var encoded bytes.Buffer
	if err := meta.Write(&encoded); err != nil {
		t.Fatal(err)
	}
	return share{torrentFile: encoded.Bytes(), magnet: magnet.String()}
}
