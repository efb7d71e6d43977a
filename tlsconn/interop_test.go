//go:build interop

package tlsconn

// This file tests against the programs openssl and node, which must be installed: go test -tags interop.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answerLines serves s_client: each line is answered with the line in capitals, "bye" ends the connection.
func answerLines(_ *Conn, data []byte) ([]byte, bool) {
	return bytes.ToUpper(data), bytes.Contains(data, []byte("bye"))
}

// sClient runs openssl s_client and types the steps, each after the answer to the one before, and returns all output.
func sClient(t *testing.T, addr string, steps []string, wants []string, args ...string) (output string) {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", addr, "-servername", "localhost"}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	var seen strings.Builder
	reader := bufio.NewReader(out)
	await := func(want string) {
		from := seen.Len()
		for !strings.Contains(seen.String()[from:], want) {
			b, err := reader.ReadByte()
			if err != nil {
				t.Fatalf("s_client %v ended before %q: %s", args, want, seen.String())
			}
			seen.WriteByte(b)
		}
	}
	await("---\n") // the report of the handshake is complete up to here
	for i, step := range steps {
		io.WriteString(in, step)
		if wants[i] != "" {
			await(wants[i])
		}
	}
	in.Close()
	rest, _ := io.ReadAll(reader)
	cmd.Wait()
	return seen.String() + string(rest)
}

// OpenSSL's client talks to us with each version and suite it shares with us, and sees an orderly end.
func TestOpenSSL(t *testing.T) {
	f := func(kind string, args ...string) {
		t.Helper()
		l := newLoop(t, testCerts(t, kind), answerLines)
		long := strings.Repeat("long", 5000)
		steps := []string{"hello\n", long + "\n", "bye\n"}
		wants := []string{"HELLO\n", "LONG\n", "BYE\n"}
		out := sClient(t, l.addr, steps, wants, append(args, "-alpn", "http/1.1")...)
		if !strings.Contains(out, strings.ToUpper(long)) || !strings.Contains(out, "ALPN protocol: http/1.1") {
			t.Errorf("%v: %s", args, out)
		}
		if !strings.Contains(out, "closed") {
			t.Errorf("%v: s_client saw no close_notify: %s", args, out[len(out)-300:])
		}
		l.do(func() {
			for _, err := range l.ended {
				t.Errorf("%v: %v", args, err)
			}
		})
	}
	for _, kind := range []string{"ecdsa", "rsa", "ed25519"} {
		f(kind, "-tls1_3")
		f(kind, "-tls1_2")
	}
	for _, s := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		f("ecdsa", "-tls1_3", "-ciphersuites", s)
	}
	for _, s := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"} {
		f("ecdsa", "-tls1_2", "-cipher", "ECDHE-ECDSA-"+s)
		f("rsa", "-tls1_2", "-cipher", "ECDHE-RSA-"+s)
	}
	f("ecdsa", "-tls1_3", "-record_padding", "1000")
	f("ecdsa", "-tls1_3", "-max_send_frag", "512")
}

// Data goes on through key updates that OpenSSL makes (k), and that it asks us to make as well (K).
func TestOpenSSLKeyUpdate(t *testing.T) {
	l := newLoop(t, testCerts(t, "ecdsa"), answerLines)
	steps := []string{"uno\n", "k\n", "two\n", "K\n", "three\n", "K\n", "k\n", "four\n", "bye\n"}
	wants := []string{"UNO\n", "KEYUPDATE", "TWO\n", "KEYUPDATE", "THREE\n", "KEYUPDATE", "KEYUPDATE", "FOUR\n", "BYE\n"}
	out := sClient(t, l.addr, steps, wants, "-tls1_3")
	if !strings.Contains(out, "closed") {
		t.Error(out)
	}
	l = newLoop(t, testCerts(t, "ecdsa"), answerLines)
	l.engine.rekeyAfter = 2
	out = sClient(t, l.addr, []string{"1 a\n", "2 a\n", "3 a\n", "4 a\n", "5 a\n", "K\n", "6 a\n", "bye\n"},
		[]string{"1 A\n", "2 A\n", "3 A\n", "4 A\n", "5 A\n", "KEYUPDATE", "6 A\n", "BYE\n"}, "-tls1_3")
	if !strings.Contains(out, "closed") {
		t.Error(out)
	}
}

