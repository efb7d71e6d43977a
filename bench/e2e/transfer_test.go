package e2e

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
	// leech downloads what is shared and returns the SHA-256 of the file in hex.
	leech(ctx context.Context, t *testing.T, s share) string
	// close leaves the swarm as a user would. A second close does nothing.
	close(t *testing.T)
}

// file is what peers share.
type file struct {
	name    string
	content []byte
}

// share is how a peer finds a torrent: what is not empty is used.
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
}

func TestBrowserToBrowser(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, b.kind(), b.kind())
	})
}

func TestBrowserToGo(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, b.kind(), goKind)
	})
}

func TestGoToBrowser(t *testing.T) {
	b := startBrowser(t)
	eachTracker(t, []setting{oneShard, twoShards}, func(t *testing.T, trackerURL string) {
		testTransfers(t, trackerURL, goKind, b.kind())
	})
}

// TestNodeClient shows that the npm bittorrent-tracker client gets the
// replies that it understands; node-client.js has the details.
func TestNodeClient(t *testing.T) {
	eachTracker(t, []setting{oneShard, twoShards}, func(t *testing.T, trackerURL string) {
		ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
		defer cancel()
		output, err := exec.CommandContext(ctx, "node", "node-client.js", trackerURL).CombinedOutput()
		if err != nil {
			t.Fatalf("node-client.js: %v\n%s", err, output)
		}
	})
}

// testTransfers shows that a file which a new seeder offers reaches a new
// leecher unchanged, by .torrent file and by magnet link, and that the tracker
// counts who is there, and nobody when both are gone.
func testTransfers(t *testing.T, trackerURL string, from, to kind) {
	f := func(name string, link func(share) share) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
			defer cancel()
			sent := randomFile(t.Name())
			want := sha256.Sum256(sent.content)

			seeder := from.newPeer(t)
			shared := seeder.seed(ctx, t, sent, trackerURL)
			o := newObserver(ctx, t, trackerURL, infoHash(t, shared))
			o.waitFor(ctx, t, swarmSize{Complete: 1}, "with the seeder alone")

			leecher := to.newPeer(t)
			if got := leecher.leech(ctx, t, link(shared)); got != hex.EncodeToString(want[:]) {
				t.Errorf("the file arrived with SHA-256 %s, want %x", got, want)
			}
			if to.saysCompleted {
				o.waitFor(ctx, t, swarmSize{Complete: 2}, "after the download")
			}

			leecher.close(t)
			o.waitFor(ctx, t, swarmSize{Complete: 1}, "after the leecher left")
			seeder.close(t)
			o.waitFor(ctx, t, swarmSize{}, "after all peers left")
		})
	}
	f("torrent file", func(s share) share { return share{torrentFile: s.torrentFile} })
	f("magnet link", func(s share) share { return share{magnet: s.magnet} })
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
