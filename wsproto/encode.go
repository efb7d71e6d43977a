package wsproto

// This file owns the JSON of the tracker's messages, composed as finished text frames, and the bounds of their sizes.

import (
	"encoding/binary"
	"hash/maphash"
	"strconv"
)

// Upper bounds of frames in bytes, so that a caller can reserve room and append in place. See also [OfferSize],
// [AnswerSize] and [ScrapeReplySize].
const (
	// AnnounceReplySize is for [AppendAnnounceReply].
	AnnounceReplySize = textHeaderGuess + len(announceOpen) + maxIDSize + len(completeKey) + len(incompleteKey) +
		len(intervalKey) + 3*maxUint32Size + len("}")
	// FailureSize is for [AppendFailure] with a reason of up to 64 bytes, as long as that of any [Failure].
	FailureSize = textHeaderGuess + len(failureOpen) + 2 + maxFailureText*len(`\u0000`) + len(failureAnnounce) +
		len(infoHashKey) + maxIDSize + len("}")
)

const maxUint32Size = len("4294967295")

const (
	announceOpen    = `{"action":"announce","info_hash":`
	completeKey     = `,"complete":`
	incompleteKey   = `,"incomplete":`
	downloadedKey   = `,"downloaded":`
	intervalKey     = `,"interval":`
	infoHashKey     = `,"info_hash":`
	peerIDKey       = `,"peer_id":`
	offerKey        = `,"offer":{"type":"offer","sdp":`
	answerKey       = `,"answer":{"type":"answer","sdp":`
	offerIDKey      = `},"offer_id":`
	scrapeOpen      = `{"action":"scrape","files":{`
	scrapeEntry     = `:{"complete":`
	failureOpen     = `{"failure reason":`
	failureAnnounce = `,"action":"announce"`
	failureScrape   = `,"action":"scrape"`
)

// AppendAnnounceReply appends the reply to an announce as one text frame: the seeders and leechers of the torrent, and
// the interval until the next announce in seconds. The numbers are bare integers: some clients read nothing else.
func AppendAnnounceReply(dst []byte, hash *ID, complete, incomplete, interval uint32) []byte {
	at := len(dst)
	dst = append(beginText(dst), announceOpen...)
	dst = appendID(dst, hash)
	dst = strconv.AppendUint(append(dst, completeKey...), uint64(complete), 10)
	dst = strconv.AppendUint(append(dst, incompleteKey...), uint64(incomplete), 10)
	dst = strconv.AppendUint(append(dst, intervalKey...), uint64(interval), 10)
	return endText(append(dst, '}'), at)
}

// AppendOffer appends, as one text frame, an offer for the peer that is to answer it. from is the peer that made it.
// sdp is a JSON string literal from [Decoder.Decode], quotes included, and is copied unchanged.
func AppendOffer(dst []byte, hash, from, offerID *ID, sdp []byte) []byte {
	return appendRelay(dst, hash, from, offerID, offerKey, sdp)
}

// OfferSize bounds the frame of [AppendOffer] for an sdp literal of sdpLen bytes.
func OfferSize(sdpLen int) int { return relaySize(offerKey, sdpLen) }

// AppendAnswer appends, as one text frame, an answer for the peer that made the offer. from is the peer that answers.
// sdp is as for [AppendOffer].
func AppendAnswer(dst []byte, hash, from, offerID *ID, sdp []byte) []byte {
	return appendRelay(dst, hash, from, offerID, answerKey, sdp)
}

// AnswerSize bounds the frame of [AppendAnswer] for an sdp literal of sdpLen bytes.
func AnswerSize(sdpLen int) int { return relaySize(answerKey, sdpLen) }

func appendRelay(dst []byte, hash, from, offerID *ID, key string, sdp []byte) []byte {
	at := len(dst)
	dst = append(beginText(dst), announceOpen...)
	dst = appendID(dst, hash)
	dst = appendID(append(dst, peerIDKey...), from)
	dst = append(append(dst, key...), sdp...)
	dst = appendID(append(dst, offerIDKey...), offerID)
	return endText(append(dst, '}'), at)
}

