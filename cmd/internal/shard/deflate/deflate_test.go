package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"millrace/cmd/internal/shard/conn"
	"millrace/ring"
	"millrace/wsproto"
)

// This file proves that clients can expand what is sent to them, with any history or none, and that the tracker expands what they send,
// both against the standard library's compress/flate.

// rig is a Packer with open connections.
type rig struct {
	*Packer
	table *conn.Table
}

func newRig(memory, conns int) *rig {
	r := &rig{table: conn.NewTable(0, conns, false)}
	r.Packer = NewPacker(r.table, make([]byte, memory), nil)
	for i := range conns {
		c := r.table.Enter(ring.Slot{Index: uint32(i), Gen: 1}, conn.Accepted, nil)
		r.table.Change(c, conn.Upgraded)
		c.Flags |= conn.Deflates
	}
	return r
}

// frame returns a plain frame of a server.
func frame(payload string) []byte {
	switch n := len(payload); {
	case n < 126:
		return append([]byte{0x81, byte(n)}, payload...)
	case n <= 0xffff:
		return append([]byte{0x81, 126, byte(n >> 8), byte(n)}, payload...)
	default:
		return append(binary.BigEndian.AppendUint64([]byte{0x81, 127}, uint64(n)), payload...)
	}
}

// receiver is a client that expands with all that it has expanded before as the window.
type receiver struct{ window []byte }

// read returns the payload of a server's frame, and whether it was compressed.
func (r *receiver) read(t *testing.T, f []byte) (string, bool) {
	t.Helper()
	payload := wsproto.ServerPayload(f)
	if f[0] == 0x81 {
		return string(payload), false
	}
	if f[0] != 0xc1 {
		t.Fatalf("the frame begins with %x", f[0])
	}
	stream := append(bytes.Clone(payload), 0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff)
	out, err := io.ReadAll(flate.NewReaderDict(bytes.NewReader(stream), r.window))
	if err != nil {
		t.Fatal(err)
	}
	r.window = append(r.window, out...)
	r.window = r.window[max(0, len(r.window)-32<<10):]
	return string(out), true
}

// offer returns a message like an offer, with random values where browsers have them.
func offer(r *rand.Rand, n int) string {
	const text = `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","offer":{"type":"offer","sdp":"v=0\\r\\no=- `
	var b strings.Builder
	for b.WriteString(text); b.Len() < n; {
		fmt.Fprintf(&b, "a=candidate:%x 1 udp 2113937151 %x.local 54400 typ host generation 0 network-cost 999 ", r.Uint32(), r.Uint64())
	}
	return b.String()[:n]
}

// TestPack proves that a client reads every message as it was made, for messages of any length, with any agreement, while
// histories are dropped at any moment, and while there is memory for a few of them only; and that no more than the agreed window
// is looked back at.
func TestPack(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const conns = 8
		r := newRig(HistorySize*rng.IntN(conns+1), conns)
		clients := make([]receiver, conns)
		for i := range conns {
			r.table.At(uint32(i)).Flags |= []conn.Flags{0, conn.Alone}[rng.IntN(2)] | conn.Narrows(uint8(8+rng.IntN(8)))
		}
		packed := 0
		for step := range 300 {
			i := rng.IntN(conns)
			c := r.table.At(uint32(i))
			switch {
			case c.Flags.Has(conn.Alone):
				clients[i].window = nil
			default:
				clients[i].window = clients[i].window[max(0, len(clients[i].window)-c.Flags.Window()):]
			}
			if rng.IntN(20) == 0 {
				r.Forget(c)
			}
			message := offer(rng, 1+rng.IntN([]int{100, 1000, 5000, 70000}[rng.IntN(4)]))
			f, plain, n := r.Pack(uint32(i), c, frame(message), rng.IntN(10) == 0)
			got, is := clients[i].read(t, f)
			if got != message {
				t.Fatalf("seed %d, step %d: %d bytes of %d came through", seed, step, len(got), len(message))
			}
			if is != (n > 0) || plain != len(message) || is && n != len(wsproto.ServerPayload(f)) {
				t.Fatalf("seed %d, step %d: %d bytes are said to be packed to %d", seed, step, plain, n)
			}
			if is {
				packed++
			}
		}
		if st := r.Stats(); packed == 0 || st.Histories != inUse(r) || len(r.histories.owners)-len(r.histories.spare) != st.Histories {
			t.Fatalf("seed %d: %d packed, %d histories in use: %+v", seed, packed, inUse(r), st)
		}
	}
}

// inUse returns how many connections have a history.
func inUse(r *rig) (n int) {
	for i := range r.table.Used() {
		if r.table.At(i).History != 0 {
			n++
		}
	}
	return n
}

// TestPackShrinks proves that offers take a third of their bytes once there is a history, that short messages and those that do
// not shrink are sent as they are, and that a busy shard does not compress.
func TestPackShrinks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := newRig(1<<20, 1)
	c := r.table.At(0)
	f := func(message string, busy bool) int {
		made, _, _ := r.Pack(0, c, frame(message), busy)
		return len(made)
	}
	first, second := f(offer(rng, 1100), false), f(offer(rng, 1100), false)
	if first > 800 || second > 420 {
		t.Errorf("offers of 1100 bytes take %d, and %d behind another", first, second)
	}
	noise := make([]byte, 500)
	for k := range noise {
		noise[k] = byte(rng.Uint32())
	}
	if n := f("short", false); n != 2+5 {
		t.Errorf("a short message takes %d bytes", n)
	}
	if n := f(string(noise), false); n != 4+500 {
		t.Errorf("noise takes %d bytes", n)
	}
	if n := f(offer(rng, 1100), true); n != 4+1100 {
		t.Errorf("a busy shard sends %d bytes", n)
	}
	if st := r.Stats(); st.Plain != [Plains]uint64{Short: 1, Busy: 1, Same: 1} || st.Histories != 1 {
		t.Errorf("%+v", st)
	}
}

// TestHistoriesOfTheGone proves that the end of a connection, and the use of its place by another, leave nothing behind.
func TestHistoriesOfTheGone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := newRig(4*HistorySize, 4)
	for gen := uint32(1); gen < 1000; gen++ {
		for i := range uint32(4) {
			r.Pack(i, r.table.At(i), frame(offer(rng, 500)), false)
		}
		for i := range uint32(4) {
			c := r.table.At(i)
			r.Forget(c)
			r.table.Change(c, conn.Closes)
			r.table.Leave(i, conn.Gone)
			r.table.Change(r.table.Enter(ring.Slot{Index: i, Gen: gen + 1}, conn.Accepted, nil), conn.Upgraded)
			r.table.At(i).Flags |= conn.Deflates
		}
	}
	if st := r.Stats(); st.Histories != 0 || st.Dropped != 0 || len(r.histories.spare) != 4 || cap(r.histories.spare) != 4 {
		t.Errorf("%+v, %d spare", st, len(r.histories.spare))
	}
}

// TestAllocations proves that neither direction allocates once its buffers have grown.
func TestAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r, x := newRig(1<<20, 1), Expander{}
	plain, c := frame(offer(rng, 1100)), r.table.At(0)
	f := make([]byte, len(plain))
	packed := pack(t, offer(rng, 5000), flate.DefaultCompression)
	if n := testing.AllocsPerRun(200, func() {
		copy(f, plain)
		r.Pack(0, c, f, false)
		if _, err := x.Expand(packed, 1<<16); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
