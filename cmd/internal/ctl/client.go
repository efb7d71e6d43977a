package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"millrace/cmd/internal/human"
)

// This file asks a tracker and prints its answers.

// Terminal is where the answers go.
type Terminal struct {
	Out, Err io.Writer
	Rows     int // lines of the screen; 0: it is none, and nothing is drawn again
}

// patience bounds how long the tracker may take for an answer, but for a reload, which may read long lists and tells how far it
// has come.
const patience = 30 * time.Second

// maxAnswer bounds an answer in bytes.
const maxAnswer = 16 << 20

// client asks one tracker.
type client struct {
	http http.Client
	at   string
}

// newClient returns a client of the tracker at an address: unix:PATH, or an IP address and port.
func newClient(at string) *client {
	network, address := "tcp", at
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		network, address = "unix", path
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
	}
	return &client{http.Client{Transport: &http.Transport{DialContext: dial}}, at}
}

// ask puts a question, or gives an order, and returns the bytes of the answer, which are JSON.
func (c *client) ask(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	if path != PathReload {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		r.Header.Set(OrderHeader, "1")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer of the tracker at %s: %w", c.at, err)
	}
	var f Failure
	switch {
	case answer.Header.Get(OrderHeader) == "":
		f.Sentence = fmt.Sprintf("the program at %s is no tracker, or not its listener for commands: it answers with %s", c.at, answer.Status)
	case answer.StatusCode == http.StatusOK:
		return body, nil
	case json.Unmarshal(body, &f) != nil || f.Sentence == "":
		f.Sentence = "the tracker answers with " + answer.Status
	}
	return nil, &f
}

// unreachable returns the error of a request that had no answer.
func (c *client) unreachable(err error) error {
	var cause *net.OpError
	switch {
	case errors.As(err, &cause) && cause.Op == "dial":
		return fmt.Errorf("cannot reach a tracker at %s: %w; name its configuration with -c, where [control] says where it listens, "+
			"and be its user or root", c.at, cause.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the tracker at %s has not answered for %v", c.at, patience)
	}
	return err
}

// Run carries out a command at an address. It returns when that is done, or when ctx ends.
func (c *Command) Run(ctx context.Context, at string, to Terminal) error {
	asker := newClient(at)
	method := http.MethodGet
	switch c.Name {
	case "top":
		return c.top(ctx, asker, to)
	case "trace":
		return c.trace(ctx, asker, to)
	case "drain":
		return c.drain(ctx, asker, to)
	case "reload":
		ended := showWork(ctx, asker, to)
		defer ended()
		method = http.MethodPost
	case "ban", "unban":
		method = http.MethodPost
	}
	body, err := asker.ask(ctx, method, "/"+c.Name, c.query)
	if err != nil {
		return err
	}
	if c.JSON {
		return errors.Join(writeJSON(to.Out, body), c.failed(body))
	}
	text, err := c.text(body)
	if err == nil {
		_, err = to.Out.Write(text)
	}
	return errors.Join(err, c.failed(body))
}

// text returns an answer for people.
func (c *Command) text(body []byte) ([]byte, error) {
	var err error
	read := func(v any) { err = parse(body, v) }
	var out []byte
	switch c.Name {
	case "status":
		var s Status
		read(&s)
		out = AppendStatus(nil, &s, time.Now())
	case "client":
		var v Client
		read(&v)
		out = AppendClient(nil, &v)
	case "torrent":
		var v Torrent
		read(&v)
		out = AppendTorrent(nil, &v)
	case "ban":
		var v Banned
		read(&v)
		out = fmt.Appendf(nil, "%s is banned until %s; %s ended\n", v.Network, v.Until.Local().Format(time.DateTime),
			human.Count(v.Ended, "connection"))
	case "unban":
		var v Unbanned
		read(&v)
		out = fmt.Appendf(nil, "%s is banned no more\n", v.Network)
		if !v.Was {
			out = fmt.Appendf(nil, "%s was not banned\n", v.Network)
		}
	case "reload":
		var v Reloaded
		read(&v)
		out = AppendReloaded(nil, &v)
	}
	return out, err
}

// parse reads an answer.
func parse(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("cannot read the answer of the tracker, which may be of another version: %w", err)
	}
	return nil
}

// failed returns the error of an order that was carried out in part.
func (c *Command) failed(body []byte) error {
	var v Reloaded
	if c.Name != "reload" || json.Unmarshal(body, &v) != nil {
		return nil
	}
	for _, f := range v.Files {
		if f.Error != "" {
			return errors.New("not all was read again; millrace -t -c FILE says what is wrong with a configuration")
		}
	}
	return nil
}

// writeJSON prints an answer with indentation.
func writeJSON(w io.Writer, body []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		return fmt.Errorf("cannot read the answer of the tracker: %w", err)
	}
	_, err := w.Write(append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
	return err
}

// wait waits for a time; it reports false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
