package e2e

// This file shows that files move between every two kinds of client.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/anacrolix/torrent/metainfo"
)

// peer is a client with one torrent, which it either seeds or downloads.
// Failures end the test.
type peer interface {
	// seed seeds a file on a tracker.
	seed(ctx context.Context, t *testing.T, f file, trackerURL string) share
	// leech downloads the shared file and returns its SHA-256 in hex.
	leech(ctx context.Context, t *testing.T, s share) string
	// close leaves the swarm as a user would. A second close does nothing.
	close(t *testing.T)
}

// file is the file that peers share.
type file struct {
	name    string
	content []byte
}

// share lets a peer find a torrent, by the one field that is not empty.
type share struct {
	torrentFile []byte // a .torrent file
	magnet      string // a magnet link
}

// kind is a kind of client.
type kind struct {
	newPeer func(t *testing.T) peer
	// saysCompleted tells that the client announces it when a download is complete.
	saysCompleted bool
}

var goKind = kind{newPeer: newGoPeer}

const (
	// fileSize makes the last of 64 pieces a short one.
	fileSize = 4<<20 - 12_345

	transferTimeout = 90 * time.Second
)

func TestGoToGo(t *testing.T) {
	eachTracker(t, []setting{oneShard, twoShards, oldKernel}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, goKind, goKind)
	})
	eachTracker(t, []setting{tlsOneShard, tlsTwoShards}, func(t *testing.T, trackerURL string) {
		testTransfer(t, trackerURL, goKind, goKind, byTorrentFile)
	})
}

func TestBrowserToBrowser(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards, packing}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, b.kind(), b.kind())
	})
	eachTracker(t, []setting{tlsTwoShards, tlsPacking}, func(t *testing.T, trackerURL string) {
		testTransfer(t, trackerURL, b.kind(), b.kind(), byMagnet)
	})
}

func TestBrowserToGo(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards, packing}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, b.kind(), goKind)
	})
	eachTracker(t, []setting{tlsTwoShards, tlsPacking}, func(t *testing.T, trackerURL string) {
		testTransfer(t, trackerURL, b.kind(), goKind, byMagnet)
	})
}

func TestGoToBrowser(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards, packing}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, goKind, b.kind())
	})
	eachTracker(t, []setting{tlsOneShard}, func(t *testing.T, trackerURL string) {
		testTransfer(t, trackerURL, goKind, b.kind(), byTorrentFile)
	})
}

// TestNodeClient shows that the npm bittorrent-tracker client gets the
// replies that it understands; node-client.js has the details.
func TestNodeClient(t *testing.T) {
	eachTracker(t, []setting{oneShard, twoShards, answering, tlsOneShard, tlsTwoShards, tlsAnswering}, testNodeClient)
}

func testNodeClient(t *testing.T, trackerURL string) {
	ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, "node", "node-client.js", trackerURL).CombinedOutput()
	if err != nil {
		t.Fatalf("node-client.js: %v\n%s", err, output)
	}
}

// link picks one field of the seeder's share for the leecher.
type link func(share) share

func byTorrentFile(s share) share { return share{torrentFile: s.torrentFile} }
func byMagnet(s share) share      { return share{magnet: s.magnet} }

// testTransfers runs testTransfer by .torrent file and by magnet link.
func testTransfers(t *testing.T, trackerURL string, from, to kind) {
	t.Run("torrent file", func(t *testing.T) { testTransfer(t, trackerURL, from, to, byTorrentFile) })
	t.Run("magnet link", func(t *testing.T) { testTransfer(t, trackerURL, from, to, byMagnet) })
}

// testTransfer shows that a file which a new seeder offers reaches a new
// leecher unchanged, and that the tracker counts both peers, and nobody when
// both are gone.
func testTransfer(t *testing.T, trackerURL string, from, to kind, by link) {
	ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
	defer cancel()
	sent := randomFile(t.Name())
	want := sha256.Sum256(sent.content)

	seeder := from.newPeer(t)
	shared := seeder.seed(ctx, t, sent, trackerURL)
	o := newObserver(ctx, t, trackerURL, infoHash(t, shared))
	o.waitFor(ctx, t, swarmSize{Complete: 1}, "with the seeder alone")

	leecher := to.newPeer(t)
	if got := leecher.leech(ctx, t, by(shared)); got != hex.EncodeToString(want[:]) {
		t.Errorf("the file arrived with SHA-256 %s, want %x", got, want)
	}
	if to.saysCompleted {
		o.waitFor(ctx, t, swarmSize{Complete: 2}, "after the download")
	}

	leecher.close(t)
	o.waitFor(ctx, t, swarmSize{Complete: 1}, "after the leecher left")
	seeder.close(t)
	o.waitFor(ctx, t, swarmSize{}, "after all peers left")
}

// randomFile returns a file that is always the same for one seed.
func randomFile(seed string) file {
	content := make([]byte, fileSize)
	rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(content)
	return file{name: "random.bin", content: content}
}

func infoHash(t *testing.T, s share) [20]byte {
	t.Helper()
	magnet, err := metainfo.ParseMagnetUri(s.magnet)
	if err != nil {
		t.Fatalf("cannot read the magnet link %q: %v", s.magnet, err)
	}
	return magnet.InfoHash
}
