package shard

import (
	"fmt"
	"strings"
	"testing"

	"millrace/ring"
)

// This file measures Steps.

// BenchmarkStepAnnounce measures a Step that handles one announce with 10 offers of 1.3 kB, each relayed to one of 100
// peers, and the completions of the sends.
func BenchmarkStepAnnounce(b *testing.B) { benchmarkStepAnnounce(b, nil) }

// BenchmarkStepAnnounceLimited is the same with all limits for addresses and connections, which are never met.
func BenchmarkStepAnnounceLimited(b *testing.B) { benchmarkStepAnnounce(b, limited(lofty)) }

func benchmarkStepAnnounce(b *testing.B, change func(*Options)) {
	w, c, data := announceWorld(b, change)
	step := stepOf(w, c, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// lofty are limits that nobody meets.
func lofty(l *Limits) {
	const rate, burst = 1_000_000, 1 << 30
	*l = Limits{
		Active:                true,
		ConnectionsPerAddress: rate, ConnectionsPerAddressRate: rate, ConnectionsPerAddressBurst: burst,
		PeersPerAddress: burst, PeerIDsPerTorrent: rate, AssemblyBytesPerAddress: burst, SendBytesPerAddress: burst,
		OffersToReceiverRate: rate, OffersToReceiverBurst: burst,
		MessagesPerConnectionRate: rate, MessagesPerConnectionBurst: burst, BytesPerConnectionTurn: 16 << 10,
		BytesPerConnectionRate: 1000 * rate, BytesPerConnectionBurst: burst,
		ControlFramesPerConnectionRate: rate, ControlFramesPerConnectionBurst: burst,
	}
}

// BenchmarkStepAnswer measures a Step that handles an answer to an offer that is unknown, or answered already: all of
// an answer's work but its relay.
func BenchmarkStepAnswer(b *testing.B) { benchmarkStepAnswer(b, nil) }

// BenchmarkStepAnswerLimited is the same with all limits for addresses and connections, which are never met.
func BenchmarkStepAnswerLimited(b *testing.B) { benchmarkStepAnswer(b, limited(lofty)) }

func benchmarkStepAnswer(b *testing.B, change func(*Options)) {
	w := newWorld(b, 1, change)
	c := w.dial(0, "192.0.2.1")
	c.text(announce(id("hash"), id("peer"), 0, nil))
	w.run()
	m := answer(id("peer"), map[string]any{"info_hash": id("hash"), "peer_id": id("peer"), "offer_id": id("offer")})
	m["answer"] = map[string]any{"type": "answer", "sdp": strings.Repeat("a=candidate:1 1 udp\r\n", 60)}
	data := clientText(b, m)
	step := stepOf(w, c, data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}

// announceStep returns a function that makes the Step of BenchmarkStepAnnounce.
func announceStep(tb testing.TB) func() { return stepOf(announceWorld(tb, nil)) }

// announceWorld returns a swarm of 100 peers, a client of it, and the bytes of the client's announce with 10 offers.
func announceWorld(tb testing.TB, change func(*Options)) (*world, *client, []byte) {
	w := newWorld(tb, 1, change)
	for k := range 100 {
		c := w.dial(0, fmt.Sprintf("198.51.100.%d", k))
		c.text(announce(id("hash"), id("peer %d", k), 0, nil))
	}
	c := w.dial(0, "192.0.2.2")
	w.run()
	m := announce(id("hash"), id("me"), 10, nil)
	for _, o := range m["offers"].([]any) {
		o.(map[string]any)["offer"] = map[string]any{"type": "offer", "sdp": strings.Repeat("a=candidate:1 1 udp\r\n", 60)}
	}
	return w, c, clientText(tb, m)
}

// stepOf returns a function that makes one Step of each shard in which c receives data, and then as many as it takes to
// complete the sends and read the mail.
func stepOf(w *world, c *client, data []byte) func() {
	buf := make([]byte, len(data))
	events := make([][]ring.Event, len(w.shards))
	var ops []ring.Op
	return func() {
		copy(buf, data) // a Step unmasks in place
		events[c.shard] = append(events[c.shard][:0], ring.Event{Kind: ring.EventRecv, Slot: c.slot, Data: buf})
		for turn := 0; turn < 4; turn++ {
			for k, s := range w.shards {
				ops = s.Step(w.now, events[k], ops[:0])
				events[k] = events[k][:0]
				for i := range ops {
					if ops[i].Kind == ring.OpSend {
						events[k] = append(events[k],
							ring.Event{Kind: ring.EventSent, Slot: ops[i].Slot, N: uint32(len(ops[i].Data))})
					}
				}
			}
		}
	}
}
