package outbox

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/cmd/internal/trace"
	"millrace/ring/pool"
)

// This file owns the limits of send memory: which frame may be queued for a connection, and which client is held back. A
// client is held back that asks faster than it reads. While more replies wait for it than they should, the ring receives
// nothing from it: its requests stay in its socket and, when that is full, with the client, as TCP means it to be. It is
// released when the bytes that waited are on their way. Nothing is lost by that, and a client that does not read at all is
// closed when its send makes no progress ([Options.SendTimeout]).

// How memory for sending is shared out. A client for which replies pile up is held back, but the requests that it has sent
// before, a thousand perhaps, still come and want replies. Frames that can be missed leave the last of the pool to those
// that cannot.
const (
	gatherFactor   = 4  // times MaxPending: bytes that may gather in one Step for a client that has taken all before
	burstFactor    = 16 // times MaxPending: replies that may wait for a client
	reserved       = 16 // of so many parts of the memory one is for replies alone
	scarcePatience = 3  // seconds that a slow send is given where memory runs short
)

// scarce reports whether send memory is nearly used up.
func (o *Outbox) scarce() bool { return o.pool.InUse() > o.pool.Size()/4*3 }

// Late reports whether the send in flight has made no progress for too long. Where memory runs short the patience ends
// with the connections that hold it longest.
func (o *Outbox) Late(c *conn.Conn) bool {
	patience := o.opt.SendTimeout
	if o.scarce() {
		patience = min(scarcePatience, patience)
	}
	return c.Flight != 0 && o.turn.Now-c.SendTime > patience
}

// limit is how many bytes may wait for a connection before it counts as slow. A busy swarm may have more for a client in
// one Step than a slow one is allowed; a client that has taken everything before is not slow.
func (o *Outbox) limit(c *conn.Conn) int {
	if c.Flight == 0 {
		return gatherFactor * o.opt.MaxPending
	}
	return o.opt.MaxPending
}

// verdict says whether a frame may be queued for a connection.
type verdict uint8

const (
	admitted  verdict = iota
	overLimit         // too many bytes wait for the connection
	noMemory          // the rest of the memory is kept for frames that matter more
	ending            // the connection is told nothing more
)

// admit decides whether n more bytes may wait for a connection.
func (o *Outbox) admit(c *conn.Conn, n int, kind Kind) verdict {
	waiting := int(c.OutLen)
	if o.opt.Addresses != nil && o.opt.Addresses.UnsentFull(c.Guard) && o.opt.Addresses.UnsentOver(c.Guard, o.held(c)+n) {
		return overLimit // its address is over the limit, and it would hold more than its share
	}
	switch burst := burstFactor * o.opt.MaxPending; {
	case !kind.Droppable():
		if waiting+n > burst || (c.Out|c.Flight) != 0 && o.overShare(o.held(c)+n, burst) {
			return overLimit
		}
	case waiting > 0 && o.overShare(waiting+n, o.limit(c)):
		return overLimit
	case o.pool.Size()-o.pool.InUse() < o.pool.Size()/reserved:
		return noMemory
	}
	return admitted
}

// overShare reports whether n bytes are more than a part of a limit that is as large as the free part of the memory. So the
// largest holders lose first, and some memory stays free for clients that read, however many do not: it is the rule of
// dynamic thresholds (Choudhury and Hahne, 1998), by which switches divide one memory among their ports.
func (o *Outbox) overShare(n, limit int) bool {
	return n*o.pool.Size() > limit*(o.pool.Size()-o.pool.InUse())
}

// held returns how many bytes of send memory a connection holds.
func (o *Outbox) held(c *conn.Conn) (n int) {
	for _, buf := range [...]pool.Buf{c.Out, c.Flight} {
		if buf != 0 {
			n += len(o.pool.Bytes(buf))
		}
	}
	return n
}

// hold stops receiving from a connection for which n more bytes of replies are about to wait, if they are too many.
func (o *Outbox) hold(i uint32, c *conn.Conn, n int) {
	if int(c.OutLen)+n <= o.limit(c) || c.State() != conn.Open || c.Flags.Has(conn.Held|conn.HungUp) {
		return
	}
	o.stats.HeldBack++
	o.turn.Note(i, c, trace.Message).Decision = trace.Held
	o.table.Pause(o.turn, i, c, conn.Held)
}

// Release receives again from a connection that was held back. The time in which it was not heard does not count.
func (o *Outbox) Release(i uint32, c *conn.Conn) {
	if !o.table.Resume(o.turn, i, c, conn.Held) {
		return
	}
	c.LastSeen = o.turn.Now
	o.turn.Note(i, c, trace.Drained).Decision = trace.Released
	o.inbox.Restart(c)
}