// OpenSSL's client talks with a connection that is handed over after each of its messages, with each suite, and through
// changes of keys that both sides make.
func TestOpenSSLWhileHandedOver(t *testing.T) {
	f := func(kind string, steps, wants []string, args ...string) {
		t.Helper()
		l := newLoop(t, testCerts(t, kind), answerLines)
		l.do(func() {
			l.second = NewEngine(l.engine.opt)
			l.engine.rekeyAfter, l.second.rekeyAfter = 2, 2
		})
		out := sClient(t, l.addr, append(steps, "bye\n"), append(wants, "BYE\n"), args...)
		l.do(func() {
			if !strings.Contains(out, "closed") || len(l.ended) > 0 || l.moves < len(steps) {
				t.Errorf("%v: %d times handed over, %v: %s", args, l.moves, l.ended, out)
			}
		})
	}
	lines, answers := []string{"one\n", "two\n", "three\n"}, []string{"ONE\n", "TWO\n", "THREE\n"}
	for _, s := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		f("ecdsa", lines, answers, "-tls1_3", "-ciphersuites", s)
	}
	for _, s := range []string{"AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"} {
		f("ecdsa", lines, answers, "-tls1_2", "-cipher", "ECDHE-ECDSA-"+s)
		f("rsa", lines, answers, "-tls1_2", "-cipher", "ECDHE-RSA-"+s)
	}
	f("ecdsa", []string{"uno\n", "k\n", "two\n", "K\n", "three\n", "K\n", "k\n", "four\n"},
		[]string{"UNO\n", "KEYUPDATE", "TWO\n", "KEYUPDATE", "THREE\n", "KEYUPDATE", "KEYUPDATE", "FOUR\n"}, "-tls1_3")
}

// Renegotiation is refused with the warning that OpenSSL reports.
func TestOpenSSLRenegotiation(t *testing.T) {
	l := newLoop(t, testCerts(t, "ecdsa"), answerLines)
	out := sClient(t, l.addr, []string{"uno\n", "R\n"}, []string{"UNO\n", "RENEGOTIATING"}, "-tls1_2")
	if !strings.Contains(out, "no renegotiation") {
		t.Error(out)
	}
}

// OpenSSL resumes sessions of both versions.
func TestOpenSSLResumption(t *testing.T) {
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		l := newLoop(t, testCerts(t, "ecdsa"), answerLines)
		session := filepath.Join(t.TempDir(), "session")
		steps, wants := []string{"hello\n", "bye\n"}, []string{"HELLO\n", "BYE\n"}
		sClient(t, l.addr, steps, wants, version, "-sess_out", session)
		if info, err := os.Stat(session); err != nil || info.Size() == 0 {
			t.Fatalf("%s: no session was kept: %v", version, err)
		}
		out := sClient(t, l.addr, steps, wants, version, "-sess_in", session)
		if !strings.Contains(out, "Reused, ") {
			t.Errorf("%s: not resumed: %s", version, out)
		}
	}
}

// Node's client talks HTTP to us, resumes, and ends in order, with both versions.
func TestNode(t *testing.T) {
	serve := func(_ *Conn, data []byte) ([]byte, bool) {
		return []byte("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n" +
			strings.Repeat("n", 100000)), true
	}
	script := `
const https = require('https'), tls = require('tls')
let session, n = 0
function get () {
  const version = process.argv[2]
  const req = https.get({ host: '127.0.0.1', port: process.argv[1], rejectUnauthorized: false, agent: false, session,
    minVersion: version, maxVersion: version }, res => {
    let size = 0
    res.on('data', d => { size += d.length })
    res.on('end', () => {
      console.log(size, req.socket.getProtocol(), req.socket.isSessionReused())
      if (++n < 3) get()
    })
  })
  req.on('socket', s => s.on('session', x => { session = x }))
  req.on('error', e => { console.log(e); process.exit(1) })
}
get()`
	for version, name := range map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"} {
		l := newLoop(t, testCerts(t, "ecdsa"), serve)
		port := l.addr[strings.LastIndexByte(l.addr, ':')+1:]
		out, err := exec.Command("node", "-e", script, "--", port, name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := fmt.Sprintf("100000 %s false\n100000 %s true\n100000 %s true\n", name, name, name)
		if string(out) != want {
			t.Errorf("TLS %x: node says %q, want %q", version, out, want)
		}
	}
}
