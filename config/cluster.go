package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// This file owns the section [cluster]: several trackers as one.

// Cluster is the section [cluster].
type Cluster struct {
	NATSURL         string `toml:"nats_url"`         // of NATS servers, divided by commas; empty: this tracker is alone
	Name            string `toml:"name"`             // the same for all nodes
	Node            string `toml:"node"`             // different for each; empty: the name of the host
	SecretFile      string `toml:"secret_file"`      // 32 bytes or more, the same for all nodes
	CredentialsFile string `toml:"credentials_file"` // of a NATS user; empty: none, or those in the URL
	TLSCAPath       string `toml:"tls_ca_path"`      // PEM, for NATS servers with certificates of an authority of their own
	NodeTimeout     int    `toml:"node_timeout"`     // seconds of silence after which a node counts as gone
}

// Bounds of names in the cluster.
const (
	maxClusterName = 64 // bytes, also of the name of a node
	maxNATSURLs    = 16
)

// On reports whether the tracker is a node of a cluster.
func (c *Cluster) On() bool { return c.NATSURL != "" }

// URLs returns the addresses of the NATS servers.
func (c *Cluster) URLs() []string {
	if !c.On() {
		return nil
	}
	list := strings.Split(c.NATSURL, ",")
	for k := range list {
		list[k] = strings.TrimSpace(list[k])
	}
	return list
}

// ClusterNameProblem returns why a text cannot name a cluster or a node; "" if it can. The names are parts of NATS subjects.
func ClusterNameProblem(name string) string {
	if name == "" || len(name) > maxClusterName {
		return fmt.Sprintf("must have 1 to %d characters, but has %d", maxClusterName, len(name))
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Sprintf("may have letters, digits, - and _, but is %q", short(name))
		}
	}
	return ""
}

// checkCluster returns the mistakes in the section.
func (c *Config) checkCluster() (found []finding) {
	k := &c.Cluster
	if !k.On() {
		return nil
	}
	blame := func(key, format string, args ...any) {
		found = append(found, finding{[]string{key}, key + " " + fmt.Sprintf(format, args...)})
	}
	urls := k.URLs()
	if len(urls) > maxNATSURLs {
		blame("cluster.nats_url", "has %d addresses, but may have at most %d", len(urls), maxNATSURLs)
	}
	for _, text := range urls {
		if !isNATSURL(text) {
			blame("cluster.nats_url", "must be the address of a NATS server, such as \"nats://127.0.0.1:4222\" or \"tls://nats.example.org:4222\", "+
				"but %q is none", short(hidePassword(text)))
		}
	}
	if problem := ClusterNameProblem(k.Name); problem != "" {
		blame("cluster.name", "%s", problem)
	}
	if k.Node != "" {
		if problem := ClusterNameProblem(k.Node); problem != "" {
			blame("cluster.node", "%s", problem)
		}
	}
	if k.SecretFile == "" {
		found = append(found, finding{[]string{"cluster.secret_file", "cluster.nats_url"}, "cluster.secret_file is empty, but nodes of a cluster " +
			"need one with the same 32 bytes or more on each: make it with: head -c 32 /dev/urandom > cluster.secret"})
	}
	return found
}

// isNATSURL reports whether a text is the address of a NATS server. A port that is left out is 4222.
func isNATSURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "nats" && u.Scheme != "tls" {
		return false
	}
	isIPv6 := strings.Contains(u.Hostname(), ":")
	if isIPv6 && !strings.HasPrefix(u.Host, "[") || strings.HasSuffix(u.Host, ":") {
		return false
	}
	_, err = strconv.ParseUint(cmp.Or(u.Port(), "4222"), 10, 16)
	return err == nil
}

// hidePassword returns the address of a NATS server without what a log must not have.
func hidePassword(text string) string {
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			return scheme + "://…" + rest[at:]
		}
		return text
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}
