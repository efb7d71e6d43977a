package simulation

import "time"

// This file owns the random acts of clients, and those that time and the machine do to them.

// torrents is how many torrents the clients of the faults announce.
const torrents = 5

// act lets a client do something, or time pass.
func (w *world) act() {
	w.k.Advance(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	if w.rng.IntN(200) == 0 {
		w.sleep(w.rng.IntN(60))
	}
	if w.rng.IntN(5000) == 0 {
		w.sleep(200) // all are idle
	}
	if w.tight && len(w.clients) > 0 && w.rng.IntN(60) == 0 {
		w.freeze()
	}
	if len(w.clients) == 0 || len(w.clients) < maxClients && w.rng.IntN(5) == 0 {
		w.dialSome()
		return
	}
	if c := w.clients[w.rng.IntN(len(w.clients))]; c.upgraded && !c.ending {
		c.act()
	}
}

// act is one random act of a client.
func (c *client) act() {
	switch rng := c.world.rng; rng.IntN(25) {
	case 0, 1, 2, 3:
		c.leave()
	case 4:
		c.deaf = !c.deaf
	case 5:
		c.frame(opPing, "ping")
	case 6:
		for range 1 + rng.IntN(5) { // up to one more than is forgiven
			c.frame(opText, "not JSON")
		}
	case 7:
		c.scrape()
	case 8, 9:
		c.announceSome("stopped")
	default:
		c.announceSome("")
	}
}

// leave does something after which the tracker closes the connection.
func (c *client) leave() {
	switch c.world.rng.IntN(4) {
	case 0:
		c.frame(opClose, "\x03\xe8")
	case 1:
		c.CloseWrite()
	case 2:
		c.Reset()
	case 3:
		c.Write([]byte("\x81\x05hello")) // not masked
	}
	c.ending = true
}

// announceSome announces a random torrent with some offers, which may be long.
func (c *client) announceSome(event string) {
	rng := c.world.rng
	hash := torrent(rng.IntN(torrents))
	var lengths []int
	for range rng.IntN(5) {
		lengths = append(lengths, rng.IntN(1500))
	}
	c.announce(hash, event, rng.IntN(2), lengths)
}

// dialSome connects a client to a random shard and sends its upgrade, sometimes in two parts. Some are second connections
// of the peer of another client.
func (w *world) dialSome() {
	c := w.dial(w.rng.IntN(len(w.loops)))
	if first := w.clients[w.rng.IntN(len(w.clients))]; first != c && !first.shared && w.rng.IntN(3) == 0 {
		c.peer, c.shared, first.shared = first.peer, true, true
	}
	request := c.packing.upgrade()
	cut := w.rng.IntN(len(request))
	c.Write([]byte(request[:cut]))
	if w.rng.IntN(2) == 0 {
		w.turn()
	}
	c.Write([]byte(request[cut:]))
}

// freeze keeps a random shard from its turns for a while. Just before, all clients ask for so much that the replies of
// the other shards fill its mailboxes; then some connections end, which nobody can tell it.
func (w *world) freeze() {
	for range 2 {
		for _, c := range w.clients {
			for range w.rng.IntN(6) {
				switch {
				case !c.upgraded || c.ending:
				case w.rng.IntN(2) == 0:
					c.scrape()
				default:
					c.announce(torrent(w.rng.IntN(torrents)), "", 1, nil)
				}
			}
		}
		w.turn()
	}
	w.frozen, w.frozenFor = w.rng.IntN(len(w.loops)), 30+w.rng.IntN(100)
	for range 5 {
		w.turn()
	}
	for range w.rng.IntN(8) {
		if c := w.clients[w.rng.IntN(len(w.clients))]; c.up() {
			c.leave()
		}
	}
}
