package e2e

// This file shows that real clients do not notice when the tracker is replaced by another process.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// replaced is a tracker that another process takes over from.
type replaced struct {
	url    string
	server *server // whose log all processes share: it exits when all of them have
	log    replacedLog
	serves int // the process that serves now
}

// replacedLog is a log that is read while it is written.
type replacedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // a token when there is more
}

func (l *replacedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

var handedOver = regexp.MustCompile(`msg="handed over to a new process" pid=(\d+) connections=\d+ peers=(\d+)`)

// handOvers returns what the log says about hand-overs: processes and peers.
func (l *replacedLog) handOvers() [][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return handedOver.FindAllStringSubmatch(l.text.String(), -1)
}

// startReplaced starts the tracker with a setting. At the end of the test it stops the process that serves then.
func startReplaced(t *testing.T, s setting) *replaced {
	t.Helper()
	address := freeAddress(t)
	r := &replaced{url: "ws://" + address, log: replacedLog{more: make(chan struct{}, 1)}}
	network := ""
	if s.tls {
		r.url = "wss://" + address
		network = fmt.Sprintf("enable_tls = true\ntls_certificate_path = %q\ntls_private_key_path = %q\n",
			certificate.chainPath, certificate.keyPath)
	}
	config := filepath.Join(t.TempDir(), "millrace.toml")
	text := fmt.Sprintf("socket_workers = %d\n[network]\naddress = %q\n%s", s.shards, address, network)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.server = startLoggedServer(t, &r.log, func(state *os.ProcessState) {
		if state.ExitCode() != 0 {
			t.Errorf("the first process ended with %v, want exit code 0", state)
		}
	}, trackerProgram(t), "-c", config)
	r.serves = r.server.cmd.Process.Pid
	t.Cleanup(func() {
		syscall.Kill(r.serves, syscall.SIGTERM)
		select {
		case <-r.server.exited:
		case <-time.After(stopTimeout):
			t.Errorf("process %d still runs %v after SIGTERM; it is killed", r.serves, stopTimeout)
			syscall.Kill(r.serves, syscall.SIGKILL)
		}
	})
	waitForTracker(t, r.url, r.server)
	return r
}

// replace has another process take over, and waits until it serves. It returns how many peers went over.
func (r *replaced) replace(ctx context.Context) (peers int, err error) {
	times := len(r.log.handOvers())
	if err := syscall.Kill(r.serves, syscall.SIGUSR2); err != nil {
		return 0, err
	}
	for {
		if all := r.log.handOvers(); len(all) > times {
			last := all[times]
			if r.serves, err = strconv.Atoi(last[1]); err != nil {
				return 0, err
			}
			return strconv.Atoi(last[2])
		}
		select {
		case <-r.log.more:
		case <-ctx.Done():
			return 0, fmt.Errorf("nobody has taken over: %w", ctx.Err())
		}
	}
}

// slowly is the rate of a transfer that must last over a hand-over.
const slowly = 256 << 10

// replaceUnder replaces the tracker while a seeder's file is under way, and lets the rest of it go fast.
func (r *replaced) replaceUnder(ctx context.Context, seeder *goPeer) error {
	defer seeder.upload.SetLimit(rate.Inf)
	torrent := seeder.client.Torrents()[0]
	sent := func() int64 { s := torrent.Stats(); return s.BytesWrittenData.Int64() }
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for sent() == 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("the seeder has sent nothing: %w", ctx.Err())
		}
	}
	peers, err := r.replace(ctx)
	switch {
	case err != nil:
		return err
	case peers != 2:
		return fmt.Errorf("%d peers went over, of 2", peers)
	case sent() >= fileSize:
		return fmt.Errorf("the file was there before the hand-over was done: it shows nothing")
	}
	return nil
}

// TestUpgradeUnderTransfer shows that a file which is under way when the tracker is replaced arrives, that the clients' connections to the
// tracker last, and that new leechers find the swarm in the new process, and in the one after that, by what it was given and by the next
// announces of the clients. The counts are right all the time.
func TestUpgradeUnderTransfer(t *testing.T) {
	b := startBrowser(t)
	for _, s := range []setting{twoShards, tlsTwoShards} {
		t.Run(s.name, func(t *testing.T) { testUpgradeUnderTransfer(t, startReplaced(t, s), b.kind()) })
	}
}

func testUpgradeUnderTransfer(t *testing.T, r *replaced, browser kind) {
	ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
	defer cancel()
	f := randomFile(t.Name())
	sum := sha256.Sum256(f.content)
	want := hex.EncodeToString(sum[:])
	seeder := newGoPeer(t).(*goPeer)
	seeder.upload.SetLimit(slowly)
	shared := seeder.seed(ctx, t, f, r.url)
	o := newObserver(ctx, t, r.url, infoHash(t, shared)) // whose connection lasts to the end
	o.waitFor(ctx, t, swarmSize{Complete: 1}, "with the seeder alone")

	leech := func(k kind) peer {
		t.Helper()
		p := k.newPeer(t)
		if got := p.leech(ctx, t, shared); got != want {
			t.Errorf("the file arrived with SHA-256 %s, want %s", got, want)
		}
		return p
	}
	failed := make(chan error, 1)
	go func() { failed <- r.replaceUnder(ctx, seeder) }()
	first := leech(browser)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	o.waitFor(ctx, t, swarmSize{Complete: 2}, "after the transfer over a hand-over")
	second := leech(goKind)
	second.close(t)
	o.waitFor(ctx, t, swarmSize{Complete: 2}, "after a new leecher")
	if peers, err := r.replace(ctx); err != nil || peers != 2 {
		t.Fatalf("%d peers went over, of 2: %v", peers, err)
	}
	third := leech(browser)
	o.waitFor(ctx, t, swarmSize{Complete: 3}, "after a new leecher, behind the second hand-over")
	for _, p := range []peer{third, first, seeder} {
		p.close(t)
	}
	o.waitFor(ctx, t, swarmSize{}, "after all peers left")
}

// TestUpgradeNodeClient shows that the npm client, whose two peers share a connection, gets right replies before and after the tracker is
// replaced, and connects only once: the library warns of each connection that it loses, which ends the program.
func TestUpgradeNodeClient(t *testing.T) {
	for _, s := range []setting{twoShards, tlsTwoShards} {
		t.Run(s.name, func(t *testing.T) {
			r := startReplaced(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), transferTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "node-client.js", r.url, "pause")
			cmd.Stderr = t.Output()
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "pause\n" {
				t.Errorf("node-client.js says %q: %v", line, err)
			} else if peers, err := r.replace(ctx); err != nil || peers != 2 {
				t.Errorf("%d peers went over, of 2: %v", peers, err)
			}
			io.WriteString(in, "go on\n")
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("node-client.js: %v", err)
			}
		})
	}
}
