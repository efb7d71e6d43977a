package trace

import (
	"testing"
	"time"
)

// This file measures what a record costs the event loop, and what a request for all of them does.

// BenchmarkAdd adds a record whose fields are at hand, as the shard does: in a function of its own.
func BenchmarkAdd(b *testing.B) {
	f := func(buffer Buffer) func(*testing.B) {
		return func(b *testing.B) {
			client, hash := [16]byte{15: 1}, [8]byte{1, 2, 3}
			b.ReportAllocs()
			for n := uint32(0); b.Loop(); n++ {
				r := note(&buffer, time.Duration(n), n, &client)
				r.Event, r.N, r.Hash, r.Decision, r.To = Announce, 3, hash, Mailed, 2
			}
		}
	}
	b.Run("on", f(New(1, DefaultSize, nil)))
	b.Run("off", f(Buffer{}))
}

//go:noinline
func note(buffer *Buffer, at time.Duration, index uint32, client *[16]byte) *Record {
	r := buffer.Add()
	r.At, r.Client, r.Port = at, *client, 50123
	r.Conn.Index, r.Conn.Gen, r.Conn.Shard = index, 1, 1
	return r
}

// BenchmarkCopy copies a full buffer, which an event loop does when a debug page is asked for.
func BenchmarkCopy(b *testing.B) {
	buffer := New(0, DefaultSize, nil)
	for range DefaultSize + 1 {
		buffer.Add().Event = Accepted
	}
	into := make([]Record, 0, DefaultSize)
	b.ReportAllocs()
	for b.Loop() {
		into = buffer.Copy(into).Records
	}
}
