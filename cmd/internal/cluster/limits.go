package cluster

import (
	"cmp"
	"errors"
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file owns the bounds: how much there may be of everything, and how long it may stay. Those of records are in record/limits.go.

// Limits are the bounds that depend on the size of a node. A field that is 0 has the value of DefaultLimits.
type Limits struct {
	Stays        int // of a torrent on a node, in the directory
	Dirty        int // torrents whose changes wait to be told to other nodes
	HeldBytes    int // of offers that wait for the answer of a home
	Asks         int // scrapes that wait for others
	AskBytes     int // of those
	Waiting      int // bytes that wait for one node
	WaitingToAll int // for all nodes together
}

// DefaultLimits are for a node with some hundred thousand clients. A stay takes about 200 bytes.
var DefaultLimits = Limits{
	Stays: 1 << 20, Dirty: 1 << 16, HeldBytes: 16 << 20, Asks: 1 << 12, AskBytes: 16 << 20, Waiting: 4 << 20, WaitingToAll: 32 << 20,
}

// orDefault fills in what is not said.
func (l Limits) orDefault() Limits {
	d := &DefaultLimits
	return Limits{
		Stays: cmp.Or(l.Stays, d.Stays), Dirty: cmp.Or(l.Dirty, d.Dirty), HeldBytes: cmp.Or(l.HeldBytes, d.HeldBytes),
		Asks: cmp.Or(l.Asks, d.Asks), AskBytes: cmp.Or(l.AskBytes, d.AskBytes), Waiting: cmp.Or(l.Waiting, d.Waiting),
		WaitingToAll: cmp.Or(l.WaitingToAll, d.WaitingToAll),
	}
}

const (
	maxOtherNodes = record.MaxNodes - 1 // live at a time
	maxNumbers    = 1<<16 - 1           // of other nodes, given out in the life of this one
	maxPast       = 256                 // lives of nodes that are remembered, so that what is late does not raise the dead
	maxNews       = 64                  // not fetched yet; the oldest gives way
	maxMessage    = 256 << 10           // bytes of records in one message; far below what NATS allows
	leastPacked   = 256                 // bytes of records that are worth packing
	maxScan       = 1 << 14             // torrents of the directory that one Tick looks at
	retellRate    = 20_000              // torrents a second that are told anew after a change of the nodes, at least
	maxSettling   = 4                   // times that the time after a change of the nodes gets longer by more changes
	maxSpread     = 1 << 10             // torrents whose changes one Tick tells
	leastSecret   = 16                  // bytes of the secret
)

// LargestMessage is how many bytes a message has at most: records, in a packed form that is no longer, and a seal.
const LargestMessage = maxMessage + 1024

const (
	helloEvery  = time.Second            // at most; a quarter of the timeout if that is less
	helloSoon   = helloEvery / 4         // after a node has come, at most so often
	settleTime  = time.Second            // after a change of the nodes: more may follow
	settleSlack = time.Second            // until what was told anew has arrived: shards look at the time now and then
	leastRetell = time.Second / 4        // for all torrents that are told anew after a change of the nodes
	othersEvery = time.Second            // changes of one torrent are told together
	holdTime    = time.Second            // that offers wait for the answer of a home
	askTime     = 250 * time.Millisecond // that a scrape waits for others
	batchTime   = time.Millisecond       // after a message, that records wait for others to the same node
	newsTime    = 50 * time.Millisecond  // the same for those that nobody waits for
	retryTime   = 10 * time.Millisecond  // after the bus has not taken a message: each try seals anew
)

// The times that follow from Options.Refresh, which is the time within which everything heals. Torrents are told anew twice in it, spread
// over a quarter of it: so each is told at least every three quarters. A stay that is told less often is doubtful: its node is asked. The
// other times leave room for that within the whole.
func (o *Options) resendEvery() time.Duration  { return o.Refresh / 2 }
func (o *Options) resendWithin() time.Duration { return o.Refresh / 4 }
func (o *Options) doubtAfter() time.Duration   { return o.Refresh * 4 / 5 }
func (o *Options) answerEvery() time.Duration  { return o.Refresh / 8 } // at most, to a node whose counts are told anew
func (o *Options) scanTime() time.Duration     { return o.Refresh / 16 }
func (o *Options) dropAfter() time.Duration    { return o.Refresh * 5 / 2 }

// retellFor returns how long a node takes to tell so many torrents anew after a change of the nodes.
func (o *Options) retellFor(torrents uint32) time.Duration {
	d := time.Duration(torrents) * time.Second / retellRate
	return max(leastRetell, min(d, o.Timeout, o.resendWithin()))
}

// The shortest times that make sense.
const (
	leastTimeout = time.Second
	leastRefresh = time.Second
)

// check refuses options that cannot work.
func (o *Options) check() error {
	switch {
	case !record.GoodNode(o.Node):
		return errors.New("the id of a node has 1 to 64 letters, digits, dots, dashes and underlines")
	case !record.GoodNode(o.Cluster):
		return errors.New("the name of a cluster has 1 to 64 letters, digits, dots, dashes and underlines")
	case len(o.Secret) < leastSecret:
		return errors.New("the secret of a cluster has at least 16 bytes")
	case o.Shards < 1 || o.Shards > 1<<16:
		return errors.New("a node has 1 to 65536 shards")
	case o.Timeout < leastTimeout || o.Refresh < leastRefresh:
		return errors.New("the timeout of a node and the time of a refresh are at least 1 s")
	case o.Random == nil || o.Owner == nil || o.Mail == nil || o.Bus == nil:
		return errors.New("the options lack a function")
	}
	return nil
}
