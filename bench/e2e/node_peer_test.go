package e2e

// This file is the peer of webtorrent in Node, with WebRTC: node-peer.js, a process for each peer.

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodePeer is webtorrent in a process of Node.
type nodePeer struct {
	dir  string
	cmd  *exec.Cmd      // nil before it seeds or leeches
	stay io.WriteCloser // closed: it leaves
}

var nodeKind = kind{newPeer: newNodePeer, saysCompleted: true}

func newNodePeer(t *testing.T) peer {
	t.Helper()
	p := &nodePeer{dir: t.TempDir()}
	t.Cleanup(func() { p.close(t) })
	return p
}

// begin starts the process, and decodes what it says when it is done.
func (p *nodePeer) begin(ctx context.Context, t *testing.T, result any, args ...string) {
	t.Helper()
	p.cmd = exec.CommandContext(ctx, "node", append([]string{"node-peer.js"}, args...)...)
	p.cmd.Stderr = t.Output()
	said, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stay, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		t.Fatalf("cannot start node: %v", err)
	}
	line, err := bufio.NewReader(said).ReadBytes('\n')
	if err != nil {
		t.Fatalf("node-peer.js cannot %s, see its log: %v", args[0], err)
	}
	if err := json.Unmarshal(line, result); err != nil {
		t.Fatalf("node-peer.js says %q: %v", line, err)
	}
}

func (p *nodePeer) seed(ctx context.Context, t *testing.T, f file, trackerURL string) share {
	t.Helper()
	path := filepath.Join(p.dir, f.name)
	if err := os.WriteFile(path, f.content, 0o600); err != nil {
		t.Fatal(err)
	}
	var result struct {
		TorrentFile []byte `json:"torrentFile"` // base64 in JSON
		Magnet      string `json:"magnet"`
	}
	p.begin(ctx, t, &result, "seed", path, trackerURL)
	return share{torrentFile: result.TorrentFile, magnet: result.Magnet}
}

func (p *nodePeer) leech(ctx context.Context, t *testing.T, s share) string {
	t.Helper()
	from := s.magnet
	if from == "" {
		from = filepath.Join(p.dir, "shared.torrent")
		if err := os.WriteFile(from, s.torrentFile, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var sum string
	p.begin(ctx, t, &sum, "leech", from)
	return sum
}

func (p *nodePeer) close(t *testing.T) {
	if p.cmd == nil {
		return
	}
	p.stay.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("node-peer.js ended with an error: %v", err)
	}
	p.cmd = nil
}
