package ring

import "time"


// Tri is what the operator wants of an optional kernel feature.
type Tri uint8

const (
	Auto    Tri = iota // use it where the kernel has it and it was measured to help
	Off                // do not use it
	Require            // refuse to start without it
)

// Want is the operator's wish for each optional feature; the zero value leaves all to Auto.
type Want struct {
	MultishotAccept   Tri
	BufferRing        Tri
	MultishotReceive  Tri
	MessageRing       Tri
	CoopTaskrun       Tri
	SingleIssuer      Tri
	DeferTaskrun      Tri
	RegisteredRing    Tri
	RegisteredBuffers Tri
	FixedSend         Tri
	TimedWait         Tri
	MinWait           Tri
}

// Use says which optional features a plan uses.
type Use struct {
	MultishotAccept   bool
	BufferRing        bool
	MultishotReceive  bool
	MessageRing       bool
	CoopTaskrun       bool
	SingleIssuer      bool
	DeferTaskrun      bool
	RegisteredRing    bool
	RegisteredBuffers bool
	FixedSend         bool
	TimedWait         bool
	MinWait           bool
}

// Options are the sizes and wishes from which Choose makes a Plan. All sizes are per ring; zero takes the default.
type Options struct {
	Entries           int           // submission queue entries, a power of two; default 1024
	ReceiveBuffers    int           // number of receive buffers, rounded up to a power of two; default 1024
	ReceiveBufferSize int           // bytes of each; default 4096
	SendMemory        int           // bytes of the send pool; default 8 MiB
	MaxConnections    int           // size of the connection table; default 4096
	Tick              time.Duration // period of EventTick; default 100 ms
	MaxBatchDelay     time.Duration // longest Window.Max that will be asked for; 0: batching windows are never used
	Want              Want
}

// Choice is one line of a plan: a feature, whether it is used, and why.
type Choice struct {
	Name string // as in the configuration: "multishot_accept"
	On   bool
	Why  string
}

// featureCount is the number of optional features.
const featureCount = 12

// Plan is what Choose decided: pure data, the same for every ring of the process.
type Plan struct {
	Use               Use
	Choices           [featureCount]Choice // for the start log, in the order of Want
	Entries           uint32               // submission queue
	CQEntries         uint32               // completion queue
	ReceiveBuffers    int
	ReceiveBufferSize int
	SendMemory        int
	MaxConnections    int
	Tick              time.Duration
	MaxBatchDelay     time.Duration
}
