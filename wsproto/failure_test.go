package wsproto

// This file proves the texts that clients get for messages that fail.

import "testing"

// Each failure has the text that clients have always been sent, and it fits the bound of FailureSize.
func TestFailureTexts(t *testing.T) {
	want := [...]string{"", "invalid peer_id", "invalid to_peer_id", "invalid offer_id", "invalid answer",
		"invalid info_hash", "full scrape is not supported", "Info hash not allowed", "too many torrents on one connection",
		"too many peer ids for one torrent", "too many torrents for one address",
		"tracker is full, try again later", "tracker is overloaded, try again later"}
	if len(want) != int(Failures) {
		t.Fatalf("%d failures, want %d", Failures, len(want))
	}
	for f := range Failures {
		if got := f.String(); got != want[f] || len(got) > maxFailureText {
			t.Errorf("failure %d: %q, want %q", f, got, want[f])
		}
	}
}

// Each rejected message has a name, and is answered with that name or with silence.
func TestRejects(t *testing.T) {
	f := func(r Reject, text string, failure Failure, silent bool) {
		t.Helper()
		if r.String() != text || r.Failure() != failure || r.Silent() != silent {
			t.Errorf("reject %d: text %q, failure %d, silent %t", r, r, r.Failure(), r.Silent())
		}
	}
	f(RejectNone, "", FailureNone, false)
	f(RejectNotJSON, "not JSON", FailureNone, true)
	f(RejectNoAction, "unknown action", FailureNone, true)
	f(RejectInfoHash, "invalid info_hash", FailureNone, true)
	f(RejectPeerID, "invalid peer_id", FailurePeerID, false)
	f(RejectToPeerID, "invalid to_peer_id", FailureToPeerID, false)
	f(RejectOfferID, "invalid offer_id", FailureOfferID, false)
	f(RejectAnswer, "invalid answer", FailureAnswer, false)
	f(RejectScrapeHash, "invalid info_hash", FailureScrapeHash, false)
	f(RejectFullScrape, "full scrape is not supported", FailureFullScrape, false)
	f(RejectKeepalive, "keepalive", FailureNone, true)
}
