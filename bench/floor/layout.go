package floor

// This file finds the fields of a message. millrace-load writes all messages of a kind with the same layout, so nothing
// has to be parsed: the sizes follow from the length of the message, and the fields are at fixed offsets.

import (
	"bytes"

	"millrace/bench/load"
)

// id is an info hash, peer id or offer id. millrace-load's are written in JSON as they are.
type id = [20]byte

// kind is the kind of a client's message.
type kind uint8

const (
	kindUnknown kind = iota
	kindAnnounce
	kindAnswer
	kindScrape
)

// layouts are the layouts of the messages of a run.
type layouts struct {
	announce load.Layout // with offers
	offers   int         // in it
	stop     load.Layout // an announce without offers
	answer   load.Layout
	scrape   load.Layout
}

func newLayouts() layouts {
	return layouts{stop: load.AnnounceLayout(0, 0), answer: load.AnswerLayout(0), scrape: load.ScrapeLayout()}
}

// of returns kind and layout of a message, and how many offers it has. It is kindUnknown for a message that
// millrace-load does not send.
func (l *layouts) of(m []byte) (k kind, at *load.Layout, offers int) {
	const action, afterPeer = len(`{"action":"`), len(`","`) // where the first letter tells the kind
	peer := l.stop.PeerID + len(id{})
	switch {
	case len(m) == l.scrape.Size && m[action] == 's':
		return kindScrape, &l.scrape, 0
	case len(m) < l.stop.Size || m[action] != 'a':
		return kindUnknown, nil, 0
	case m[peer+afterPeer] == 't':
		return l.ofAnswer(m)
	case m[peer+afterPeer] != 'u':
		return kindUnknown, nil, 0
	case len(m) == l.stop.Size:
		return kindAnnounce, &l.stop, 0
	case len(m) != l.announce.Size && !l.learn(m):
		return kindUnknown, nil, 0
	}
	return kindAnnounce, &l.announce, l.offers
}

func (l *layouts) ofAnswer(m []byte) (kind, *load.Layout, int) {
	if len(m) != l.answer.Size {
		empty := load.AnswerLayout(0)
		if len(m) < empty.Size {
			return kindUnknown, nil, 0
		}
		l.answer = load.AnswerLayout(len(m) - empty.Size)
	}
	return kindAnswer, &l.answer, 0
}

// learn finds out how many offers announces of this length have. That is done once in a run.
func (l *layouts) learn(m []byte) bool {
	offers := bytes.Count(m, []byte(`"offer_id":"`))
	if offers == 0 {
		return false
	}
	sdpBytes := (len(m) - load.AnnounceLayout(offers, 0).Size) / offers
	layout := load.AnnounceLayout(offers, sdpBytes)
	if sdpBytes < 0 || layout.Size != len(m) {
		return false
	}
	l.announce, l.offers = layout, offers
	return true
}

// stops reports whether an announce says that its client leaves. Only announces without offers do, which are short.
func stops(m []byte) bool { return bytes.Contains(m, []byte(`"stopped"`)) }

// The largest numbers of clients and torrents. They bound the arrays that are indexed by them.
const (
	maxClients  = mostConnections
	maxTorrents = 1 << 18
)

// clientNumber returns the number of the client that a peer id names, or none.
func clientNumber(peer *id) uint32 {
	if n := load.PeerIndex(peer[:]); n < maxClients {
		return n
	}
	return none
}

// torrentNumber returns the number of the torrent that an info hash names, or none.
func torrentNumber(hash *id) uint32 {
	if n := load.TorrentIndex(hash[:]); n < maxTorrents {
		return n
	}
	return none
}
