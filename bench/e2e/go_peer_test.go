package e2e

// This file is the peer of anacrolix/torrent.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/bencode"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/time/rate"
)

// goPeer is an anacrolix/torrent client with one torrent.
type goPeer struct {
	client *torrent.Client
	dir    string
	closed bool
	upload *rate.Limiter // of data to other peers: as fast as it can at first

	otherNetworks atomic.Int32 // connections to peers that were not WebRTC
}

func newGoPeer(t *testing.T) peer {
	t.Helper()
	p := &goPeer{dir: t.TempDir(), upload: rate.NewLimiter(rate.Inf, 256<<10)}
	config := torrent.NewDefaultClientConfig()
	config.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir:   p.dir,
		PieceCompletion: storage.NewMapPieceCompletion(),
	})
	config.Seed = true
	config.UploadRateLimiter = p.upload
	// Only WebRTC remains, and the tracker is the only way to find a peer.
	config.NoDHT = true
	config.DisableTCP = true
	config.DisableUTP = true
	config.DisablePEX = true
	config.DisableWebseeds = true
	config.NoDefaultPortForwarding = true
	config.SetListenAddr("127.0.0.1:0")
	log := &testLog{output: t.Output()}
	config.Slogger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	config.Callbacks.PeerConnAdded = append(config.Callbacks.PeerConnAdded, func(c *torrent.PeerConn) {
		if c.Network != "webrtc" {
			p.otherNetworks.Add(1)
		}
	})

	client, err := torrent.NewClient(config)
	if err != nil {
		t.Fatalf("cannot start a Go peer: %v", err)
	}
	p.client = client
	t.Cleanup(func() {
		p.close(t)
		log.stop()
	})
	return p
}

func (p *goPeer) seed(_ context.Context, t *testing.T, f file, trackerURL string) share {
	t.Helper()
	path := filepath.Join(p.dir, f.name)
	if err := os.WriteFile(path, f.content, 0o600); err != nil {
		t.Fatal(err)
	}
	info := metainfo.Info{PieceLength: 64 << 10}
	if err := info.BuildFromFilePath(path); err != nil {
		t.Fatal(err)
	}
	infoBytes, err := bencode.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	meta := metainfo.MetaInfo{InfoBytes: infoBytes, Announce: trackerURL}
	added, err := p.client.AddTorrent(&meta)
	if err != nil {
		t.Fatalf("cannot seed: %v", err)
	}
	if err := added.VerifyDataContext(t.Context()); err != nil {
		t.Fatalf("cannot verify the file to seed: %v", err)
	}

	var encoded bytes.Buffer
	if err := meta.Write(&encoded); err != nil {
		t.Fatal(err)
	}
	magnet, err := meta.MagnetV2()
	if err != nil {
		t.Fatal(err)
	}
	return share{torrentFile: encoded.Bytes(), magnet: magnet.String()}
}

func (p *goPeer) leech(ctx context.Context, t *testing.T, s share) string {
	t.Helper()
	added := p.add(t, s)
	select {
	case <-added.GotInfo():
	case <-ctx.Done():
		t.Fatal("the Go peer got no metadata from its peers in time")
	}
	reader := added.NewReader()
	defer reader.Close()
	reader.SetContext(ctx)
	hash := sha256.New()
	if n, err := io.Copy(hash, reader); err != nil {
		t.Fatalf("the Go peer downloaded %d of %d bytes: %v", n, added.Length(), err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

func (p *goPeer) add(t *testing.T, s share) *torrent.Torrent {
	t.Helper()
	var added *torrent.Torrent
	var err error
	if s.magnet != "" {
		added, err = p.client.AddMagnet(s.magnet)
	} else {
		var meta *metainfo.MetaInfo
		if meta, err = metainfo.Load(bytes.NewReader(s.torrentFile)); err == nil {
			added, err = p.client.AddTorrent(meta)
		}
	}
	if err != nil {
		t.Fatalf("the Go peer cannot add the torrent: %v", err)
	}
	return added
}

func (p *goPeer) close(t *testing.T) {
	if p.closed {
		return
	}
	p.closed = true
	for _, err := range p.client.Close() {
		t.Errorf("cannot close the Go peer: %v", err)
	}
	if n := p.otherNetworks.Load(); n > 0 {
		t.Errorf("the Go peer made %d connections that were not WebRTC", n)
	}
}

// testLog is the log of a client. The client's goroutines may outlive it for a
// moment, and a test panics if it has to log after its end.
type testLog struct {
	mu     sync.Mutex
	output io.Writer
}

func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.output.Write(line)
}

// stop drops later lines.
func (l *testLog) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.output = io.Discard
}
