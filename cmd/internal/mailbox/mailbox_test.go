package mailbox

// This file proves that a box keeps records whole and in order, and that a bell wakes a sleeping reader.

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
)

// Records of all lengths come out whole and in order, at every place of the ring, and an empty box takes every record
// that New promises. A slice of slices is the model.
func TestBoxAgainstModel(t *testing.T) {
	const longest = MinSize/2 - headerSize
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := New(MinSize)
		var model [][]byte
		for step := range 4000 {
			if rng.IntN(2) == 0 {
				n := rng.IntN(longest + 1)
				if rng.IntN(4) > 0 {
					n = rng.IntN(64)
				}
				room := b.Reserve(n)
				if room == nil {
					if len(model) == 0 {
						b.Publish()
						t.Fatalf("seed %d step %d: an empty box refused %d bytes", seed, step, n)
					}
					continue
				}
				n -= rng.IntN(n/2 + 1) // a record may end shorter than its reservation
				for i := range n {
					room[i] = byte(rng.Uint32())
				}
				b.Commit(n)
				model = append(model, bytes.Clone(room[:n]))
				continue
			}
			b.Publish()
			for range rng.IntN(5) {
				got := b.Next()
				if len(model) == 0 {
					if got != nil || !b.Empty() {
						t.Fatalf("seed %d step %d: a record out of an empty box", seed, step)
					}
					break
				}
				if !bytes.Equal(got, model[0]) {
					t.Fatalf("seed %d step %d: record of %d bytes, want %d", seed, step, len(got), len(model[0]))
				}
				model = model[1:]
			}
			b.Release()
			if len(model) == 0 && b.Depth() != 0 {
				t.Fatalf("seed %d step %d: depth %d of an empty box", seed, step, b.Depth())
			}
		}
	}
}

// Committed records are invisible until they are published, and Publish reports whether there were any.
func TestPublish(t *testing.T) {
	b := New(MinSize)
	if b.Publish() {
		t.Fatal("published nothing as something")
	}
	copy(b.Reserve(2), "ab")
	b.Commit(2)
	if b.Next() != nil {
		t.Fatal("a record was readable before Publish")
	}
	if !b.Publish() || string(b.Next()) != "ab" {
		t.Fatal("a record was not readable after Publish")
	}
}

// Between two threads no record is lost or changed, and a sleeping reader is always woken: else the test would hang.
func TestBoxAndBellBetweenThreads(t *testing.T) {
	const records = 200_000
	b, bell := New(MinSize), &Bell{}
	wake := make(chan struct{}, 1)
	go func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for i := 0; i < records; {
			room := b.Reserve(8 + rng.IntN(40))
			if room == nil {
				b.Publish()
				if bell.Ring() {
					wake <- struct{}{}
				}
				runtime.Gosched()
				continue
			}
			binary.LittleEndian.PutUint64(room, uint64(i))
			b.Commit(len(room))
			i++
			if rng.IntN(8) == 0 || i == records {
				b.Publish()
				if bell.Ring() {
					wake <- struct{}{}
				}
			}
		}
	}()
	for want := uint64(0); want < records; {
		rec := b.Next()
		if rec == nil {
			b.Release()
			bell.Sleep()
			if b.Empty() {
				<-wake
			}
			bell.Awake()
			select { // a ring that raced with Awake
			case <-wake:
			default:
			}
			continue
		}
		if got := binary.LittleEndian.Uint64(rec); got != want {
			t.Fatalf("record %d, want %d", got, want)
		}
		want++
	}
}
