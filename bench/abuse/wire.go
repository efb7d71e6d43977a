package main

// This file owns a client's bytes: how it connects from an address of its own, the upgrade, frames and messages.

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"millrace/wsproto"
)

// patience is the time that a client gives the tracker for a connection, a reply or an answer. A client that has waited
// longer has not been served.
const patience = 5 * time.Second

// dialer makes connections to one tracker. Attackers and honest clients have one each.
type dialer struct {
	target  string       // host:port
	tls     *tls.Config  // nil: ws
	deaf    bool         // the kernel may keep little that has not been read
	reset   bool         // a closed connection is reset, and leaves nothing to wait for in the kernel
	sent    atomic.Int64 // bytes given to TCP, those of TLS included
	opened  atomic.Int64 // TCP connections
	entered atomic.Int64 // connections that were upgraded
}

// newDialer returns a dialer for ws, or for wss. It does not check the certificate, which the program made itself.
func newDialer(target string, secure bool) *dialer {
	d := &dialer{target: target}
	if secure {
		d.tls = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	}
	return d
}

// counted is a TCP connection whose written bytes are counted.
type counted struct {
	*net.TCPConn
	sent *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// ReadFrom is here so that io.Copy does not go past Write.
func (c counted) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{c}, r) }

// smallReadBuffer is the receive buffer of attackers that do not read: the kernel takes little for them.
const smallReadBuffer = 4096

// tcp opens a TCP connection from an address of this machine. The end of the context closes it.
func (d *dialer) tcp(ctx context.Context, source net.IP) (counted, error) {
	from := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: source}}
	c, err := from.DialContext(ctx, "tcp", d.target)
	if err != nil {
		return counted{}, err
	}
	d.opened.Add(1)
	if d.reset {
		c.(*net.TCPConn).SetLinger(0)
	}
	if d.deaf {
		c.(*net.TCPConn).SetReadBuffer(smallReadBuffer)
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return counted{c.(*net.TCPConn), &d.sent}, nil
}

// secure opens a connection and, for wss, makes the TLS handshake.
func (d *dialer) secure(ctx context.Context, source net.IP) (net.Conn, error) {
	c, err := d.tcp(ctx, source)
	if err != nil || d.tls == nil {
		return c, err
	}
	s := tls.Client(c, d.tls)
	c.SetDeadline(time.Now().Add(patience))
	if err := s.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return s, nil
}

// upgradeRequest asks for a WebSocket connection. The key is the example of RFC 6455 §1.3.
const upgradeRequest = "GET /announce HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// client is an upgraded connection.
type client struct {
	net.Conn
	in *bufio.Reader // reads the connection, from the first frame on
}

// open opens a connection and upgrades it.
func (d *dialer) open(ctx context.Context, source net.IP) (*client, error) {
	c, err := d.secure(ctx, source)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReaderSize(c, 2048)
	if _, err = io.WriteString(c, upgradeRequest); err == nil {
		err = readUpgrade(in)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	d.entered.Add(1)
	return &client{c, in}, nil
}

// readUpgrade reads the response to an upgrade request.
func readUpgrade(in *bufio.Reader) error {
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the upgrade was refused: %s", response.Status)
	}
	return nil
}

// Opcodes of frames (RFC 6455 §11.8).
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// Bits and lengths in the header of a frame (RFC 6455 §5.2).
const (
	finBit   = 0x80
	maskBit  = 0x80
	length16 = 126
	length64 = 127
)

// maskKey masks all frames of ours: the tracker does not mind that it can be guessed.
const maskKey = 0x5a17c3e9

// appendHeader appends the header of a client's frame that says to have n bytes of payload.
func appendHeader(dst []byte, opcode byte, n uint64) []byte {
	dst = append(dst, finBit|opcode)
	switch {
	case n < length16:
		dst = append(dst, maskBit|byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|length16), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|length64), n)
	}
	return binary.LittleEndian.AppendUint32(dst, maskKey)
}

// appendFrame appends a client's frame.
func appendFrame(dst []byte, opcode byte, payload string) []byte {
	dst = appendHeader(dst, opcode, uint64(len(payload)))
	from := len(dst)
	dst = append(dst, payload...)
	wsproto.Mask(dst[from:], maskKey)
	return dst
}

// maxServerFrame bounds the payload of a frame that we read. The tracker sends none that is larger.
const maxServerFrame = 1 << 20

// readFrame reads one frame of the tracker.
func readFrame(in *bufio.Reader) (opcode byte, payload []byte, err error) {
	var header [10]byte
	if _, err := io.ReadFull(in, header[:2]); err != nil {
		return 0, nil, err
	}
	n := uint64(header[1])
	switch n {
	case length16:
		_, err = io.ReadFull(in, header[2:4])
		n = uint64(binary.BigEndian.Uint16(header[2:4]))
	case length64:
		_, err = io.ReadFull(in, header[2:10])
		n = binary.BigEndian.Uint64(header[2:10])
	}
	if err == nil && (n > maxServerFrame || header[0]&finBit == 0) {
		err = errors.New("the tracker sent a frame in parts, masked or too large")
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(in, payload)
	return header[0] &^ finBit, payload, err
}

// message is a message of the tracker.
type message struct {
	Action  string
	PeerID  string `json:"peer_id"`
	OfferID string `json:"offer_id"`
	Offer   *struct{ SDP string }
	Answer  *struct{ SDP string }
	Failure string `json:"failure reason"`
}

// offer is one offer of an announce.
type offer struct{ id, sdp string }

// announceText returns an announce. Ids are 20 ASCII characters.
func announceText(hash, peer string, left int, offers []offer) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"action":"announce","info_hash":"%s","peer_id":"%s","left":%d,"numwant":%d,"offers":[`,
		hash, peer, left, max(1, len(offers)))
	for k, o := range offers {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"offer":{"type":"offer","sdp":"%s"},"offer_id":"%s"}`, o.sdp, o.id)
	}
	b.WriteString("]}")
	return b.String()
}

// shortAnnounce returns the shortest announce, with which an address can hold the most for the least.
func shortAnnounce(hash, peer string) string {
	return fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s"}`, hash, peer)
}

// answerText returns an answer to an offer of the peer to.
func answerText(hash, peer, to, offerID, sdp string) string {
	return fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s","to_peer_id":"%s","offer_id":"%s",`+
		`"answer":{"type":"answer","sdp":"%s"}}`, hash, peer, to, offerID, sdp)
}

// idOf returns an id of 20 characters that starts with the formatted text.
func idOf(format string, args ...any) string {
	const pad = "--------------------"
	return (fmt.Sprintf(format, args...) + pad)[:len(pad)]
}
