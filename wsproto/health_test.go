package wsproto

// This file proves the answer to health checks.

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A health check is known by its path, with GET and HEAD and in every version of HTTP/1.
func TestIsHealthCheck(t *testing.T) {
	f := func(request string, want bool) {
		t.Helper()
		req, n, status := ParseUpgrade([]byte(request+"\r\nHost: x\r\n\r\n"), 0, 1000)
		if n != 0 || req.IsHealthCheck() != want || want && status != 426 {
			t.Errorf("%q: path %q, n %d, status %d", request, req.Path, n, status)
		}
	}
	f("GET /health HTTP/1.1", true)
	f("GET /health HTTP/1.0", true)
	f("HEAD /health HTTP/1.1", true)
	f("HEAD /health HTTP/1.0", true)
	f("GET /health/ HTTP/1.1", true)
	f("GET /health/?verbose HTTP/1.1", true)
	f("GET /healthy HTTP/1.1", false)
	f("GET /health// HTTP/1.1", false)
	f("GET / HTTP/1.1", false)
	f("POST /health HTTP/1.1", false)
}

// net/http reads the response as a whole, with the body for GET and without for HEAD.
func TestAppendText(t *testing.T) {
	text := "ok\n" + strings.Repeat("x", MaxText-3)
	for method, want := range map[string]string{"GET": text, "HEAD": ""} {
		b := AppendText(nil, method == "HEAD", text)
		in := bufio.NewReader(bytes.NewReader(b))
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || string(body) != want || res.StatusCode != 200 || !res.Close || res.ContentLength != MaxText ||
			in.Buffered() != 0 || len(b) > TextSize(text) {
			t.Errorf("%s: %v %q %v, %d bytes left", method, res, body, err, in.Buffered())
		}
	}
}
