package load

// This file opens the clients' connections and ends them.

import (
	"fmt"
	"net/netip"
	"time"

	"millrace/ring"
)

// rampTime returns when the i-th client of the worker is opened for the first time.
func (w *worker) rampTime(i int) time.Duration {
	return time.Duration(float64(seconds(w.config.Ramp)) * float64(w.global(uint32(i))) / float64(w.config.Connections))
}

// openDue opens the connections that are due, no more than maxOpening at once.
func (w *worker) openDue() {
	for w.ramped < len(w.clients) && w.opening < maxOpening && w.rampTime(w.ramped) <= w.now {
		i := uint32(w.ramped)
		w.ramped++
		if !w.isSlow(w.global(i)) {
			w.connect(i)
		}
	}
	w.reopen = w.openFrom(w.reopen)
	w.retry = w.openFrom(w.retry)
	w.abandon()
}

// openFrom opens the connections of a queue that are due, and returns the rest of it.
func (w *worker) openFrom(queue []timer) []timer {
	n := 0
	for n < len(queue) && w.opening < maxOpening && queue[n].at <= w.now {
		w.connect(queue[n].client)
		n++
	}
	if n == len(queue) {
		return queue[:0]
	}
	return queue[n:]
}

// connect begins to open a connection.
func (w *worker) connect(i uint32) {
	c := &w.clients[i]
	c.state, c.since = stateConnecting, w.now
	w.opening++
	w.awaited = append(w.awaited, timer{at: w.now + openTimeout, client: i})
	n := w.node(i)
	op := ring.Op{Kind: ring.OpConnect, Remote: n.remote, Tag: i}
	if len(n.locals) > 0 {
		op.Local = n.locals[int(w.global(i))%len(n.locals)]
	}
	w.ops = append(w.ops, op)
}

// abandon resets connections that have taken too long to open, or to be closed by the tracker.
func (w *worker) abandon() {
	for len(w.awaited) > 0 && w.awaited[0].at <= w.now {
		i := w.awaited[0].client
		w.awaited = w.awaited[1:]
		c := &w.clients[i]
		if (c.state == stateSecuring || c.state == stateUpgrading) && w.now-c.since >= openTimeout {
			w.failed(i, "no answer to the handshake in time")
		}
	}
	for len(w.patience) > 0 && w.patience[0].at <= w.now {
		i := w.patience[0].client
		w.patience = w.patience[1:]
		if c := &w.clients[i]; c.state == stateLeaving && c.since <= w.now {
			w.close(i, true)
		}
	}
}

func (w *worker) onConnect(e *ring.Event) {
	i := e.Tag
	c := &w.clients[i]
	if e.Errno != 0 {
		w.opening--
		c.state = stateAbsent
		w.counts.ConnectFailed++
		w.trouble("connect: " + e.Errno.Error())
		w.tryAgain(i)
		return
	}
	c.slot = e.Slot
	w.bySlot[e.Slot.Index] = i
	if w.encrypted {
		w.beginTLS(i)
		return
	}
	w.requestUpgrade(i)
}

// tryAgain opens a client later once more, unless it has failed too often.
func (w *worker) tryAgain(i uint32) {
	c := &w.clients[i]
	if c.tries++; c.tries >= maxTries {
		w.lost.abandoned++
		return
	}
	w.retry = append(w.retry, timer{at: w.now + retryPause, client: i})
}

// failed ends a connection that could not be opened.
func (w *worker) failed(i uint32, why string) {
	w.counts.ConnectFailed++
	w.trouble(why)
	w.close(i, true)
}

// opened makes a client take part, and announces for the first time.
func (w *worker) opened(i uint32) {
	c := &w.clients[i]
	g := w.global(i)
	w.opening--
	w.open++
	w.counts.Connected++
	w.lastHeard = w.now
	if w.timeline == nil || w.measured(c.since) {
		w.opens.record(w.now - c.since)
	}
	c.state, c.tries = stateOpen, 0
	c.first, c.oldest, c.passed = c.seq, c.seq, 0
	w.books.life[g].Store(uint32(c.incarnation) | liveBit)
	if w.config.Life > 0 {
		life := time.Duration(w.random.ExpFloat64() * float64(seconds(w.config.Life)))
		w.leaves.push(timer{at: w.now + life, client: i, token: uint32(c.incarnation)})
	}
	if !w.announcing() {
		return
	}
	n := 1
	switch {
	case w.config.OnlyOnce:
		n = w.books.places.perConnection
	case w.config.Loop == "closed":
		n = w.config.InFlight
	}
	for range n {
		w.announce(i, w.now)
	}
}

// leaveDue ends the lives that are over.
func (w *worker) leaveDue() {
	for len(w.leaves) > 0 && !w.ended && w.leaves[0].at <= w.now {
		t := w.leaves.pop()
		if c := &w.clients[t.client]; c.state == stateOpen && uint32(c.incarnation) == t.token {
			w.leave(t.client)
		}
	}
}

