package ring_test

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the examples: a server of one connection, and the list of kernel features as the documentation prints
// it.

// A server takes one connection, answers its first message and closes when the client does. One thread owns the ring:
// it submits ops and waits for events in turn.
func Example() {
	// A ring's thread waits without giving its P back: one more than the rings is needed.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, addr, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	go client(addr)
	var events []ring.Event
	var ops []ring.Op
	for closed := false; !closed; {
		if events, err = r.Wait(events[:0], ring.Window{Min: 1}); err != nil {
			fmt.Println(err)
			return
		}
		ops = ops[:0]
		for _, e := range events {
			switch e.Kind {
			case ring.EventAccept:
				fmt.Println("accepted from", e.Peer.Addr())
			case ring.EventRecv:
				fmt.Printf("received %q\n", e.Data)
				buf := r.Pool().Get(len(e.Data)) // it goes back after EventSent; here it goes with the ring
				data := r.Pool().Bytes(buf)
				ops = append(ops, ring.Op{Kind: ring.OpSend, Slot: e.Slot, Data: data[:copy(data, e.Data)]})
			case ring.EventSent:
				fmt.Println("sent", e.N, "bytes")
			case ring.EventHangup:
				fmt.Println("the client has ended")
				ops = append(ops, ring.Op{Kind: ring.OpClose, Slot: e.Slot})
			case ring.EventClosed:
				fmt.Println("closed")
				closed = true
			}
		}
		r.Submit(ops)
	}
	if err := r.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// accepted from 127.0.0.1
	// received "hello"
	// sent 5 bytes
	// the client has ended
	// closed
}

// open makes a small ring that listens on a free port.
func open() (*ring.Ring, netip.AddrPort, error) {
	plan, err := ring.Choose(ring.Probe(), ring.Options{
		Entries:           64,
		ReceiveBuffers:    16,
		ReceiveBufferSize: 2048,
		SendMemory:        64 << 10,
		MaxConnections:    4,
		Tick:              500 * time.Millisecond,
	})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	if limit, unlimited := host.MemlockLimit(); !unlimited {
		if plan, _, err = ring.Fit(plan, limit); err != nil {
			return nil, netip.AddrPort{}, err
		}
	}
	listeners, err := host.Listen(host.ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	r, err := ring.Open(plan, listeners[0])
	return r, listeners[0].Addr(), err
}

// client sends a word, waits for it to come back, and closes.
func client(addr netip.AddrPort) {
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if _, err = c.Write([]byte("hello")); err == nil {
		_, err = c.Read(make([]byte, 5))
	}
	if err != nil {
		fmt.Println(err)
	}
}

// The optional kernel features: the Linux release that brought each, its needs, and how a ring does without it.
func ExampleFeature() {
	for f := range ring.Feature(ring.FeatureCount) {
		info := f.Info()
		fmt.Printf("%s (%s, needs %v) without: %s\n", info.Name, info.Kernel, info.Needs, info.Without)
	}
	// Output:
	// multishot_accept (5.19, needs []) without: 16 single accepts in flight
	// buffer_ring (5.19, needs []) without: PROVIDE_BUFFERS requests, and a POLL linked before each RECV
	// multishot_receive (6.0, needs [buffer_ring]) without: one RECV request a message
	// message_ring (5.18, needs []) without: a write to the other ring's eventfd
	// coop_taskrun (5.19, needs []) without: an interrupt for each batch of completions
	// single_issuer (6.0, needs []) without: a lock in each enter
	// defer_taskrun (6.1, needs [single_issuer]) without: completions at any return to user space, 1.2 to 1.4 times the CPU
	// registered_ring (5.18, needs []) without: a descriptor lookup in each enter
	// registered_buffers (5.1, needs []) without: the arena is locked by mlock
	// fixed_send (5.1, needs [registered_buffers]) without: SEND
	// timed_wait (5.11, needs []) without: no batching windows
	// min_wait (6.12, needs [timed_wait]) without: an empty window returns without an event
}
