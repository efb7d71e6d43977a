// Package ring is an event loop's view of Linux sockets over io_uring: ops go in, events come out, and all memory that
// the kernel reads or writes for connections lies in one locked arena per ring.
//
// It is used so: [Probe] the kernel, [Choose] a [Plan], [Fit] it to the limit of locked memory, listen
// ([millrace/ring/host]), and on each event loop's own locked thread [Open] a ring; then Submit and Wait in turn, and
// Close.
//
// The files of the package, by their names:
//
//	op, errno, window, stats, features, plan*   the vocabulary: all that a caller reads
//	ring, wake                                  the ring itself; its timer and its wakes
//	conn*, end                                  connections: the table, each kind of request, the end
//	kernel                                      the contract with the kernel, which ringtest keeps in plain memory
//	uring*                                      io_uring: queues, entries, buffers, the wait, the system calls
//
// Package pool allocates memory, package host is the rest of Linux that a server needs: neither knows a ring.
//
// The baseline is Linux 5.8: ACCEPT and ASYNC_CANCEL (5.5), SEND, RECV and READ (5.6), PROVIDE_BUFFERS and polling
// without a worker thread (5.7), completions that are never dropped (IORING_FEAT_NODROP, 5.5). Everything else is a
// [Feature]: it is optional and is used where a try showed it to work. The example of Feature lists them all.
//
// Measured and left out: SEND_ZC (6.0) cost 1.1 to 1.25 times the CPU for messages of a few hundred bytes, since each
// needs a second completion; direct descriptors (5.5, multishot 5.19) made no difference, and getpeername takes a plain
// one; bundles (6.10) and incremental buffers (6.12) gather the pieces of one large message, and a tracker's messages
// fit one buffer each.
package ring
