package e2e

// This file shows that nodes prove who they are to NATS, and NATS to them.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// TestClusterSecure shows that nodes find each other over TLS, with an authority of their own for NATS and a password, and with a file of
// credentials; and that the log says why NATS refuses a node, without the password.
func TestClusterSecure(t *testing.T) {
	t.Run("TLS and a password", testNATSPassword)
	t.Run("credentials", testNATSCredentials)
}

// twoNodes starts two nodes that reach NATS in the same way, and waits until they see each other.
func twoNodes(t *testing.T, s clusterSetting) {
	t.Helper()
	var nodes []*clusterNode
	for _, s.name = range []string{"node1", "node2"} {
		n := newNode(t, s)
		n.launch(t)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		waitForTracker(t, n.url, n.server)
		n.sees(t, 1)
	}
}

// refused starts a node that NATS does not take, or that does not take NATS. It serves, and its log says why it is alone.
func refused(t *testing.T, s clusterSetting, why string) {
	t.Helper()
	n := newNode(t, s)
	n.start(t)
	await(t, "the log says: "+why, func() bool { return n.says(why) })
	if !n.says(`level=WARN msg="cluster: cannot connect to NATS, and goes on trying"`) || n.says("wrong-password") {
		t.Error("the log does not say what happens, or has the password")
	}
	if status, text := n.health(); status != 200 || !strings.Contains(text, "no connection to NATS") {
		t.Errorf("a health check has %d %q", status, text)
	}
}

func testNATSPassword(t *testing.T) {
	authority, chain, key := natsCertificate(t)
	n := newNATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }\nauthorization { user: node, password: \"good-password\" }", chain, key))
	n.start(t)
	with := func(password string) string { return "tls://node:" + password + "@" + n.address }
	trust := fmt.Sprintf("tls_ca_path = %q", authority)
	twoNodes(t, clusterSetting{shards: 1, nats: with("good-password"), more: trust})
	refused(t, clusterSetting{name: "node3", shards: 1, nats: with("wrong-password"), more: trust}, "Authorization Violation")
	refused(t, clusterSetting{name: "node4", shards: 1, nats: with("wrong-password")}, "x509: certificate signed by unknown authority")
}

// natsCertificate makes a certificate of NATS by an authority that nothing else knows.
func natsCertificate(t *testing.T) (authority, chain, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of NATS"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "NATS"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: parent.NotBefore, NotAfter: parent.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	parentDER, err := x509.CreateCertificate(rand.Reader, parent, parent, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, parent, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write("authority.pem", "CERTIFICATE", parentDER), write("chain.pem", "CERTIFICATE", leafDER), write("key.pem", "PRIVATE KEY", keyDER)
}

func testNATSCredentials(t *testing.T) {
	operator, account := newNATSKey(t, nkeys.CreateOperator), newNATSKey(t, nkeys.CreateAccount)
	operatorClaims, err := jwt.NewOperatorClaims(operator.public).Encode(operator.pair)
	if err != nil {
		t.Fatal(err)
	}
	accountClaims, err := jwt.NewAccountClaims(account.public).Encode(operator.pair)
	if err != nil {
		t.Fatal(err)
	}
	n := newNATS(t, fmt.Sprintf("operator: %s\nresolver: MEMORY\nresolver_preload: { %s: %s }", operatorClaims, account.public, accountClaims))
	n.start(t)
	credentials := func(signer natsKey) string {
		user := newNATSKey(t, nkeys.CreateUser)
		// All that a node needs: what begins with the name of its cluster.
		claims := jwt.NewUserClaims(user.public)
		claims.Permissions.Pub.Allow.Add("millrace.millrace.>")
		claims.Permissions.Sub.Allow.Add("millrace.millrace.>")
		token, err := claims.Encode(signer.pair)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := user.pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.FormatUserConfig(token, seed)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "node.creds")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("credentials_file = %q", path)
	}
	url := "nats://" + n.address
	twoNodes(t, clusterSetting{shards: 1, nats: url, more: credentials(account)})
	refused(t, clusterSetting{name: "node3", shards: 1, nats: url, more: credentials(newNATSKey(t, nkeys.CreateAccount))}, "Authorization Violation")
}

// natsKey is a key of an operator of NATS, an account or a user.
type natsKey struct {
	pair   nkeys.KeyPair
	public string
}

func newNATSKey(t *testing.T, create func() (nkeys.KeyPair, error)) natsKey {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return natsKey{pair, public}
}
