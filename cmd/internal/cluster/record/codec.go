package record

import "encoding/binary"

// This file writes, reads and measures the fields of records. One function names the fields of a record for all three, so that they
// cannot differ.

// mode is the use that a codec is made of.
type mode uint8

const (
	writes mode = iota // fields are appended to b
	reads              // fields are taken from the front of b
	counts             // only n grows
)

// codec goes through the fields of a record.
type codec struct {
	b    []byte
	n    int
	mode mode
	bad  bool // the record ends before a field does, or a field has a value that it cannot mean
}

// room returns the next n bytes of a record that is read, or nil.
func (c *codec) room(n int) []byte {
	if c.bad || len(c.b) < n {
		c.bad = true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *codec) uint8(v *uint8) {
	switch c.mode {
	case writes:
		c.b = append(c.b, *v)
	case counts:
		c.n++
	case reads:
		if b := c.room(1); b != nil {
			*v = b[0]
		}
	}
}

// late goes through a field that the first version of a record did not have: it is 0 where it is missing.
func (c *codec) late(v *uint8) {
	if c.mode == reads && len(c.b) == 0 {
		*v = 0
		return
	}
	c.uint8(v)
}

func (c *codec) bool(v *bool) {
	var n uint8
	if *v {
		n = 1
	}
	c.uint8(&n)
	*v = n != 0
	c.must(n <= 1)
}

func (c *codec) uint16(v *uint16) {
	switch c.mode {
	case writes:
		c.b = binary.LittleEndian.AppendUint16(c.b, *v)
	case counts:
		c.n += 2
	case reads:
		if b := c.room(2); b != nil {
			*v = binary.LittleEndian.Uint16(b)
		}
	}
}

func (c *codec) uint32(v *uint32) {
	switch c.mode {
	case writes:
		c.b = binary.LittleEndian.AppendUint32(c.b, *v)
	case counts:
		c.n += 4
	case reads:
		if b := c.room(4); b != nil {
			*v = binary.LittleEndian.Uint32(b)
		}
	}
}

func (c *codec) uint64(v *uint64) {
	switch c.mode {
	case writes:
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
	case counts:
		c.n += 8
	case reads:
		if b := c.room(8); b != nil {
			*v = binary.LittleEndian.Uint64(b)
		}
	}
}

// array goes through bytes of a fixed number.
func (c *codec) array(v []byte) {
	switch c.mode {
	case writes:
		c.b = append(c.b, v...)
	case counts:
		c.n += len(v)
	case reads:
		if b := c.room(len(v)); b != nil {
			copy(v, b)
		}
	}
}

// bytes goes through a length and so many bytes, at most some. What is read is a view of the record.
func (c *codec) bytes(v *[]byte, most int) {
	n := uint32(len(*v))
	c.uint32(&n)
	switch c.mode {
	case writes:
		c.b = append(c.b, *v...)
	case counts:
		c.n += len(*v)
	case reads:
		*v = nil
		if c.must(int64(n) <= int64(most)); !c.bad && n > 0 {
			*v = c.room(int(n))
		}
	}
}

func (c *codec) text(v *string, most int) {
	b := []byte(*v)
	c.bytes(&b, most)
	*v = string(b)
}

// list goes through the number of the elements of a list, of which each has at least size bytes, and returns it: 0 for one that
// the record has no room for, or that is more than most. So no record makes its reader hold much more than the record itself.
func (c *codec) list(n, most, size int) int {
	count := uint16(n)
	if c.uint16(&count); c.mode != reads {
		return n
	}
	if c.must(int(count) <= most && int(count)*size <= len(c.b)); c.bad {
		return 0
	}
	return int(count)
}

// must notes that a record which is read has a field that cannot be meant, unless ok.
func (c *codec) must(ok bool) {
	if c.mode == reads && !ok {
		c.bad = true
	}
}

// resize returns a list of n elements, the memory of the old one used again.
func resize[T any](list []T, n int) []T {
	if n > cap(list) {
		return make([]T, n)
	}
	return list[:n]
}
