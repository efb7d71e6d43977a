package mailbox

// This file measures a box.

import "testing"

// BenchmarkBox writes and reads a record of a relayed offer's size on one thread.
func BenchmarkBox(b *testing.B) {
	box := New(1 << 20)
	b.ReportAllocs()
	b.SetBytes(1500)
	for b.Loop() {
		box.Reserve(1500)
		box.Commit(1500)
		box.Publish()
		box.Next()
		box.Release()
	}
}
