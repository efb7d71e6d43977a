package pool

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// This file owns the tests of the allocator.

// TestPoolAgainstModel proves that pieces never overlap, hold at least the bytes asked for, keep their bytes, are
// counted right, and that everything joins again when all came back: random traffic beside a naive model that paints
// bytes.
func TestPoolAgainstModel(t *testing.T) {
	f := func(size int, seed uint64) {
		t.Helper()
		rng := rand.New(rand.NewPCG(seed, 1))
		p := New(make([]byte, size))
		whole := p.Largest()
		type piece struct {
			b     Buf
			paint byte
		}
		var live []piece
		used := 0
		for i := range 4000 {
			if rng.IntN(5) < 3 {
				n := 1 + rng.IntN(size/3)
				if rng.IntN(2) == 0 {
					n = 1 + rng.IntN(2000)
				}
				b := p.Get(n)
				if b == 0 {
					if p.Largest() >= n {
						t.Fatalf("size %d seed %d: Get(%d) failed although a piece of %d is free",
							size, seed, n, p.Largest())
					}
					continue
				}
				mem := p.Bytes(b)
				if len(mem) < n || len(mem) < Granule || len(mem)&(len(mem)-1) != 0 || cap(mem) != len(mem) {
					t.Fatalf("size %d seed %d: Get(%d) gave %d bytes, capacity %d", size, seed, n, len(mem), cap(mem))
				}
				for j := range mem {
					mem[j] = byte(i)
				}
				used += len(mem)
				live = append(live, piece{b, byte(i)})
			} else if len(live) > 0 {
				k := rng.IntN(len(live))
				mem := p.Bytes(live[k].b)
				if !bytes.Equal(mem, bytes.Repeat([]byte{live[k].paint}, len(mem))) {
					t.Fatalf("size %d seed %d: a piece was painted over", size, seed)
				}
				used -= len(mem)
				p.Put(live[k].b)
				live[k] = live[len(live)-1]
				live = live[:len(live)-1]
			}
			if p.InUse() != used {
				t.Fatalf("size %d seed %d: InUse %d, want %d", size, seed, p.InUse(), used)
			}
		}
		for _, l := range live {
			p.Put(l.b)
		}
		if p.InUse() != 0 || p.Largest() != whole {
			t.Fatalf("size %d seed %d: after all came back: in use %d, largest %d of %d",
				size, seed, p.InUse(), p.Largest(), whole)
		}
	}
	for seed := range uint64(20) {
		f(1<<16, seed)
		f(100_000, seed)
		f(7*Granule+13, seed)
	}
}

// TestPoolLimits proves the behaviour at the edges: nothing to give, too large, put back twice, no memory at all.
func TestPoolLimits(t *testing.T) {
	p := New(make([]byte, 4096))
	if p.Get(4097) != 0 || p.Size() != 4096 {
		t.Fatal("more than the whole was handed out")
	}
	b := p.Get(4096)
	if b == 0 || p.Get(1) != 0 || p.Largest() != 0 {
		t.Fatal("the whole was not handed out, or more than it")
	}
	p.Put(b)
	mustPanic(t, "put twice", func() { p.Put(b) })
	mustPanic(t, "use of none", func() { p.Bytes(0) })
	if empty := New(nil); empty.Get(0) != 0 || empty.Largest() != 0 {
		t.Fatal("a pool without memory handed something out")
	}
}

// TestPoolDoesNotAllocate proves that the steady state costs no garbage.
func TestPoolDoesNotAllocate(t *testing.T) {
	p := New(make([]byte, 1<<20))
	if n := testing.AllocsPerRun(100, func() {
		a, b := p.Get(700), p.Get(9000)
		p.Put(a)
		p.Put(b)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestMap proves that mapped memory can be written to its end and given back.
func TestMap(t *testing.T) {
	p, err := Map(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	clear(p.Bytes(p.Get(1 << 20)))
	if err := p.Unmap(); err != nil {
		t.Fatal(err)
	}
	if p.Get(1) != 0 {
		t.Fatal("an unmapped pool handed something out")
	}
	if _, err := Map(1); err == nil {
		t.Fatal("a pool without room was made")
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
