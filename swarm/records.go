package swarm

// This file owns the hash table below all others: records at fixed slots in pages, grown one bucket at a time.

import (
	"math/bits"
	"reflect"
)

const (
	// 2,048 records of a multiple of 4 bytes fill whole 8 KiB pages of Go's heap, so nothing is lost to rounding.
	pageBits = 11
	pageLen  = 1 << pageBits

	// A link names a slot and carries the top bits of the hash of the record there, so that a search
	// reads no record of another hash but for one in 64.
	slotBits = 26
	slotMask = 1<<slotBits - 1

	maxRecords = slotMask - 1

	// load is the mean length of a bucket's chain. The tags make long chains cheap, and short heads save memory.
	load = 4
)

// records is a hash table of fixed-size records without pointers, each at a slot that stays its own
// until it is removed. Slot 0 is no slot: it means "none".
//
// It grows by linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing",
// 1980): each insertion that finds the table too full splits one bucket, in order, so no insertion
// ever moves more than one chain. Memory comes in pages and is reused, never given back.
type records[T any] struct {
	hash func(*T) uint64 // hash of a record, from its own bytes; needed when its bucket is split

	pages []*[pageLen]T
	links []*[pageLen]uint32 // of each slot: the rest of its chain, or the next free slot
	heads []*[pageLen]uint32 // of each bucket: its chain

	base    uint32 // power of two: buckets [0, buckets-base) and [base, buckets) are split already
	buckets uint32 // base ≤ buckets < 2·base, or 0 before the first insertion
	count   uint32 // records in the table
	high    uint32 // slots that were ever used: 1 to high
	free    uint32 // first free slot
	moved   uint64 // records that splits have visited
}

func (r *records[T]) len() int { return int(r.count) }

// at returns the record at a slot in use. The pointer is good until the record is removed.
func (r *records[T]) at(slot uint32) *T { return &r.pages[slot>>pageBits][slot%pageLen] }

func (r *records[T]) link(slot uint32) *uint32 { return &r.links[slot>>pageBits][slot%pageLen] }

// head returns the start of the chain in which a record of hash h is.
func (r *records[T]) head(h uint64) *uint32 {
	b := uint32(h) & (2*r.base - 1)
	if b >= r.buckets {
		b &= r.base - 1
	}
	return &r.heads[b>>pageBits][b%pageLen]
}

// tagged returns the link that leads to a record of hash h.
func tagged(slot uint32, h uint64) uint32 { return slot | uint32(h>>32)&^slotMask }

// find returns the slot of the wanted record, which has hash h, or 0.
func (r *records[T]) find(h uint64, wanted func(*T) bool) uint32 {
	if r.count == 0 {
		return 0
	}
	for l := *r.head(h); l != 0; l = *r.link(l & slotMask) {
		slot := l & slotMask
		if l == tagged(slot, h) && wanted(r.at(slot)) {
			return slot
		}
	}
	return 0
}

// each calls f with the records whose hash is h, and perhaps with some others. f must not insert or remove any.
func (r *records[T]) each(h uint64, f func(slot uint32, record *T)) {
	if r.count == 0 {
		return
	}
	for l := *r.head(h); l != 0; l = *r.link(l & slotMask) {
		if slot := l & slotMask; l == tagged(slot, h) {
			f(slot, r.at(slot))
		}
	}
}

// insert copies a record of hash h into a free slot and returns that. The caller guarantees that no equal
// record is there and that the table holds fewer than maxRecords.
func (r *records[T]) insert(h uint64, record T) uint32 {
	if r.buckets == 0 {
		r.heads = append(r.heads, new([pageLen]uint32))
		r.base, r.buckets = pageLen, pageLen
	}
	slot := r.take()
	*r.at(slot) = record
	head := r.head(h)
	*r.link(slot) = *head
	*head = tagged(slot, h)
	r.count++
	if r.count > load*r.buckets {
		r.split()
	}
	return slot
}

// reserve makes the buckets for n records, so that their insertion splits none. It does nothing for a table that has
// buckets.
func (r *records[T]) reserve(n int) {
	if r.buckets != 0 || n <= load*pageLen {
		return
	}
	r.buckets = uint32((n + load - 1) / load)
	r.base = 1 << (bits.Len32(r.buckets) - 1)
	for range (int(r.buckets) + pageLen - 1) / pageLen {
		r.heads = append(r.heads, new([pageLen]uint32))
	}
}

// take returns a free slot.
func (r *records[T]) take() uint32 {
	if slot := r.free; slot != 0 {
		r.free = *r.link(slot)
		return slot
	}
	if r.high >= maxRecords {
		panic("BUG: swarm: more records than a link can name; the limits in Options are to prevent that")
	}
	r.high++
	if int(r.high>>pageBits) == len(r.pages) {
		r.pages = append(r.pages, new([pageLen]T))
		r.links = append(r.links, new([pageLen]uint32))
	}
	return r.high
}

// split divides the chain of one bucket between that bucket and a new one.
func (r *records[T]) split() {
	from, to := r.buckets-r.base, r.buckets
	if int(to>>pageBits) == len(r.heads) {
		r.heads = append(r.heads, new([pageLen]uint32))
	}
	head := &r.heads[from>>pageBits][from%pageLen]
	l := *head
	*head = 0
	r.buckets++
	for l != 0 {
		link := r.link(l & slotMask)
		rest := *link
		chain := r.head(r.hash(r.at(l & slotMask)))
		*link = *chain
		*chain = l
		l = rest
		r.moved++
	}
	if r.buckets == 2*r.base {
		r.base = r.buckets
	}
}

// remove takes the record at a slot out of the table and clears it.
func (r *records[T]) remove(slot uint32) {
	r.hide(slot)
	r.release(slot)
}

// hide takes the record at a slot out of find and len. The record keeps its slot, and may be changed in any
// way, until release.
func (r *records[T]) hide(slot uint32) {
	link := r.head(r.hash(r.at(slot)))
	for *link&slotMask != slot {
		if *link == 0 {
			panic("BUG: swarm: a record is not in the chain of its hash")
		}
		link = r.link(*link & slotMask)
	}
	*link = *r.link(slot)
	r.count--
}

// release clears a hidden record and frees its slot.
func (r *records[T]) release(slot uint32) {
	var none T
	*r.at(slot) = none
	*r.link(slot) = r.free
	r.free = slot
}

// bytes returns the memory of all pages.
func (r *records[T]) bytes() int {
	const four = 4
	record := int(reflect.TypeFor[T]().Size())
	return pageLen * (len(r.pages)*(record+four) + len(r.heads)*four)
}
