package tlsconn_test

// This file shows the package in use: a small event loop that serves one client over a pipe in memory.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"millrace/tlsconn"
)

// An event loop feeds received bytes to a Conn, reads the data in them, and sends the output of the Conn. It answers
// each piece of data with the same data, until the client sends close_notify.
func Example() {
	certificates, err := newCertificates()
	if err != nil {
		fmt.Println(err)
		return
	}
	wire, far := net.Pipe()
	defer wire.Close()
	received := receive(wire)
	engine := tlsconn.NewEngine(tlsconn.EngineOptions{
		Certificates: certificates, MaxInFlight: 10, MaxFresh: 1 << 16,
		FirstFlight: 3 * time.Second, Timeout: 10 * time.Second,
		MaxBuffered: 1 << 20, MaxExpanded: 10, KeyUpdatesPerMinute: 32,
	})
	defer engine.Close()
	conn := engine.Start(1)
	defer conn.Close()

	clientEnded := make(chan struct{})
	go client(far, clientEnded)

	var end error
	for end == nil {
		end = conn.Feed(<-received)
		for engine.Ready() {
			engine.Compute() // of the one connection there is
		}
		var out []byte
		for end == nil {
			var data []byte
			if data, end = conn.Next(); len(data) == 0 {
				break
			}
			fmt.Printf("server: %s, read %q\n", tls.VersionName(conn.Info().Version), data)
			out, end = conn.Write(out, data)
		}
		if end == io.EOF {
			fmt.Println("server: the client sends no more")
			out = conn.CloseNotify(out)
		}
		out = append(out, conn.Drain(make([]byte, 0, conn.Pending()))...)
		if len(out) > 0 {
			wire.Write(out)
		}
	}
	<-clientEnded
	fmt.Println("server:", conn.Phase(), conn.Err())

	// Output:
	// server: TLS 1.3, read "hello"
	// client: read "hello"
	// server: the client sends no more
	// client: EOF
	// server: established <nil>
}

// receive passes received bytes to a channel, each piece in memory of its own.
func receive(wire net.Conn) chan []byte {
	received := make(chan []byte, 16)
	go func() {
		for {
			b := make([]byte, 4096)
			n, err := wire.Read(b)
			if err != nil {
				return
			}
			received <- b[:n]
		}
	}()
	return received
}

// client is a client of crypto/tls: it says hello, reads the answer, and ends in order.
func client(far net.Conn, ended chan struct{}) {
	defer close(ended)
	defer far.Close()
	c := tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	fmt.Fprint(c, "hello")
	answer := make([]byte, len("hello"))
	_, err := io.ReadFull(c, answer)
	if err != nil {
		fmt.Println("client:", err)
		return
	}
	fmt.Printf("client: read %q\n", answer)
	c.CloseWrite() // close_notify
	_, err = c.Read(answer)
	fmt.Println("client:", err)
}

// newCertificates makes a self-signed certificate and loads it from a file.
func newCertificates() (*tlsconn.Certificates, error) {
	dir, err := os.MkdirTemp("", "tlsconn")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: now, NotAfter: now.Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "both.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	loaded, err := tlsconn.Load(file, file)
	if err != nil {
		return nil, err
	}
	return tlsconn.NewCertificates(loaded, tlsconn.PostQuantum, now), nil
}
