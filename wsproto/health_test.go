package wsproto

// This file proves the answer to health checks.

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// A health check is known by its path, and net/http reads the response as a whole.
func TestHealth(t *testing.T) {
	for _, head := range []string{"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.0\r\n\r\n"} {
		req, n, status := ParseUpgrade([]byte(head), 0, 1000)
		if n != 0 || status != 426 || string(req.Path) != HealthPath {
			t.Errorf("%q: path %q, n %d, status %d", head, req.Path, n, status)
		}
	}
	b := AppendHealthOK(nil)
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "ok\n" || res.StatusCode != 200 || !res.Close || len(b) > HealthSize {
		t.Errorf("%v %q %v", res, body, err)
	}
}
