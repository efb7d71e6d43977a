package wsproto_test

// This file shows how a server uses the package, from the first bytes of a client to the frames for others.

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"millrace/wsproto"
)

// clientFrame returns a text frame as a client sends it: masked.
func clientFrame(text string) []byte {
	const key = 0x01020304
	frame := binary.BigEndian.AppendUint16([]byte{0x81, 0x80 | 126}, uint16(len(text))) // 126 to 65,535 bytes
	frame = binary.LittleEndian.AppendUint32(frame, key)
	frame = append(frame, text...)
	wsproto.Mask(frame[len(frame)-len(text):], key)
	return frame
}

// A server answers the upgrade request. The bytes behind the head are the client's first frames.
func ExampleParseUpgrade() {
	received := []byte("GET /announce HTTP/1.1\r\nHost: tracker.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	const maxHead = 8192
	req, n, status := wsproto.ParseUpgrade(received, 0, maxHead)
	switch {
	case status != 0:
		fmt.Printf("%s", wsproto.AppendHTTPError(nil, status, req.Head))
	case n == 0:
		fmt.Println("receive more bytes behind those, and try again")
	default:
		fmt.Printf("path %s, %d bytes of frames\n", req.Path, len(received)-n)
		response := wsproto.AppendUpgradeResponse(nil, req.Key, req.Protocol, wsproto.Deflate{})
		fmt.Printf("%.32s\n", response)
	}
	// Output:
	// path /announce, 0 bytes of frames
	// HTTP/1.1 101 Switching Protocols
}

// A Reader finds the messages in the bytes of a connection, and a Decoder tells what they mean.
func ExampleReader() {
	frame := clientFrame(`{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"-XX0001-bbbbbbbbbbbb",` +
		`"left":0,"offers":[{"offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":"cccccccccccccccccccc"}]}`)
	var (
		reader  wsproto.Reader // one for each connection
		limits  = wsproto.Limits{Message: 128 << 10, Frame: 128 << 10}
		decoder = wsproto.Decoder{MaxOffers: 10, MaxScrape: 100}
		message wsproto.Message // one for each thread
		buf     []byte
	)
	for _, received := range [][]byte{frame[:100], frame[100:]} { // bytes come in pieces
		buf = append(buf, received...)
		for {
			kind, payload, err := reader.Next(buf, &limits)
			if err != nil {
				fmt.Printf("close with %x\n", wsproto.AppendClose(nil, err.Code, err.Reason))
				return
			}
			if kind == wsproto.None {
				break
			}
			if kind != wsproto.Text {
				continue // a Ping wants a Pong, and a Close wants a Close
			}
			if reject := decoder.Decode(payload, &message); reject != wsproto.RejectNone {
				fmt.Println(reject)
				continue
			}
			fmt.Printf("peer %s announces %s\n", message.PeerID, message.InfoHash)
			fmt.Println("seeder:", message.Left == wsproto.LeftZero)
			fmt.Printf("offer %s: %s\n", message.Offers[0].ID, message.Offers[0].SDP)
		}
		kept, _ := reader.Keep(buf)
		buf = buf[:kept]
	}
	// Output:
	// peer -XX0001-bbbbbbbbbbbb announces aaaaaaaaaaaaaaaaaaaa
	// seeder: true
	// offer cccccccccccccccccccc: "v=0\r\n"
}

// An offer is composed in place, in a buffer with room for the frame.
func ExampleAppendOffer() {
	hash := wsproto.ID([]byte("aaaaaaaaaaaaaaaaaaaa"))
	from := wsproto.ID([]byte("-XX0001-bbbbbbbbbbbb"))
	offer := wsproto.Offer{ID: wsproto.ID([]byte("cccccccccccccccccccc")), SDP: []byte(`"v=0\r\n"`)}

	out := make([]byte, 0, wsproto.OfferSize(len(offer.SDP)))
	out = wsproto.AppendOffer(out, &hash, &from, &offer.ID, offer.SDP)
	const header = 4 // of a frame with 126 to 65,535 bytes of payload
	fmt.Printf("% x\n%s\n", out[:header], bytes.ReplaceAll(out[header:], []byte(","), []byte(",\n")))
	// Output:
	// 81 7e 00 a4
	// {"action":"announce",
	// "info_hash":"aaaaaaaaaaaaaaaaaaaa",
	// "peer_id":"-XX0001-bbbbbbbbbbbb",
	// "offer":{"type":"offer",
	// "sdp":"v=0\r\n"},
	// "offer_id":"cccccccccccccccccccc"}
}

// A message that fails is answered with the text of its failure, or with silence.
func ExampleReject_Failure() {
	decoder := wsproto.Decoder{MaxOffers: 10, MaxScrape: 100}
	var m wsproto.Message
	for _, text := range []string{`{"action":"scrape"}`, `not JSON`} {
		reject := decoder.Decode([]byte(text), &m)
		if reject.Silent() {
			fmt.Println("nothing is sent:", reject)
			continue
		}
		frame := wsproto.AppendFailure(nil, m.Action, nil, reject.Failure().String())
		const header = 2 // of a frame with at most 125 bytes of payload
		fmt.Printf("%s\n", frame[header:])
	}
	// Output:
	// {"failure reason":"full scrape is not supported","action":"scrape"}
	// nothing is sent: not JSON
}
