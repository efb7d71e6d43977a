package ring_test

import (
	"fmt"

	"millrace/ring"
)

// This file owns the examples: code that shows how the package is used, and the list of kernel features as it is
// printed in the documentation.

// The optional kernel features: the release that brought each, what it needs, and how a ring does without it.
func ExampleFeature() {
	for f := range ring.Feature(ring.FeatureCount) {
		info := f.Info()
		name := info.Name
		for _, needed := range info.Needs {
			name += " (needs " + needed.String() + ")"
		}
		fmt.Printf("%-5s %-40s without: %s\n", info.Kernel, name, info.Without)
	}
	// Output:
	// 5.19  multishot_accept                         without: 16 single accepts in flight
	// 5.19  buffer_ring                              without: PROVIDE_BUFFERS requests, and a POLL linked before each RECV
	// 6.0   multishot_receive (needs buffer_ring)    without: one RECV request a message
	// 5.18  message_ring                             without: a write to the other ring's eventfd
	// 5.19  coop_taskrun                             without: an interrupt for each batch of completions
	// 6.0   single_issuer                            without: a lock in each enter
	// 6.1   defer_taskrun (needs single_issuer)      without: completions run at any return to user space: 1.2 to 1.4 times the CPU
	// 5.18  registered_ring                          without: a descriptor lookup in each enter
	// 5.1   registered_buffers                       without: the arena is locked by mlock
	// 5.1   fixed_send (needs registered_buffers)    without: SEND
	// 5.11  timed_wait                               without: no batching windows
	// 6.12  min_wait (needs timed_wait)              without: an empty window returns without an event
}
