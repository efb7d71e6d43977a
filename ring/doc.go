// Package ring is an event loop's view of Linux sockets over io_uring: ops go in, events come out, and all memory that
// the kernel reads or writes for connections lies in one locked arena per ring.
//
// It is used so: [Probe] what the kernel can do, [Choose] a [Plan], [Fit] it to the limit of locked memory, [Listen],
// and on each event loop's own locked thread [Open] a ring; then Submit and Wait in turn, and Close.
//
// The baseline is Linux 5.8: ACCEPT and ASYNC_CANCEL (5.5), SEND, RECV and READ (5.6), PROVIDE_BUFFERS and polling
// without a worker thread (5.7), completions that are never dropped (IORING_FEAT_NODROP, 5.5). Everything else is
// optional and is used where a try showed it to work:
//
//	feature             kernel  where it came in (commit title)                      without it
//	multishot_accept    5.19    "io_uring: implement multishot mode for accept"      16 single accepts in flight
//	buffer_ring         5.19    "io_uring: add support for ring mapped supplied      PROVIDE_BUFFERS requests, and a POLL
//	                            buffers"                                             linked before each RECV, so that an
//	                                                                                 idle connection holds no buffer
//	multishot_receive   6.0     "io_uring: multishot recv"                           one RECV request per message
//	message_ring        5.18    "io_uring: add support for IORING_OP_MSG_RING        a write to the other ring's eventfd
//	                            command"
//	coop_taskrun        5.19    "io_uring: use TWA_SIGNAL_NO_IPI if                   an interrupt per completion batch
//	                            IORING_SETUP_COOP_TASKRUN is used"
//	single_issuer       6.0     "io_uring: add IORING_SETUP_SINGLE_ISSUER"           a lock in each enter
//	defer_taskrun       6.1     "io_uring: add IORING_SETUP_DEFER_TASKRUN"           completions run at any return to user
//	                                                                                 space: 1.2 to 1.4 times the CPU
//	registered_ring     5.18    "io_uring: add support for registering ring file     a descriptor lookup per enter
//	                            descriptors"
//	registered_buffers  5.1     "io_uring: add support for pre-mapped user IO        the arena is locked by mlock
//	                            buffers"
//	fixed_send          5.1     WRITE_FIXED, same commit                             SEND; measured no worse, so auto is off
//	timed_wait          5.11    "io_uring: add timeout support for io_uring_enter()" no batching windows
//	min_wait            6.12    "io_uring: wire up min batch wake timeout"           an empty window returns without event
//
// Not used, because it was measured: SEND_ZC (6.0) cost 1.1 to 1.25 times the CPU for messages of a few hundred bytes,
// since each needs a second completion; direct descriptors (5.5, multishot 5.19) made no difference, and getpeername
// takes a plain one; bundles (6.10) and incremental buffers (6.12) gather the pieces of one large message, and a
// tracker's messages fit one buffer each.
package ring
