package meter

// This file owns the arithmetic of rates: the generic cell rate algorithm (ITU-T I.371) in one word for each connection and
// rate, the time up to which all that came is paid for.

// Times are in units of 1/64 ms, in 32 bits that wrap after 18 hours. A word that seems to be far in the future is old.
const (
	unitNanos   = 15625
	unitsSecond = 1_000_000_000 / unitNanos
)

func (m *Meter) clock() uint32 { return uint32(m.turn.Nanos / unitNanos) }

// deepPart is the part of a burst behind which a connection counts as flooding: of the default burst of 1,000 messages, 31.
const deepPart = 32

// allowance is a rate in units of time. The zero allowance has no limit. It holds quotients, since a division for each event
// could be measured.
type allowance struct {
	each   uint64 // 2^32 times the units that one event takes
	one    uint32 // the units that one event takes, at least 1; 0: there is no limit
	window uint32 // units that a full burst takes
	deepAt uint32 // units behind which a connection counts as flooding
}

func newAllowance(r Rate) allowance {
	if r.PerSecond == 0 {
		return allowance{}
	}
	window := uint32(min(max(uint64(r.Burst)*unitsSecond/uint64(r.PerSecond), 1), 1<<29))
	a := allowance{each: unitsSecond << 32 / uint64(r.PerSecond), window: window, deepAt: window / deepPart}
	a.one = a.cost(1)
	return a
}

// cost is the time that n events take, at least one unit. n is less than 2^16 times the events of a second, so that nothing
// overflows.
func (a allowance) cost(n int) uint32 {
	return uint32(min(max(uint64(n)*a.each>>32, 1), 1<<29))
}

// ahead is how far a word is in the future.
func (a allowance) ahead(paid, now uint32) uint32 {
	d := paid - now
	if d > 1<<30 { // in the past, or so old that it seems to be in the future
		return 0
	}
	return d
}

// charge counts n events.
func (a allowance) charge(paid *uint32, now uint32, n int) {
	if a.one > 0 {
		*paid = now + min(a.ahead(*paid, now)+a.cost(n), 1<<30)
	}
}

// over reports whether more has come than the burst allows.
func (a allowance) over(paid, now uint32) bool {
	return a.one > 0 && a.ahead(paid, now) > a.window
}

// deep reports whether a part of the burst has been used that a client within its rates never uses.
func (a allowance) deep(paid, now uint32) bool {
	return a.one > 0 && a.ahead(paid, now) > a.deepAt
}

// take counts one event unless it is one too many.
func (a allowance) take(paid *uint32, now uint32) bool {
	if a.one == 0 {
		return true
	}
	next := a.ahead(*paid, now) + a.one
	if next > a.window {
		return false
	}
	*paid = now + next
	return true
}
