package pool_test

import (
	"fmt"

	"millrace/ring/pool"
)

// This file owns the example: the life of one piece.

func Example() {
	p, err := pool.Map(1 << 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	b := p.Get(1500) // 0 if there were no such piece
	n := copy(p.Bytes(b), "a frame on its way out")
	fmt.Printf("%q in a piece of %d bytes\n", p.Bytes(b)[:n], len(p.Bytes(b)))
	p.Put(b)
	fmt.Println(p.InUse(), "of", p.Size(), "bytes are in use")
	if err := p.Unmap(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// "a frame on its way out" in a piece of 2048 bytes
	// 0 of 1048576 bytes are in use
}
