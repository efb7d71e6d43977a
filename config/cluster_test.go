package config

import (
	"strings"
	"testing"
)

// This file tests the section [cluster].

// TestCluster proves that a cluster has addresses of NATS, names that fit into subjects, and a secret; that nothing is asked of the other
// keys while there is none; and that no error repeats a password.
func TestCluster(t *testing.T) {
	f := func(lines, want string) {
		t.Helper()
		if err := loads(t, lines, want); err != nil && strings.Contains(err.Error(), "password") {
			t.Errorf("%q:\n%v", lines, err)
		}
	}
	const on = "cluster.secret_file = 's'\ncluster.nats_url = "
	f("cluster.name = '!'", "")
	f(on+"'nats://10.0.0.1:4222, tls://u:password@nats.example.org'", "")
	f(on+"'10.0.0.1:4222'", "2:20: cluster.nats_url must be the address of a NATS server, such as")
	f(on+"'http://u:password@10.0.0.1'", "2:20: cluster.nats_url must be the address of a NATS server, such as")
	f(on+"'u:password@10.0.0.1'", "2:20: cluster.nats_url must be the address of a NATS server, such as")
	for _, url := range []string{"nats://127.0.0.1:99999", "nats://::1:4222", "nats://a:", "nats://u:pa@ss@a:4222:5", "nats://:4222", "nats://[::1"} {
		f(on+"'"+url+"'", "2:20: cluster.nats_url must be the address of a NATS server, such as")
	}
	f(on+"'nats://[::1]:4222,nats://[::1],nats://a,tls://u:p@b:65535'", "")
	f(on+"'nats://a:1,'", "2:20: cluster.nats_url must be the address of a NATS server, such as")
	f(on+"'"+strings.Repeat("nats://a:1,", 16)+"nats://b:1'", "2:20: cluster.nats_url has 17 addresses, but may have at most 16")
	f(on+"'nats://a:1'\ncluster.name = 'a.b'", `3:16: cluster.name may have letters, digits, - and _, but is "a.b"`)
	f(on+"'nats://a:1'\ncluster.name = ''", `3:16: cluster.name must have 1 to 64 characters, but has 0`)
	f(on+"'nats://a:1'\ncluster.node = 'a*'", `3:16: cluster.node may have letters, digits, - and _, but is "a*"`)
	f("cluster.nats_url = 'nats://a:1'", "1:20: cluster.secret_file is empty, but nodes of a cluster need one")
	f("cluster.node_timeout = 1", "1:24: cluster.node_timeout is 1, but must be from 2 to 300")
}
