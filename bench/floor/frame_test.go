package floor

// This file feeds any bytes to the floor server.

import (
	"bytes"
	"slices"
	"testing"

	"millrace/ring"
)

// FuzzReceived proves that no bytes of a client make the server fail or keep memory after the client has gone, however
// they are cut.
func FuzzReceived(f *testing.F) {
	f.Add([]byte(upgradeRequest), uint8(10))
	f.Add(append([]byte(upgradeRequest), announce(100, 1, "started", 2, 90)...), uint8(200))
	f.Add(append([]byte(upgradeRequest), answer(100, 1, 100, 0, "sdp")...), uint8(255))
	f.Add(append([]byte(upgradeRequest), masked(opClose, "")...), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		w := newWorld(t, 2, Fault{})
		w.connect(1)
		w.turn(received(1, announce(100, 1, "started", 0, 0)))
		w.turn(ring.Event{Kind: ring.EventAccept, Slot: slotOf(0)})
		for piece := range slices.Chunk(bytes.Clone(stream), int(size)+1) {
			if w.f.conns[0].state != stateClosing {
				w.turn(received(0, piece))
			}
		}
		if w.f.conns[0].state != stateClosing {
			w.turn(ring.Event{Kind: ring.EventHangup, Slot: slotOf(0)})
		}
		if n := w.f.partials.InUse() + w.f.pool.InUse(); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
}
