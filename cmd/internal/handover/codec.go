package handover

import (
	"encoding/binary"
	"slices"
)

// This file writes and reads the fields of records. One function names the fields of a record for both directions, so that they
// cannot differ.

// codec appends fields to b, or takes them from its front.
type codec struct {
	b     []byte
	reads bool
	bad   bool // the record ends in the middle of a field, or a length is absurd
}

// put appends bytes.
func (c *codec) put(b ...byte) { c.b = appendWiping(c.b, b) }

// appendWiping appends b to dst. Records hold keys: where dst has to move, nothing is left behind.
func appendWiping(dst, b []byte) []byte {
	if cap(dst)-len(dst) < len(b) {
		old := dst[:cap(dst)]
		dst = slices.Grow(dst[:len(dst):len(dst)], len(b)+len(dst))
		clear(old)
	}
	return append(dst, b...)
}

// take returns the next n bytes of a record that is read. A record that ends before the field is that of an older version: the field
// is zero then.
func (c *codec) take(n int) []byte {
	if len(c.b) == 0 || c.bad {
		return nil
	}
	if len(c.b) < n {
		c.bad = true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *codec) uint8(v *uint8) {
	if !c.reads {
		c.put(*v)
	} else if b := c.take(1); b != nil {
		*v = b[0]
	}
}

func (c *codec) bool(v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	c.uint8(&n)
	*v = n != 0
}

func (c *codec) uint16(v *uint16) {
	if !c.reads {
		c.put(byte(*v), byte(*v>>8))
	} else if b := c.take(2); b != nil {
		*v = binary.LittleEndian.Uint16(b)
	}
}

func (c *codec) uint32(v *uint32) {
	if !c.reads {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], *v)
		c.put(b[:]...)
	} else if b := c.take(4); b != nil {
		*v = binary.LittleEndian.Uint32(b)
	}
}

func (c *codec) uint64(v *uint64) {
	if !c.reads {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], *v)
		c.put(b[:]...)
	} else if b := c.take(8); b != nil {
		*v = binary.LittleEndian.Uint64(b)
	}
}

func (c *codec) int64(v *int64) {
	n := uint64(*v)
	c.uint64(&n)
	*v = int64(n)
}

// array writes or reads bytes of a fixed number.
func (c *codec) array(v []byte) {
	if !c.reads {
		c.put(v...)
	} else if b := c.take(len(v)); b != nil {
		copy(v, b)
	}
}

// bytes writes or reads a length and so many bytes. What is read is a view of the record.
func (c *codec) bytes(v *[]byte) {
	n := uint32(len(*v))
	c.uint32(&n)
	switch {
	case !c.reads:
		c.put(*v...)
	case int64(n) > int64(len(c.b)):
		c.bad = true
	case n == 0:
		*v = nil
	default:
		*v = c.take(int(n))
	}
}

func (c *codec) text(v *string) {
	b := []byte(*v)
	c.bytes(&b)
	*v = string(b)
}
