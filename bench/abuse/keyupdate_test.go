package main

// This file proves the record layer of the KeyUpdate flood against crypto/tls.

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"

	"millrace/bench/certificate"
)

// TestKeyUpdates proves that another implementation follows our keys: data after many KeyUpdates arrives unchanged, and
// the server's answers to them come.
func TestKeyUpdates(t *testing.T) {
	dir := t.TempDir()
	if err := certificate.Write(dir); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certificate.File), filepath.Join(dir, certificate.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const text = "data"
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 3*len(text))
		io.ReadFull(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}), b)
		got <- string(b)
		c.Close()
	}()
	d := newDialer(l.Addr().String(), true)
	c, err := d.tcp(context.Background(), net.IPv4(127, 66, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := takeOver(c, d.tls)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for range 3 {
		for range keyUpdates {
			if out, err = keys.update(out); err != nil {
				t.Fatal(err)
			}
		}
		out = keys.seal(out, typeData, []byte(text))
	}
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != text+text+text {
		t.Errorf("the server has read %q", s)
	}
	if answers, _ := io.ReadAll(c); len(answers) == 0 {
		t.Error("the server has not answered")
	}
}
