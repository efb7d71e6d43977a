package wsproto

// This file owns the texts of "failure reason", which [AppendFailure] sends. A Failure is one byte: a record between
// threads can carry it instead of the text.

// Failure is a "failure reason" for the sender of a message.
type Failure uint8

// The failures. FailureNone stands for silence (see [Reject.Silent]); its text is empty and is never sent.
const (
	FailureNone           Failure = iota
	FailurePeerID                 // announce, answer
	FailureToPeerID               // answer
	FailureOfferID                // answer
	FailureAnswer                 // answer
	FailureScrapeHash             // scrape
	FailureFullScrape             // scrape
	FailureForbidden              // announce, answer, scrape: the access list does not allow the torrent
	FailureConnectionFull         // announce: the connection has as many peers as it may
	FailureTooManyIDs             // announce: the connection has as many peer ids in this torrent as it may
	FailureAddressFull            // announce: the client's address has as many peers as it may
	FailureTableFull              // announce: the tracker has as many peers as it may
	FailureOverloaded             // announce, scrape: the mailbox on the way to the torrent is full
	Failures                      // how many there are
)

// maxFailureText bounds the texts in bytes. [FailureSize] has room for so many bytes even if all need escapes.
const maxFailureText = 64

// failureTexts never change: operators and clients search for them. FailureForbidden has the words of aquatic_ws.
var failureTexts = [Failures]string{
	FailurePeerID:         "invalid peer_id",
	FailureToPeerID:       "invalid to_peer_id",
	FailureOfferID:        "invalid offer_id",
	FailureAnswer:         "invalid answer",
	FailureScrapeHash:     "invalid info_hash",
	FailureFullScrape:     "full scrape is not supported",
	FailureForbidden:      "Info hash not allowed",
	FailureConnectionFull: "too many torrents on one connection",
	FailureTooManyIDs:     "too many peer ids for one torrent",
	FailureAddressFull:    "too many torrents for one address",
	FailureTableFull:      "tracker is full, try again later",
	FailureOverloaded:     "tracker is overloaded, try again later",
}

// String returns the text of the failure, at most 64 bytes of ASCII. It panics if f is not one of the failures.
func (f Failure) String() string { return failureTexts[f] }

// rejectFailures has the failure for each reject. Its gaps are the silent ones.
var rejectFailures = [Rejects]Failure{
	RejectPeerID:     FailurePeerID,
	RejectToPeerID:   FailureToPeerID,
	RejectOfferID:    FailureOfferID,
	RejectAnswer:     FailureAnswer,
	RejectScrapeHash: FailureScrapeHash,
	RejectFullScrape: FailureFullScrape,
}

// silentTexts name the rejects without a failure in logs and metrics.
var silentTexts = [Rejects]string{
	RejectNotJSON:   "not JSON",
	RejectNoAction:  "unknown action",
	RejectInfoHash:  "invalid info_hash",
	RejectKeepalive: "keepalive",
}
