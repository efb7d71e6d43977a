package ring

// This file owns the counters of a ring.

// Stats are the counters of a ring since Open and three gauges, the fields of type int. The tags name and explain them
// for a metrics page; "-" marks those that it does not show.
type Stats struct {
	Enters           uint64 `metric:"ring_enters_total" help:"System calls io_uring_enter."`
	Gathers          uint64 `metric:"ring_gathers_total" help:"Those of them that had the kernel do work which it had left over (since Linux 6.13)."`
	Events           uint64 `metric:"ring_events_total" help:"Events that the ring has reported."`
	CQOverflows      uint64 `metric:"ring_overflows_total" help:"Completions that the kernel had to drop, none since Linux 5.5."` // IORING_FEAT_NODROP
	NoBuffers        uint64 `metric:"ring_no_buffers_total" help:"Receives that found no buffer."`
	StaleCompletions uint64 `metric:"ring_stale_completions_total" help:"Completions for connections that had gone."`
	Rearms           uint64 `metric:"ring_rearms_total" help:"Multishot requests that ended and were started again."`
	ShortSends       uint64 `metric:"-"` // sends that took fewer bytes than asked
	Vanished         uint64 `metric:"connections_vanished_total" help:"Connections whose client had gone before they were accepted."`
	Connections      int    `metric:"-"` // connections open now
	BuffersInUse     int    `metric:"receive_buffers_in_use" help:"Receive buffers with data that is being read."`
	Parked           int    `metric:"connections_parked" help:"Connections that wait for a receive buffer."`
}
