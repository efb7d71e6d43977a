package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"millrace/cmd/internal/cluster/natsbus"
	"millrace/config"
)

// This file owns what a node of a cluster reads before it starts: its name and the files that the configuration names.

// The length of the secret of a cluster, and of its other files, in bytes.
const (
	leastSecret = 32
	mostSecret  = 4 << 10
	mostFile    = 1 << 20
)

// readBridge reads the files that a node of a cluster needs, while the process still may; nil: it is to be none.
func readBridge(c *config.Cluster) (*bridge, error) {
	if !c.On() {
		return nil, nil
	}
	b := &bridge{leave: make(chan struct{}, 1), gone: make(chan struct{})}
	if problem := config.ClusterNameProblem(nodeName(c)); problem != "" {
		return nil, fmt.Errorf("the name of the host cannot name this node, it %s: set cluster.node", problem)
	}
	var err error
	b.secret, err = readSecret(c.SecretFile)
	all := []error{err}
	if info, err := os.Stat(c.SecretFile); err == nil && info.Mode().Perm()&0o044 != 0 {
		b.warning = fmt.Sprintf("cluster.secret_file %s can be read by other users: chmod 600 %[1]s", c.SecretFile)
	}
	b.options = natsbus.Options{URLs: c.URLs(), Name: "millrace " + nodeName(c)}
	for _, f := range []struct {
		key, path string
		content   *[]byte
	}{
		{"cluster.credentials_file", c.CredentialsFile, &b.options.Credentials},
		{"cluster.tls_ca_path", c.TLSCAPath, &b.options.CA},
	} {
		if f.path == "" {
			continue
		}
		*f.content, err = readAtMost(f.path, mostFile)
		if err != nil {
			err = fmt.Errorf("cannot read %s: %w", f.key, err)
		}
		all = append(all, err)
	}
	if err := errors.Join(append(all, b.options.Check())...); err != nil {
		return nil, err
	}
	return b, nil
}

// nodeName returns the name of this node: that of the host, up to its first dot, if the configuration has none.
func nodeName(c *config.Cluster) string {
	if c.Node != "" {
		return c.Node
	}
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, ".")
	return host
}

// readSecret reads the secret of the cluster.
func readSecret(path string) ([]byte, error) {
	secret, err := readAtMost(path, mostSecret)
	if err != nil {
		return nil, fmt.Errorf("cannot read cluster.secret_file: %w", err)
	}
	if len(secret) < leastSecret {
		return nil, fmt.Errorf("cluster.secret_file %s has %d bytes, but needs %d or more: make it with: head -c 32 /dev/urandom > %s",
			path, len(secret), leastSecret, path)
	}
	return secret, nil
}

// readAtMost reads a file that has no more than so many bytes. It need not be a regular one: a shell can give a pipe.
func readAtMost(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > most:
		return nil, fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return content, nil
}
