package swarm

// This file owns lists of slots of any length, and the pool of pages that they share.

import "math/bits"

const (
	poolPageBits = 12
	poolPageLen  = 1 << poolPageBits // entries of a page, and the longest block
	poolPageMask = poolPageLen - 1

	// maxList is the greatest length of a list: a directory of one block, each entry a full block.
	maxList = poolPageLen * poolPageLen

	blockSizes = 43 // the sizes 2 to 8, then four in each of the nine octaves to 4,096
)

// list is a sequence of n slots in a pool. A list of one is its own memory; a longer one is a block;
// one above 4,096 is a directory of full blocks, so that no growth copies more than one block. The
// zero value is empty.
type list struct {
	ref uint32 // the only entry; else a place in the pool: page number × 4,096 + offset
	n   uint32
}

// pool is the memory of many lists. A page holds blocks of one size; when all its blocks are free it
// serves any other size again, so lists that grow together leave nothing behind.
type pool struct {
	pages []*[poolPageLen]uint32
	infos []pageInfo
	open  [blockSizes]uint32 // by size: first page that has a free block, as page number + 1
	spare uint32             // first page without blocks, as page number + 1
}

// pageInfo is the use of a page of the pool.
type pageInfo struct {
	prev, next uint32 // neighbours among the open pages of its size, or next spare page; page number + 1
	size       uint16 // entries of each block
	used       uint16 // blocks in use
	carved     uint16 // blocks that were ever in use; the rest of the page is untouched
	free       uint16 // first free block, as offset + 1; each free block begins with the next one
}

// blockSize returns the entries of the smallest block for n, for n from 2 to 4,096, and the index of
// that size. From 9 on, a block has at most a quarter more entries than are needed.
func blockSize(n uint32) (size uint32, index int) {
	if n <= 8 {
		return n, int(n) - 2
	}
	octave := bits.Len32(n - 1) // 4 for 9 to 16, …, 12 for 2,049 to 4,096
	shift := octave - 3
	steps := (n + 1<<shift - 1) >> shift // 5 to 8
	return steps << shift, 7 + (octave-4)*4 + int(steps) - 5
}

// entry returns the place of a list's entry i, for i < l.n.
func (p *pool) entry(l *list, i uint32) *uint32 {
	switch {
	case l.n == 1:
		return &l.ref
	case l.n <= poolPageLen:
		return p.word(l.ref, i)
	}
	return p.word(*p.word(l.ref, i>>poolPageBits), i&poolPageMask)
}

func (p *pool) word(ref, i uint32) *uint32 {
	return &p.pages[ref>>poolPageBits][ref&poolPageMask+i]
}

// push appends a slot to a list that is shorter than maxList.
func (p *pool) push(l *list, slot uint32) {
	n := l.n
	switch {
	case n == 0:
	case n == 1:
		only := l.ref
		l.ref = p.take(2)
		*p.word(l.ref, 0) = only
	case n < poolPageLen:
		l.ref = p.resize(l.ref, n, n+1)
	case n == poolPageLen:
		first := l.ref
		l.ref = p.take(2)
		*p.word(l.ref, 0) = first
		*p.word(l.ref, 1) = p.take(poolPageLen)
	case n&poolPageMask == 0:
		full := n >> poolPageBits
		l.ref = p.resize(l.ref, full, full+1)
		*p.word(l.ref, full) = p.take(poolPageLen)
	}
	l.n++
	*p.entry(l, n) = slot
}

// pop drops the last slot of a list that has one.
func (p *pool) pop(l *list) {
	l.n--
	n := l.n
	switch {
	case n == 0:
		l.ref = 0
	case n == 1:
		only := *p.word(l.ref, 0)
		p.give(l.ref)
		l.ref = only
	case n < poolPageLen:
		l.ref = p.resize(l.ref, n+1, n)
	case n == poolPageLen:
		first := *p.word(l.ref, 0)
		p.give(*p.word(l.ref, 1))
		p.give(l.ref)
		l.ref = first
	case n&poolPageMask == 0:
		full := n >> poolPageBits
		p.give(*p.word(l.ref, full))
		l.ref = p.resize(l.ref, full+1, full)
	}
}

// resize returns the block for to entries that begins with those of a block of from entries.
func (p *pool) resize(ref, from, to uint32) uint32 {
	oldSize, _ := blockSize(from)
	newSize, _ := blockSize(to)
	if oldSize == newSize {
		return ref
	}
	grown := p.take(to)
	n := min(from, to)
	copy(p.pages[grown>>poolPageBits][grown&poolPageMask:][:n], p.pages[ref>>poolPageBits][ref&poolPageMask:][:n])
	p.give(ref)
	return grown
}

// take returns a block for n entries, n from 2 to 4,096. Its content is undefined.
func (p *pool) take(n uint32) uint32 {
	size, index := blockSize(n)
	if p.open[index] == 0 {
		p.openPage(uint16(size), index)
	}
	page := p.open[index] - 1
	info := &p.infos[page]
	var offset uint32
	if info.free != 0 {
		offset = uint32(info.free - 1)
		info.free = uint16(p.pages[page][offset])
	} else {
		offset = uint32(info.carved) * size
		info.carved++
	}
	info.used++
	if uint32(info.used) == poolPageLen/size {
		p.unlink(page, index)
	}
	return page<<poolPageBits | offset
}

// give frees a block.
func (p *pool) give(ref uint32) {
	page, offset := ref>>poolPageBits, ref&poolPageMask
	info := &p.infos[page]
	size, index := blockSize(uint32(info.size))
	full := uint32(info.used) == poolPageLen/size
	p.pages[page][offset] = uint32(info.free)
	info.free = uint16(offset + 1)
	info.used--
	switch {
	case info.used == 0:
		if !full {
			p.unlink(page, index)
		}
		info.next = p.spare
		p.spare = page + 1
	case full:
		p.link(page, index)
	}
}

// openPage makes a spare or new page the first open page of a size.
func (p *pool) openPage(size uint16, index int) {
	if p.spare == 0 {
		p.pages = append(p.pages, new([poolPageLen]uint32))
		p.infos = append(p.infos, pageInfo{})
		p.spare = uint32(len(p.pages))
	}
	page := p.spare - 1
	p.spare = p.infos[page].next
	p.infos[page] = pageInfo{size: size}
	p.link(page, index)
}

// link makes a page the first open page of its size.
func (p *pool) link(page uint32, index int) {
	first := p.open[index]
	p.infos[page].prev, p.infos[page].next = 0, first
	if first != 0 {
		p.infos[first-1].prev = page + 1
	}
	p.open[index] = page + 1
}

// unlink takes a page out of the open pages of its size.
func (p *pool) unlink(page uint32, index int) {
	info := &p.infos[page]
	if info.prev != 0 {
		p.infos[info.prev-1].next = info.next
	} else {
		p.open[index] = info.next
	}
	if info.next != 0 {
		p.infos[info.next-1].prev = info.prev
	}
	info.prev, info.next = 0, 0
}

// bytes returns the memory of all pages.
func (p *pool) bytes() int {
	const four, info = 4, 16
	return len(p.pages)*poolPageLen*four + cap(p.infos)*info
}
