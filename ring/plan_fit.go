package ring

import (
	"fmt"

	"millrace/ring/pool"
)

// This file owns the memory of a plan: the bytes that a ring locks, and how a plan is made to fit a limit.

// LockedBytes returns the bytes that one ring of the plan charges to the memlock limit: the arena and the queues.
// Kernels 5.12 and later charge the queues only to users without CAP_IPC_LOCK (measured on 6.18), so that this is the
// upper bound.
func (p Plan) LockedBytes() uint64 {
	return uint64(p.arenaSize()) + p.queueBytes()
}

// queueBytes is the memory of the submission and completion queues: 64 bytes an entry and 4 for the index array, 16 a
// completion, and a page of heads and tails, each rounded up to whole pages.
func (p Plan) queueBytes() uint64 {
	return pages(uint64(p.Entries)*64) + pages(uint64(p.Entries)*4+uint64(p.CQEntries)*16+pageSize)
}

const pageSize = 4096

func pages(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// Fit shrinks a plan so that one ring stays within perRing bytes of locked memory: the largest of send memory, receive
// buffers and queues is halved until it fits. It is an error when even the least (16 receive buffers, 64 KiB to send,
// 256 entries) is too large; the error names the bytes needed, the limit and the lines that mend it.
func Fit(p Plan, perRing uint64) (fitted Plan, shrunk bool, err error) {
	q := p
	for q.LockedBytes() > perRing {
		switch send, receive, queues := q.shrinkable(); max(send, receive, queues) {
		case 0:
			return p, false, memlockError(q.LockedBytes(), p.LockedBytes(), perRing)
		case send:
			q.SendMemory = q.SendMemory / 2 &^ (pool.Granule - 1)
		case receive:
			q.ReceiveBuffers /= 2
		default:
			q.Entries /= 2
			q.CQEntries = min(q.CQEntries, q.Entries*cqPerSQ)
		}
	}
	return q, q.LockedBytes() != p.LockedBytes(), nil
}

// FitProcess is Fit for the rings of a process under the limit of locked memory, which counts all processes of a user
// together. A quarter of it is left to others, such as a load tester beside a tracker, unless the least plan needs that too.
func FitProcess(p Plan, limit uint64, rings int) (fitted Plan, shrunk bool, err error) {
	if fitted, shrunk, err = Fit(p, limit/4*3/uint64(rings)); err != nil {
		fitted, shrunk, err = Fit(p, limit/uint64(rings))
	}
	return fitted, shrunk, err
}

// shrinkable returns the bytes of each part that Fit may halve; 0 for one that is at its least.
func (p Plan) shrinkable() (send, receive, queues uint64) {
	if p.SendMemory/2 >= minSendMemory {
		send = uint64(p.SendMemory)
	}
	if p.ReceiveBuffers/2 >= minReceiveBuffers {
		receive = uint64(p.ReceiveBuffers) * uint64(p.ReceiveBufferSize)
	}
	if p.Entries/2 >= minFitEntries {
		queues = p.queueBytes()
	}
	return send, receive, queues
}

// memlockError is the sentence for an operator whose limit of locked memory is too small.
func memlockError(least, wanted, limit uint64) error {
	return fmt.Errorf("cannot lock the memory of a ring: it needs at least %d bytes (%d as configured), "+
		"the limit allows %d per ring; %s", least, wanted, limit, memlockRemedy)
}

const memlockRemedy = `raise it with "LimitMEMLOCK=infinity" in the systemd unit, or with the line ` +
	`"* - memlock unlimited" in /etc/security/limits.conf and a new login`
