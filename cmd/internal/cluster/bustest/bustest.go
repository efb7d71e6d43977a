// Package bustest is the bus between the nodes of a simulated cluster. A message takes a moment. Some are lost, late, doubled or refused, and
// the bus can be parted. All comes from one source of random numbers, so a run can be played again.
package bustest

import (
	"bytes"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// Node is a node as the bus sees it: one life of it.
type Node interface {
	comparable
	Name() string
	Connected() bool
	Subjects() []string // of the messages that are to come to it
}

// Faults are probabilities, but for Delay.
type Faults struct {
	Refuse            float64       // the bus takes no message
	Loss, Twice, Late float64       // of a message on its way to one node
	Delay             time.Duration // of one that is late, at most
}

// Message has come to a node.
type Message[N Node] struct {
	To      N
	Subject string
	Data    []byte
}

// Bus is what is under way.
type Bus[N Node] struct {
	Faults Faults
	Parts  map[string]int // by name: nodes of different parts hear nothing of each other
	Lost   uint64         // messages

	rng     *rand.Rand
	flights flights[N]
	order   map[[2]N]time.Duration // the last arrival of what goes from one node to another
	serial  uint64
}

// New returns an empty bus.
func New[N Node](rng *rand.Rand) *Bus[N] {
	return &Bus[N]{rng: rng, Parts: make(map[string]int), order: make(map[[2]N]time.Duration)}
}

// Join has nobody parted from anybody any more.
func (b *Bus[N]) Join() {
	for name := range b.Parts {
		b.Parts[name] = 0
	}
}

// Empty reports whether nothing is under way.
func (b *Bus[N]) Empty() bool { return len(b.flights) == 0 }

func (b *Bus[N]) chance(p float64) bool { return p > 0 && b.rng.Float64() < p }

// Publish gives a message of a node to all nodes that have its subject, and keeps nothing of it. Half the time a node hears itself. Publish
// is false where the bus does not take the message.
func (b *Bus[N]) Publish(now time.Duration, from N, nodes []N, subject string, data []byte) bool {
	if !from.Connected() || b.chance(b.Faults.Refuse) {
		return false
	}
	for _, to := range nodes {
		if to == from && b.rng.IntN(2) == 0 || !slices.Contains(to.Subjects(), subject) {
			continue
		}
		for copies := 1; copies > 0; copies-- {
			if !to.Connected() || b.Parts[from.Name()] != b.Parts[to.Name()] || b.chance(b.Faults.Loss) {
				b.Lost++
				continue
			}
			b.fly(now, from, Message[N]{to, subject, bytes.Clone(data)})
			if b.chance(b.Faults.Twice) {
				copies++
			}
		}
	}
	return true
}

// fly puts a message on its way. Those that are not late keep their order.
func (b *Bus[N]) fly(now time.Duration, from N, m Message[N]) {
	b.serial++
	at, way := now+time.Duration(200+b.rng.IntN(1800))*time.Microsecond, [2]N{from, m.To}
	if b.chance(b.Faults.Late) {
		at += time.Duration(b.rng.Int64N(int64(b.Faults.Delay)))
	} else {
		at = max(at, b.order[way])
		b.order[way] = at
	}
	heap.Push(&b.flights, flight[N]{at, b.serial, m})
}

// Next returns the next message whose time has come; ok is false if there is none.
func (b *Bus[N]) Next(now time.Duration) (m Message[N], ok bool) {
	if b.Empty() || b.flights[0].at > now {
		return m, false
	}
	return heap.Pop(&b.flights).(flight[N]).Message, true
}

// flight is a message under way.
type flight[N Node] struct {
	at     time.Duration
	serial uint64
	Message[N]
}

// flights are ordered by time.
type flights[N Node] []flight[N]

func (f flights[N]) Len() int { return len(f) }
func (f flights[N]) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].serial < f[j].serial
}
func (f flights[N]) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights[N]) Push(x any)   { *f = append(*f, x.(flight[N])) }
func (f *flights[N]) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}
