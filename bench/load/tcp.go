package load

// This file counts what the kernel puts on the wire for the clients' connections.

import (
	"millrace/ring"
	"millrace/ring/host"
)

// weigh adds what a client's connection has carried so far to counts.
func (w *worker) weigh(i uint32, s ring.Slot, n *Counts) {
	remote := w.node(i).remote.Addr()
	t, _ := host.ReadTCPTraffic(w.ring.FD(s), remote.Is6() && !remote.Is4In6())
	n.SegmentsSent += t.SegmentsSent
	n.SegmentsReceived += t.SegmentsReceived
	n.WireSent += t.Sent
	n.WireReceived += t.Received
}

// weighEnding counts what the connections have carried that the ring is about to close.
func (w *worker) weighEnding() {
	for i := range w.ops {
		if op := &w.ops[i]; op.Kind == ring.OpClose {
			w.weigh(w.bySlot[op.Slot.Index], op.Slot, &w.counts)
		}
	}
}

// weighed returns the counts of this moment, with what all connections have carried so far. It is called while no ops wait for the ring,
// and takes about a microsecond for each connection.
func (w *worker) weighed() Counts {
	n := w.counts
	for i := range w.clients {
		if c := &w.clients[i]; c.state.connected() {
			w.weigh(uint32(i), c.slot, &n)
		}
	}
	return n
}
