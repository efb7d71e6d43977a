package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/config"
)

// This file proves what keeps a tracker from being a node of a cluster.

// TestReadBridge proves that files and names that a node cannot use are said before it starts, with the key and the remedy, and that nothing is
// read without a cluster.
func TestReadBridge(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := file("secret", strings.Repeat("s", leastSecret))
	f := func(c config.Cluster, want string) {
		t.Helper()
		c.Name = "millrace"
		b, err := readBridge(&c)
		switch {
		case want == "" && (err != nil || (b != nil) != c.On()), want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	const url = "nats://127.0.0.1:4222"
	f(config.Cluster{SecretFile: "/nonexistent"}, "")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret}, "")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: filepath.Join(dir, "none")}, "cannot read cluster.secret_file: ")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: file("short", "short")}, "has 5 bytes, but needs 32 or more: make it with: head")
	f(config.Cluster{NATSURL: url, Node: "a b", SecretFile: secret}, "set cluster.node")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, TLSCAPath: filepath.Join(dir, "none")}, "cannot read cluster.tls_ca_path: ")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, TLSCAPath: secret}, "has no certificate in PEM")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, CredentialsFile: filepath.Join(dir, "none")}, "cannot read cluster.credentials_file: ")
}
