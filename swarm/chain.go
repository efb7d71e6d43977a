package swarm

// This file owns chains of records in the order in which they came, for records that are in one chain at a time.

// chain is a sequence of records, by slot, 0 if it is empty.
type chain struct{ oldest, newest uint32 }

// neighbours of a record in a chain, by slot, 0 at the ends.
type neighbours struct{ older, newer uint32 }

// chained is a record in a chain.
type chained[T any] interface {
	*T
	inChain() *neighbours
}

// enchain makes the record at a slot, which is in no chain, the newest of a chain.
func enchain[T any, P chained[T]](c *chain, r *records[T], slot uint32) {
	*P(r.at(slot)).inChain() = neighbours{older: c.newest}
	if c.newest == 0 {
		c.oldest = slot
	} else {
		P(r.at(c.newest)).inChain().newer = slot
	}
	c.newest = slot
}

// unchain takes the record at a slot out of its chain.
func unchain[T any, P chained[T]](c *chain, r *records[T], slot uint32) {
	in := *P(r.at(slot)).inChain()
	older, newer := &c.oldest, &c.newest
	if in.older != 0 {
		older = &P(r.at(in.older)).inChain().newer
	}
	if in.newer != 0 {
		newer = &P(r.at(in.newer)).inChain().older
	}
	*older, *newer = in.newer, in.older
}
