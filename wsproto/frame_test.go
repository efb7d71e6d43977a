package wsproto

// This file proves the mask of RFC 6455. The other frames that a server sends are in encode_test.go and close_test.go.

import (
	"bytes"
	"testing"
)

// Masking follows RFC 6455 §5.3 for every length and alignment, and is its own reverse.
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
