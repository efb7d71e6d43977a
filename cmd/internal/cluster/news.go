package cluster

import "time"

// This file owns the news for an operator: the core itself writes no log.

// Event is what has happened.
type Event uint8

// The events.
const (
	NodeJoined    Event = iota // a node was heard for the first time
	NodeSilent                 // it was silent for too long
	NodeBye                    // it has said goodbye
	NodeRestarted              // another life of it was heard
	NodeUnlike                 // its clients meet others in its swarms than ours do in ours
	NodeForeign                // a node speaks no version of the protocol that this one does; said once in a while
	TooManyNodes               // a node was not taken in: there are as many as there may be
	NumbersUsedUp              // a node was not taken in: so many have come and gone that this node has to be restarted
	SameNode                   // this node has the id of another one that was there before, and leaves
	OtherSecret                // somebody greets under the cluster's name, with another secret
	events
)

var eventTexts = [events]string{
	NodeJoined:    "has joined",
	NodeSilent:    "is silent and counts as gone",
	NodeBye:       "has left",
	NodeRestarted: "has come back as another process",
	NodeUnlike:    "has another value of protocol.share_swarms_across_ip_versions, so its clients do not meet ours: set it alike on all nodes",
	NodeForeign:   "speaks another version of the protocol and is not heard",
	TooManyNodes:  "is not taken in: there are as many as there may be",
	NumbersUsedUp: "is not taken in: so many have come and gone that this tracker has to be restarted",
	SameNode:      "was there before and has the name of this one",
	OtherSecret:   "has this cluster's name and another secret, and is not heard: all nodes need the same cluster.secret_file",
}

// String returns what a node has done, as it follows "a node".
func (e Event) String() string { return eventTexts[e] }

// News is one event about a node.
type News struct {
	At      time.Duration
	Event   Event
	Node    string // its id
	Address string
}

// news are the events that nobody has fetched. What happens again and again is said once a minute.
type news struct {
	list []News
	said map[said]time.Duration
}

// said is an event that repeats.
type said struct {
	event Event
	node  string
}

// sayAgain is how often a refusal is said that repeats.
const sayAgain = time.Minute

func (n *news) add(now time.Duration, e Event, id, address string) {
	if e >= NodeForeign {
		key := said{e, id}
		if at, ok := n.said[key]; ok && now-at < sayAgain {
			return
		}
		if n.said == nil || len(n.said) >= maxNews {
			n.said = make(map[said]time.Duration)
		}
		n.said[key] = now
	}
	if len(n.list) >= maxNews {
		n.list = n.list[1:]
	}
	n.list = append(n.list, News{now, e, id, address})
}

// News returns what has happened since the last call, the oldest first: at most 64 events.
func (c *Core) News() []News {
	list := c.news.list
	c.news.list = nil
	return list
}
