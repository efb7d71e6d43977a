package deflate

// This file owns the memory of histories: places of one size, each with its owner. All of it is a cache, so a place can be taken
// from its owner at any time.

// HistorySize is the memory of a history in bytes: an offer of a browser, and some more.
const HistorySize = 2 << 10

// owner is a connection that has a history; gen 0: nobody.
type owner struct{ index, gen uint32 }

// histories are places, counted from 1.
type histories struct {
	memory []byte
	owners []owner  // by place
	spare  []uint32 // places that nobody has
	hand   int      // where the next place is taken from somebody
}

func newHistories(memory []byte) histories {
	n := len(memory) / HistorySize
	h := histories{memory: memory, owners: make([]owner, n), spare: make([]uint32, 0, n)}
	for place := n; place > 0; place-- {
		h.spare = append(h.spare, uint32(place))
	}
	return h
}

// bytes returns the memory of a place.
func (h *histories) bytes(place uint32) []byte {
	at := int(place-1) * HistorySize
	return h.memory[at : at+HistorySize : at+HistorySize]
}

// take gives a place to a connection, that of another connection if none is spare; 0: there are no places.
func (h *histories) take(index, gen uint32) (place uint32, from owner) {
	switch n := len(h.spare); {
	case n > 0:
		place, h.spare = h.spare[n-1], h.spare[:n-1]
	case len(h.owners) == 0:
		return 0, owner{}
	default:
		place, h.hand = uint32(h.hand+1), (h.hand+1)%len(h.owners)
		from = h.owners[place-1]
	}
	h.owners[place-1] = owner{index, gen}
	return place, from
}

// free takes a place back.
func (h *histories) free(place uint32) {
	h.owners[place-1] = owner{}
	h.spare = append(h.spare, place)
}
