package swarm

// This file owns the rule that says which torrents are served: its list, and its enforcement in a Table.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// AccessMode is the meaning of an access list.
type AccessMode uint8

// The values of AccessMode.
const (
	AccessOff   AccessMode = iota // all torrents are served
	AccessAllow                   // only the torrents in the list are served
	AccessDeny                    // all torrents but those in the list are served
)

// Access is the rule that says which torrents are served. Its zero value allows all.
type Access struct {
	Mode AccessMode
	List *AccessList // nil is an empty list
}

// Allows reports whether the torrents of an info hash are served. A nil Access allows all.
func (a *Access) Allows(hash *ID) bool {
	if a == nil || a.Mode == AccessOff {
		return true
	}
	return a.List.Has(hash) == (a.Mode == AccessAllow)
}

// AccessList is a set of info hashes. It never changes, so any number of threads may use it at once.
//
// It is a sorted array with an index by the leading bits of the hashes: 21 to 23 bytes for each hash. People
// can make torrents whose hashes begin alike and get them listed. Hashes with the same leading bits are found
// by halving, so even a list of nothing else needs only some 25 steps, without a secret key.
type AccessList struct {
	hashes []ID
	starts []uint32 // by value of the leading bits: where its hashes start; one more at the end
	shift  uint8    // the leading 32 bits, shifted to the right by so much, are that value
}

// maxAccessErrors is how many bad lines of an access list an error names.
const maxAccessErrors = 10

// ParseAccessList reads an access list: on each line an info hash of 40 hexadecimal digits, in upper or lower
// case. Blank lines, white space around a hash and equal lines are allowed, and the last line need not end.
// There may be [MaxAccessListLimit] hashes. Nothing of data is kept.
//
// A million hashes take about 0.3 s. rest is called between pieces of that work, each of some 100 µs, so
// that a caller on the core of an event loop can let the loop run. It may be nil.
//
// The error has a sentence for each bad line, up to ten, that begins with name and the number of the line.
// It does not repeat the line: a file that is no access list may hold a secret.
func ParseAccessList(data []byte, name string, rest func()) (*AccessList, error) {
	return parseAccessList(data, name, pieces{rest: rest}, MaxAccessListLimit)
}

// pieces divides long work.
type pieces struct {
	rest func() // nil: there is no need
	done int    // nanoseconds of work since the last rest, roughly
}

// pieceOfWork is the length of a piece in nanoseconds.
const pieceOfWork = 100_000

// add counts about so many nanoseconds of work, and rests after a piece.
func (p *pieces) add(nanoseconds int) {
	if p.done += nanoseconds; p.done >= pieceOfWork && p.rest != nil {
		p.done = 0
		p.rest()
	}
}

// Rough costs of work in nanoseconds: they only have to be right within a factor of two.
const (
	parseCost   = 120 // reading a line
	countCost   = 5   // visiting a hash
	moveCost    = 40  // moving one far away
	compareCost = 20  // comparing two while sorting
)

