// Command echo sends every message back, with the tracker's own reader of frames and its compression: for test suites of WebSocket
// that expect an echo, as Autobahn's (see bench/autobahn.sh). It has no ring and no limits.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"

	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/shard/deflate"
	"millrace/ring"
	"millrace/wsproto"
)

func main() {
	address := flag.String("address", "127.0.0.1:9001", "`address` to listen on")
	flag.Parse()
	fmt.Fprintln(os.Stderr, "cannot serve echoes:", serve(*address))
	os.Exit(1)
}

// serve serves until that fails.
func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			newEcho(c).run()
		}()
	}
}

// limits are those of the largest case.
var limits = wsproto.Limits{Message: 32 << 20, Frame: 32 << 20}

// echo is one connection.
type echo struct {
	net.Conn
	buf []byte // received and not used yet

	deflates bool
	conn     *conn.Conn
	packer   *deflate.Packer
	expander deflate.Expander
}

func newEcho(c net.Conn) *echo {
	table := conn.NewTable(0, 1, false)
	e := &echo{Conn: c, packer: deflate.NewPacker(table, make([]byte, deflate.HistorySize), nil)}
	e.conn = table.Enter(ring.Slot{Index: 0, Gen: 1}, conn.Accepted, nil)
	return e
}

// run serves the connection to its end.
func (e *echo) run() {
	if !e.upgrade() {
		return
	}
	for e.frames() && e.receive(64<<10) {
	}
}

// receive reads some bytes into a buffer that has room for so many.
func (e *echo) receive(room int) bool {
	used := len(e.buf)
	grown := append(e.buf, make([]byte, room)...)
	n, err := e.Read(grown[used:])
	e.buf = grown[:used+n]
	return err == nil
}

// upgrade answers the request.
func (e *echo) upgrade() bool {
	for e.receive(4 << 10) {
		req, n, status := wsproto.ParseUpgrade(e.buf, 0, 8<<10)
		switch {
		case status != 0:
			e.Write(wsproto.AppendHTTPError(nil, status, req.Head))
			return false
		case n > 0:
			agreed := req.Deflate()
			e.agree(agreed)
			_, err := e.Write(wsproto.AppendUpgradeResponse(nil, req.Key, req.Protocol, agreed))
			e.buf = e.buf[n:]
			return err == nil
		}
	}
	return false
}

func (e *echo) agree(d wsproto.Deflate) {
	if e.deflates = d.On; d.On {
		e.conn.Reader.Agree()
	}
	if d.Alone {
		e.conn.Flags |= conn.Alone
	}
	if d.Bits != 0 {
		e.conn.Flags |= conn.Narrows(d.Bits)
	}
}

// frames answers all frames that have come whole. It returns false at the end.
func (e *echo) frames() bool {
	for {
		kind, payload, bad := e.conn.Reader.Next(e.buf, &limits)
		if bad == nil && (kind == wsproto.Text || kind == wsproto.Binary) {
			payload, bad = e.message(kind, payload)
		}
		if bad != nil {
			e.Write(wsproto.AppendClose(nil, bad.Code, bad.Reason))
			return false
		}
		switch kind {
		case wsproto.None:
			kept, _ := e.conn.Reader.Keep(e.buf)
			e.buf = e.buf[:kept]
			return true
		case wsproto.Ping:
			payload = wsproto.AppendPong(nil, payload)
		case wsproto.Pong:
			continue
		case wsproto.Close:
			e.answerClose(payload)
			return false
		}
		if _, err := e.Write(payload); err != nil {
			return false
		}
	}
}

// message returns the frame that sends a message back.
func (e *echo) message(kind wsproto.Kind, payload []byte) (frame []byte, bad *wsproto.CloseError) {
	if e.conn.Reader.Packed() {
		if payload, bad = e.expander.Expand(payload, limits.Message); bad != nil {
			return nil, bad
		}
	}
	if kind == wsproto.Text {
		if bad = wsproto.CheckText(payload); bad != nil {
			return nil, bad
		}
	}
	frame = plain(payload)
	if e.deflates {
		frame, _, _ = e.packer.Pack(0, e.conn, frame, false)
	}
	if kind == wsproto.Binary {
		frame[0]++ // the tracker sends texts only
	}
	return frame, nil
}

// plain returns the frame of a text.
func plain(payload []byte) []byte {
	frame := wsproto.AppendPacked(nil, payload)
	frame[0] = 0x81 // it is not
	return frame
}

func (e *echo) answerClose(payload []byte) {
	code, bad := wsproto.ParseClose(payload)
	if bad != nil {
		code = bad.Code
	}
	e.Write(wsproto.AppendClose(nil, code, ""))
}
