package wsproto

// This file proves the responses to upgrade requests.

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// The response for the example key of RFC 6455 is the one given there, without a subprotocol and extensions.
func TestAppendUpgradeResponse(t *testing.T) {
	got := AppendUpgradeResponse([]byte("before"), []byte(testKey), nil, Deflate{})
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got[len("before"):])), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
		"Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}}
	if resp.StatusCode != 101 || len(resp.Header) != len(want) || len(got) > UpgradeResponseSize {
		t.Errorf("response %q", got)
	}
	for name := range want {
		if resp.Header.Get(name) != want.Get(name) {
			t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), want.Get(name))
		}
	}
}

// The longest subprotocol that can be asked for is named in the response, which is within its bound.
func TestAppendUpgradeResponseProtocol(t *testing.T) {
	protocol := strings.Repeat("p", maxProtocol)
	got := AppendUpgradeResponse(nil, []byte(testKey), []byte(protocol), Deflate{})
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), nil)
	if err != nil || resp.Header.Get("Sec-WebSocket-Protocol") != protocol || len(got) > UpgradeResponseSize {
		t.Errorf("response %q, error %v", got, err)
	}
}

// Every refusal is a whole HTTP response that ends the connection, with the fields that its status calls for. To HEAD
// it is the same without the body.
func TestAppendHTTPError(t *testing.T) {
	for status := range httpErrors {
		refusal := AppendHTTPError(nil, status, false)
		if len(refusal) > HTTPErrorSize {
			t.Errorf("status %d: %d bytes, bound %d", status, len(refusal), HTTPErrorSize)
		}
		in := bufio.NewReader(bytes.NewReader(refusal))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("status %d: %s", status, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || len(body) == 0 || int64(len(body)) != resp.ContentLength || in.Buffered() != 0 {
			t.Errorf("status %d: body %q, error %v, %d bytes left", status, body, err, in.Buffered())
		}
		if bare := AppendHTTPError(nil, status, true); string(bare)+string(body) != string(refusal) {
			t.Errorf("status %d to HEAD: %q", status, bare)
		}
		if resp.Status[4:] != http.StatusText(status) || resp.StatusCode != status || !resp.Close {
			t.Errorf("status %d: %q, close is %v", status, resp.Status, resp.Close)
		}
		if status == 405 && resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("405 without Allow: %v", resp.Header)
		}
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); status == 429 && (err != nil || after <= 0) {
			t.Errorf("429 without Retry-After: %v", resp.Header)
		}
		if status == 426 && (resp.Header.Get("Upgrade") != "websocket" ||
			resp.Header.Get("Sec-WebSocket-Version") != "13") {
			t.Errorf("426 without Upgrade or version: %v", resp.Header)
		}
	}
}

// The response on a TLS port is a whole one that names the schemes to use.
func TestAppendPlainOnTLS(t *testing.T) {
	got := AppendPlainOnTLS([]byte("before"))
	in := bufio.NewReader(bytes.NewReader(got[len("before"):]))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !resp.Close || in.Buffered() != 0 ||
		!strings.HasSuffix(string(body), "\n") || !strings.Contains(string(body), "https:// or wss://") {
		t.Errorf("%v, body %q, error %v, %d bytes left", resp, body, err, in.Buffered())
	}
	if len(got) != len("before")+PlainOnTLSSize {
		t.Errorf("%d bytes, PlainOnTLSSize is %d", len(got), PlainOnTLSSize)
	}
}