func relaySize(key string, sdpLen int) int {
	return maxTextHeader + len(announceOpen) + len(peerIDKey) + len(key) + sdpLen + len(offerIDKey) + 3*maxIDSize +
		len("}")
}

// ScrapeFile is one torrent in a scrape reply: its seeders, its leechers, and its completed downloads.
type ScrapeFile struct {
	Hash                             ID
	Complete, Incomplete, Downloaded uint32
}

// AppendScrapeReply appends the reply to a scrape as one text frame. The hashes are keys of a JSON object, so only the
// first of several files with the same hash is written. There are at most [MaxScrapeFiles].
func AppendScrapeReply(dst []byte, files []ScrapeFile) []byte {
	at := len(dst)
	dst = append(beginText(dst), scrapeOpen...)
	if len(files) > fewFiles {
		dst = appendManyFiles(dst, files)
	} else {
		for i := range files {
			if !contains(files[:i], &files[i].Hash) {
				dst = appendFile(dst, &files[i], i == 0)
			}
		}
	}
	return endText(append(dst, "}}"...), at)
}

func appendManyFiles(dst []byte, files []ScrapeFile) []byte {
	var seen hashSet
	for i := range files {
		if seen.add(files, i) {
			dst = appendFile(dst, &files[i], i == 0)
		}
	}
	return dst
}

func appendFile(dst []byte, f *ScrapeFile, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = appendID(dst, &f.Hash)
	dst = strconv.AppendUint(append(dst, scrapeEntry...), uint64(f.Complete), 10)
	dst = strconv.AppendUint(append(dst, incompleteKey...), uint64(f.Incomplete), 10)
	dst = strconv.AppendUint(append(dst, downloadedKey...), uint64(f.Downloaded), 10)
	return append(dst, '}')
}

// ScrapeReplySize bounds the frame of [AppendScrapeReply] for the number of files.
func ScrapeReplySize(files int) int {
	const file = len(",") + maxIDSize + len(scrapeEntry) + len(incompleteKey) + len(downloadedKey) + 3*maxUint32Size +
		len("}")
	return maxTextHeader + len(scrapeOpen) + files*file + len("}}")
}

// hashSet tells whether a hash has come before: a table with open addressing of indices of files plus one. Its hash function
// has a key, so a client cannot choose info hashes that collide.
type hashSet [2 * MaxScrapeFiles]uint16

// MaxScrapeFiles is how many files [AppendScrapeReply] takes.
const MaxScrapeFiles = 4096

// fewFiles are compared with one another faster than a hashSet is cleared.
const fewFiles = 8

var hashSetSeed = maphash.MakeSeed()

// add adds the file with index i and reports whether none with its hash has been added before.
func (s *hashSet) add(files []ScrapeFile, i int) bool {
	hash := &files[i].Hash
	for at := maphash.Bytes(hashSetSeed, hash[:]); ; at++ {
		switch place := &s[at%uint64(len(s))]; {
		case *place == 0:
			*place = uint16(i + 1)
			return true
		case files[*place-1].Hash == *hash:
			return false
		}
	}
}

func contains(files []ScrapeFile, hash *ID) bool {
	for i := range files {
		if files[i].Hash == *hash {
			return true
		}
	}
	return false
}

// AppendFailure appends, as one text frame, the reply to a message that cannot be served. hash is nil if the message
// had no single valid one. ActionNone leaves the action out. reason is UTF-8: the text of a [Failure], or any other.
func AppendFailure(dst []byte, action Action, hash *ID, reason string) []byte {
	at := len(dst)
	dst = append(beginText(dst), failureOpen...)
	dst = appendText(dst, reason)
	switch action {
	case ActionAnnounce, ActionAnswer:
		dst = append(dst, failureAnnounce...)
	case ActionScrape:
		dst = append(dst, failureScrape...)
	}
	if hash != nil {
		dst = appendID(append(dst, infoHashKey...), hash)
	}
	return endText(append(dst, '}'), at)
}

// appendText appends s, which must be UTF-8, as a JSON string literal.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c < 0x80 {
			l := charLiterals[c]
			dst = binary.LittleEndian.AppendUint64(dst, l)[:len(dst)+int(l>>56)]
		} else {
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
