package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/config"
	"millrace/ring/host"
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
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: "/dev/zero"}, "/dev/zero has more than 4096 bytes")
	f(config.Cluster{NATSURL: url, Node: "a b", SecretFile: secret}, "set cluster.node")
	c := config.Cluster{NATSURL: url, Node: "a", SecretFile: "/none/1", CredentialsFile: "/none/2", TLSCAPath: "/none/3"}
	for _, path := range []string{c.SecretFile, c.CredentialsFile, c.TLSCAPath} {
		f(c, path) // all mistakes are said at once
	}
	c = config.Cluster{NATSURL: url, Node: "a", SecretFile: secret}
	for mode, want := range map[os.FileMode]string{0o600: "", 0o640: "chmod 600 " + secret, 0o604: "chmod 600 " + secret} {
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
		if b, err := readBridge(&c); err != nil || !strings.HasSuffix(b.warning, want) || want == "" && b.warning != "" {
			t.Errorf("mode %o: %v, want a warning %q", mode, err, want)
		}
	}
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, TLSCAPath: filepath.Join(dir, "none")}, "cannot read cluster.tls_ca_path: ")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, TLSCAPath: secret}, "has no certificate in PEM")
	f(config.Cluster{NATSURL: url, Node: "a", SecretFile: secret, CredentialsFile: filepath.Join(dir, "none")}, "cannot read cluster.credentials_file: ")
}

// TestClusterTrouble proves that each trouble of a node with its cluster has a sentence, the worst one first.
func TestClusterTrouble(t *testing.T) {
	var st bridgeState
	f := func(want string) {
		t.Helper()
		if got := st.trouble(); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("no connection to NATS")
	st.core.Connected = 1
	f("")
	st.core.Strange = true
	f("another secret")
	st.core.Unlike = 1
	f("share_swarms_across_ip_versions")
	st.core.Unheard = 1
	f("its own greetings")
	st.apart = "the name is taken"
	f("has left the cluster, and its clients find no peers on others: the name is taken")
}

// TestBridgeRests proves that a bridge rests only until some time after its last turn, and that mail, its own goodbye and the end of the tracker
// end the rest.
func TestBridgeRests(t *testing.T) {
	door, err := host.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	<-door.Rung // it begins with a token
	over, timer := make(chan struct{}), time.NewTimer(time.Hour)
	b := &bridge{door: door, leave: make(chan struct{}, 1), clock: func() time.Duration { return time.Hour }}
	f := func(turned time.Duration, want bool) {
		t.Helper()
		b.turned = turned
		if end := b.rest(timer, over); end != want {
			t.Errorf("the rest ends with %v, want %v", end, want)
		}
	}
	f(time.Hour-bridgeRest, false)
	f(time.Hour-bridgeRest/2, false)
	const long = 100 * time.Hour // longer than any test runs
	door.Ring()
	f(long, false)
	b.say()
	f(long, false)
	if len(b.leave) != 1 {
		t.Error("the goodbye is forgotten")
	}
	<-b.leave
	close(over)
	f(long, true)
}
