package handover

import "encoding/binary"

// This file writes and reads the fields of records. One function names the fields of a record for both directions, so that they
// cannot differ.

// codec appends fields to b, or takes them from its front.
type codec struct {
	b     []byte
	reads bool
	bad   bool // the record ends in the middle of a field, or a length is absurd
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
		c.b = append(c.b, *v)
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
		c.b = binary.LittleEndian.AppendUint16(c.b, *v)
	} else if b := c.take(2); b != nil {
		*v = binary.LittleEndian.Uint16(b)
	}
}

func (c *codec) uint32(v *uint32) {
	if !c.reads {
		c.b = binary.LittleEndian.AppendUint32(c.b, *v)
	} else if b := c.take(4); b != nil {
		*v = binary.LittleEndian.Uint32(b)
	}
}

func (c *codec) uint64(v *uint64) {
	if !c.reads {
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
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
		c.b = append(c.b, v...)
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
		c.b = append(c.b, *v...)
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
