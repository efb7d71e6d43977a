// Package queue is a queue of small values in pages, for lists that may become as long as there are connections. A slice that
// grows copies itself: with a million entries that took up to 50 ms of one Step.
package queue

// pageLen is the number of values in a page.
const pageLen = 256

// Queue holds values in the order in which they came. The zero value is empty. Neither Push nor Pop takes longer in a long
// queue. The values should have no pointers: then the garbage collector scans one word for each page. Of the pages that it
// does not need a queue keeps one, so a queue of up to two pages that fills and empties again and again allocates nothing.
type Queue[T any] struct {
	head, tail *page[T] // nil before the first Push
	from, to   int      // places of the oldest value in head, and behind the newest one in tail
	n          int
	spare      *page[T]
}

// page has its only pointer first, where the garbage collector stops to scan.
type page[T any] struct {
	next   *page[T]
	values [pageLen]T
}

// Len returns how many values are in the queue.
func (q *Queue[T]) Len() int { return q.n }

// Push adds a value behind all others.
func (q *Queue[T]) Push(v T) {
	if q.tail == nil {
		q.head = new(page[T])
		q.tail = q.head
	}
	if q.to == pageLen {
		q.tail.next = q.fresh()
		q.tail, q.to = q.tail.next, 0
	}
	q.tail.values[q.to] = v
	q.to++
	q.n++
}

// fresh returns a page that is not in use.
func (q *Queue[T]) fresh() *page[T] {
	p := q.spare
	q.spare = nil
	if p == nil {
		p = new(page[T])
	}
	return p
}

// Front returns the oldest value of a queue that has one.
func (q *Queue[T]) Front() T {
	if q.n == 0 {
		panic("BUG: there is nothing in the queue")
	}
	return q.head.values[q.from]
}

// Pop takes the oldest value out of a queue that has one.
func (q *Queue[T]) Pop() T {
	v := q.Front()
	q.from++
	q.n--
	switch {
	case q.n == 0:
		q.from, q.to = 0, 0 // the last value was in tail, and head is the same page
	case q.from == pageLen:
		done := q.head
		q.head, q.from = done.next, 0
		done.next = nil
		q.spare = done
	}
	return v
}