func parseAccessList(data []byte, name string, work pieces, most int) (*AccessList, error) {
	const digits = 2 * len(ID{})
	hashes := make([]ID, 0, min(len(data)/digits, most))
	var errs []error
	for number := 1; len(data) > 0; number++ {
		work.add(parseCost)
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		hash, fault := parseInfoHash(line)
		switch {
		case fault != "" && len(errs) == maxAccessErrors:
			errs = append(errs, fmt.Errorf("%s: there may be more bad lines, these are %d", name, maxAccessErrors))
			return nil, errors.Join(errs...)
		case fault != "":
			errs = append(errs, fmt.Errorf("%s:%d: %s; each line must be an info hash of %d hexadecimal digits",
				name, number, fault, digits))
		case len(hashes) == most:
			errs = append(errs, fmt.Errorf("%s:%d: an access list can hold no more than %d info hashes",
				name, number, most))
			return nil, errors.Join(errs...)
		default:
			hashes = append(hashes, hash)
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return newAccessList(hashes, &work), nil
}

// parseInfoHash reads the hexadecimal digits of a line. fault describes a bad line, and is empty for a good one.
func parseInfoHash(line []byte) (hash ID, fault string) {
	for i := 0; i < len(line); i++ {
		digit := hexDigits[line[i]]
		if digit == 0 {
			r, _ := utf8.DecodeRune(line[i:])
			return hash, fmt.Sprintf("character %d is %q", 1+utf8.RuneCount(line[:i]), r)
		}
		if i < 2*len(hash) {
			hash[i/2] = hash[i/2]<<4 | (digit - 1)
		}
	}
	if len(line) != 2*len(hash) {
		return hash, fmt.Sprintf("there are %d digits", len(line))
	}
	return hash, ""
}

// hexDigits holds one more than its value for each hexadecimal digit, and 0 for any other byte.
var hexDigits = func() (t [256]byte) {
	for i := range byte(16) {
		t["0123456789abcdef"[i]] = i + 1
		t["0123456789ABCDEF"[i]] = i + 1
	}
	return t
}()

// newAccessList takes the hashes over. There is an index entry for every two to four of them. It sorts them
// first into the ranges of the entries, and then within each range.
func newAccessList(hashes []ID, work *pieces) *AccessList {
	indexBits := bits.Len(uint(len(hashes)) / 4)
	l := &AccessList{hashes: hashes, starts: make([]uint32, 1<<indexBits+1), shift: uint8(32 - indexBits)}
	for i := range hashes {
		work.add(countCost)
		l.starts[l.lead(&hashes[i])+1]++
	}
	for i := range l.starts[1:] {
		l.starts[i+1] += l.starts[i]
	}
	l.distribute(work)
	compare := func(a, b ID) int {
		work.add(compareCost)
		return compareIDs(a, b)
	}
	for i := range l.starts[1:] {
		slices.SortFunc(hashes[l.starts[i]:l.starts[i+1]], compare)
	}
	l.compact(work)
	if len(l.hashes) < cap(hashes)-cap(hashes)/16 {
		return newAccessList(slices.Clone(l.hashes), work) // no two of these are equal
	}
	return l
}

// distribute moves each hash into the range that starts has for its leading bits, in place.
func (l *AccessList) distribute(work *pieces) {
	free := slices.Clone(l.starts) // the first place of each range whose hash has not been moved
	for lead, end := range l.starts[1:] {
		for free[lead] < end {
			work.add(moveCost)
			hash := &l.hashes[free[lead]]
			to := &free[l.lead(hash)]
			*hash, l.hashes[*to] = l.hashes[*to], *hash
			*to++
		}
	}
}

// compact leaves one of each hash in the sorted ranges.
func (l *AccessList) compact(work *pieces) {
	n := uint32(0)
	for lead := range l.starts[1:] {
		from := l.starts[lead]
		l.starts[lead] = n
		for _, hash := range l.hashes[from:l.starts[lead+1]] {
			work.add(countCost)
			if n == l.starts[lead] || hash != l.hashes[n-1] {
				l.hashes[n] = hash
				n++
			}
		}
	}
	l.starts[len(l.starts)-1] = n
	l.hashes = l.hashes[:n]
}

// lead returns the value of the leading bits of a hash.
func (l *AccessList) lead(hash *ID) uint32 { return binary.BigEndian.Uint32(hash[:4]) >> l.shift }

// compareIDs orders ids as their bytes do.
func compareIDs(a, b ID) int {
	x, y := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
	if x != y {
		return cmp.Compare(x, y)
	}
	return bytes.Compare(a[8:], b[8:])
}

// Has reports whether the list holds an info hash. A nil list holds none.
func (l *AccessList) Has(hash *ID) bool {
	if l == nil {
		return false
	}
	lead := l.lead(hash)
	low, high := l.starts[lead], l.starts[lead+1]
	for low < high {
		middle := low + (high-low)/2
		switch c := compareIDs(l.hashes[middle], *hash); {
		case c == 0:
			return true
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false
}

// Len returns the number of different info hashes in the list.
func (l *AccessList) Len() int {
	if l == nil {
		return 0
	}
	return len(l.hashes)
}

// Bytes returns the memory that the list takes.
func (l *AccessList) Bytes() int {
	if l == nil {
		return 0
	}
	return cap(l.hashes)*len(ID{}) + cap(l.starts)*4
}

// enforcement is the search for torrents that a new Access forbids. It goes round the slots of the swarms
// that were there when the rule came. Swarms that came later are allowed by the rule.
type enforcement struct {
	slot uint32 // of the next swarm to look at
	top  uint32 // the highest slot in use when the rule came
	left uint32 // slots still to be looked at
}

// SetAccess gives the table a rule for the torrents that it serves; nil allows all. It holds at once for
// Announce, Answer, Scrape and Allowed. The next calls of Sweep remove the peers of torrents that are now
// forbidden, and their pending offers. The list is shared, not copied.
//
// A rule that comes before the last one is enforced takes its place, and the search goes on from the same
// slot. So frequent rules delay the search, but it still reaches every torrent.
func (t *Table) SetAccess(a *Access) {
	t.access = Access{}
	if a != nil {
		t.access = *a
	}
	t.enforcing.top, t.enforcing.left = t.swarms.high, t.swarms.high
	t.enforcing.slot = max(t.enforcing.slot, 1)
}

// Allowed reports whether the torrents of an info hash are served.
func (t *Table) Allowed(hash *ID) bool { return t.access.Allows(hash) }

// enforce removes the peers of forbidden torrents until it has touched budget entries, or somewhat more for
// the pending offers of the last one, and returns how many it has touched.
func (t *Table) enforce(budget int) (work int) {
	e := &t.enforcing
	for work < budget && e.left > 0 {
		work++
		sw := t.swarms.at(e.slot)
		if n := sw.members.n; n > 0 && !t.access.Allows(&sw.hash) {
			t.forbidden++
			work += t.leave(*t.lists.entry(&sw.members, n-1))
			continue
		}
		e.slot = e.slot%e.top + 1
		e.left--
	}
	return work
}
