package shard

import "time"

// This file measures the time from an announce to its reply: by the clock readings that the loop makes for each turn anyway.

// replies are the times of the replies to announces, and those of the Step under way that are not counted yet.
type replies struct {
	waited time.Duration // how long the loop may have held back the events of the next Step to gather more
	came   int64         // nanoseconds at which the announces of this Step came
	here   int           // replies of this Step to announces of this Step
	others []int64       // when the announces came that have other replies of this Step, by way of other shards
}

// begin starts a Step.
func (r *replies) begin(now time.Duration) {
	r.came = max(int64(now-r.waited), 1)
	r.waited, r.here, r.others = 0, 0, r.others[:0]
}

// note notes that a reply was queued in this Step.
func (r *replies) note(came int64) {
	switch came {
	case 0: // to an answer
	case r.came:
		r.here++
	default:
		r.others = append(r.others, came)
	}
}

// waiting reports whether replies of this Step wait for its end.
func (r *replies) waiting() bool { return r.here+len(r.others) > 0 }

// countReplies counts the replies of the Step, which are the kernel's now.
func (c *counters) countReplies(now time.Duration) {
	r := &c.replies
	c.Replies.Note(now-time.Duration(r.came), r.here)
	for _, came := range r.others {
		c.Replies.Note(now-time.Duration(came), 1)
	}
}
