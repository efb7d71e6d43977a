package wsproto

import (
	"bytes"
	"testing"
)

// Masking is what RFC 6455 says for every length and alignment, and its own reverse.
func TestMask(t *testing.T) {
	const key = 0x04030201
	for n := range 100 {
		b := make([]byte, n)
		Mask(b, key)
		for i := range b {
			if b[i] != byte(i%4+1) {
				t.Fatalf("byte %d of %d is masked with %d", i, n, b[i])
			}
		}
		Mask(b, key)
		if !bytes.Equal(b, make([]byte, n)) {
			t.Fatalf("masking %d bytes twice changes them", n)
		}
	}
}
