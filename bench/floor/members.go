package floor

// This file holds the members of each torrent, in arrays by the numbers that millrace-load gives to clients and
// torrents.

// none is no connection, client or membership.
const none = ^uint32(0)

// membership is a connection's place in one torrent.
type membership struct {
	conn    uint32
	torrent uint32
	place   uint32 // in the torrent's list
	next    uint32 // the connection's next one, or the next free one
}

// torrent lists the memberships of a torrent.
type torrent struct {
	list []uint32
	next uint32 // place from which the next offers go out, so that all get as many and neighbours do not gather
}

// members are the memberships of all connections.
type members struct {
	slab     []membership
	free     uint32 // first free one of the slab
	torrents []torrent
	byClient []uint32 // connection of each client
}

// grow returns list with an element i. New elements are none.
func grow(list []uint32, i uint32) []uint32 {
	for uint32(len(list)) <= i {
		list = append(list, none)
	}
	return list
}

// introduce notes the client of a connection.
func (f *Floor) introduce(i uint32, c *conn, peer id) {
	f.forget(i, c)
	c.peer = peer
	if c.client = clientNumber(&peer); c.client == none {
		return
	}
	f.byClient = grow(f.byClient, c.client)
	f.byClient[c.client] = i
}

// forget undoes introduce.
func (f *Floor) forget(i uint32, c *conn) {
	if c.client != none && f.byClient[c.client] == i {
		f.byClient[c.client] = none
	}
	c.client = none
}

// connOf returns the connection that a peer id names, or none.
func (f *Floor) connOf(peer *id) uint32 {
	client := clientNumber(peer)
	if client == none || client >= uint32(len(f.byClient)) {
		return none
	}
	i := f.byClient[client]
	if i == none || f.conns[i].peer != *peer {
		return none // that was an earlier life of the client
	}
	return i
}

// member returns the membership of a connection in a torrent. It makes one where there is none.
func (f *Floor) member(i uint32, c *conn, number uint32) uint32 {
	for m := c.first; m != none; m = f.slab[m].next {
		if f.slab[m].torrent == number {
			return m
		}
	}
	for uint32(len(f.torrents)) <= number {
		f.torrents = append(f.torrents, torrent{})
	}
	m := f.free
	if m == none {
		m = uint32(len(f.slab))
		f.slab = append(f.slab, membership{})
	} else {
		f.free = f.slab[m].next
	}
	t := &f.torrents[number]
	f.slab[m] = membership{conn: i, torrent: number, place: uint32(len(t.list)), next: c.first}
	t.list = append(t.list, m)
	c.first = m
	return m
}

// leave ends a connection's membership in a torrent.
func (f *Floor) leave(c *conn, number uint32) {
	for at := &c.first; *at != none; at = &f.slab[*at].next {
		if m := *at; f.slab[m].torrent == number {
			*at = f.slab[m].next
			f.release(m)
			return
		}
	}
}

// leaveAll ends all memberships of a connection.
func (f *Floor) leaveAll(i uint32, c *conn) {
	for c.first != none {
		m := c.first
		c.first = f.slab[m].next
		f.release(m)
	}
	f.forget(i, c)
}

// release gives a membership back. The last of its torrent takes its place.
func (f *Floor) release(m uint32) {
	t := &f.torrents[f.slab[m].torrent]
	place, last := f.slab[m].place, t.list[len(t.list)-1]
	t.list[place] = last
	f.slab[last].place = place
	t.list = t.list[:len(t.list)-1]
	f.slab[m].next = f.free
	f.free = m
}