// leave announces the client's stop in all torrents that it has announced, and sends a close frame.
func (w *worker) leave(i uint32) {
	c := &w.clients[i]
	g := w.global(i)
	w.outOfSwarms(i)
	peer := w.books.who.peerID(g, c.incarnation)
	for k := range min(c.seq-c.first, uint32(w.books.places.perConnection)) {
		dst := w.room(i, frameSize(w.books.stop.Size))
		if dst == nil {
			break
		}
		hash := &w.books.hashes[w.books.places.torrent(g, c.seq-1-k)]
		a := announce{hash: hash, peer: &peer, event: stopEvent}
		w.wrote(i, w.pack(i, len(dst), w.books.appendAnnounce(dst, &a, w.key())))
	}
	if dst := w.room(i, frameSize(2)); dst != nil {
		const normal = "\x03\xe8" // 1000, RFC 6455 §7.4.1
		w.wrote(i, appendControl(dst, opClose, []byte(normal), w.key()))
	}
	c.state, c.since = stateLeaving, w.now+leavePause
	w.patience = append(w.patience, timer{at: c.since, client: i})
}

// outOfSwarms notes that an open client no longer takes part.
func (w *worker) outOfSwarms(i uint32) {
	g := w.global(i)
	w.open--
	w.books.life[g].Store(uint32(w.clients[i].incarnation))
	w.books.gone(g, w.now)
}

// storm resets every connection. Those that are being opened stay.
func (w *worker) storm() {
	for i := range w.clients {
		if w.clients[i].state == stateOpen || w.clients[i].state == stateLeaving {
			w.close(uint32(i), true)
		}
	}
}

func (w *worker) onHangup(i uint32, errno ring.Errno) {
	c := &w.clients[i]
	why := "closed by the tracker without a close frame"
	switch {
	case errno != 0:
		why = errno.Error()
	case c.closeCode != 0:
		why = fmt.Sprintf("closed by the tracker with code %d", c.closeCode)
	}
	switch {
	case c.isOpening():
		w.failed(i, "handshake: "+why)
	case c.state == stateOpen:
		w.counts.Disconnected++
		w.trouble(why)
		w.close(i, true)
	case c.state == stateLeaving:
		w.close(i, false)
	}
}

// close ends a connection, in any state. The client comes back when the ring has released the connection.
func (w *worker) close(i uint32, abort bool) {
	c := &w.clients[i]
	if !c.state.connected() {
		return
	}
	switch {
	case c.state == stateOpen:
		w.outOfSwarms(i)
	case c.isOpening():
		w.opening--
		c.tries++
	}
	w.forget(i)
	c.state = stateClosing
	w.ops = append(w.ops, ring.Op{Kind: ring.OpClose, Slot: c.slot, Abort: abort})
}

// forget drops everything that is under way on a connection, except a send that the ring has.
func (w *worker) forget(i uint32) {
	c := &w.clients[i]
	for ; c.oldest != c.seq; c.oldest++ {
		if r := w.books.known(w.global(i), c.oldest); r != nil && r.state == recordOpen {
			r.state = recordFailed
			w.lost.replies++
		}
	}
	clear(w.owedBy(i))
	delete(w.fragments, i)
	if c.pending != 0 {
		w.pool.Put(c.pending)
		c.pending, c.pendingLen = 0, 0
	}
	c.sealed = false
	c.deflate, c.windowLen = agreement{}, 0
	w.dropPart(c)
	w.endTLS(i)
}

func (w *worker) onClosed(i uint32) {
	c := &w.clients[i]
	c.state, c.closeCode = stateAbsent, 0
	c.incarnation++
	switch {
	case c.tries >= maxTries:
		w.lost.abandoned++
	case c.tries > 0:
		w.retry = append(w.retry, timer{at: w.now + retryPause, client: i})
	case !w.ended:
		w.reopen = append(w.reopen, timer{at: w.now, client: i})
	}
}

// sources returns the local addresses from which a tracker on loopback is reached: each has its own ports.
func sources(remote netip.AddrPort, wanted, connections int) []netip.AddrPort {
	// The default net.ipv4.ip_local_port_range has 28,232 ports. The kernel takes those of one parity first; when they are
	// used up it looks at all 14,116 of them, for every connection, before it takes one of the others.
	const portsOfOne = 14_000
	if !remote.Addr().Is4() || !remote.Addr().IsLoopback() {
		return nil
	}
	n := wanted
	if n == 0 {
		n = min(connections/portsOfOne+1, maxSources)
	}
	if n == 1 {
		return nil
	}
	list := make([]netip.AddrPort, n)
	for i := range list {
		list[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 0)
	}
	return list
}
