package outbox

import (
	"millrace/cmd/internal/shard/conn"
	"millrace/tlsconn"
)

// This file owns the last step of a send over TLS: the bytes that have gathered for a connection are encrypted as a whole
// when they leave.

// seal encrypts all bytes that wait for a connection into its flight, in as few records as possible. It reports false
// where there is no memory for it now.
func (o *Outbox) seal(i uint32, c *conn.Conn) bool {
	t := o.table.TLS(i)
	flight := o.get(c, int(c.OutLen)+tlsconn.RecordOverhead(int(c.OutLen))+t.Pending())
	if flight == 0 {
		return false
	}
	dst := o.pool.Bytes(flight)[:0]
	if c.OutLen > 0 {
		var err error
		if dst, err = t.Write(dst, o.pool.Bytes(c.Out)[:c.OutLen]); err != nil {
			panic("BUG: a TLS connection that is established does not write: " + err.Error())
		}
	} else {
		dst = t.Drain(dst)
	}
	o.free(c)
	c.Flight, c.FlightOff, c.FlightLen = flight, 0, uint32(len(dst))
	return true
}

// CloseNotify sends close_notify as the last record of a TLS connection. It reports whether there is a send to wait for.
func (o *Outbox) CloseNotify(i uint32, c *conn.Conn) bool {
	if !o.table.Secure(i) || c.Flags.Has(conn.Notified) || !o.table.CanSpeak(i) {
		return false
	}
	c.Flags |= conn.Notified
	t := o.table.TLS(i)
	flight := o.get(c, 2+tlsconn.RecordOverhead(2)+t.Pending())
	if flight == 0 {
		return false
	}
	dst := t.CloseNotify(o.pool.Bytes(flight)[:0])
	if len(dst) == 0 {
		o.put(c, flight)
		return false
	}
	c.Flight, c.FlightOff, c.FlightLen = flight, 0, uint32(len(dst))
	o.send(i, c)
	return true
}
