package cluster

import (
	"testing"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file proves what the reply to a scrape has.

// TestScrapeInOrder proves that the torrents of a scrape come back in the order in which they were asked for, whichever home is this node and
// whichever answers first: the shard merges them by that.
func TestScrapeInOrder(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(settleTime)
	there, here := a.keyAt("b"), a.keyAt("a")
	for _, k := range []swarm.Key{there, here} {
		b.tell(record.MailPresence, &record.Presence{Key: k, Counts: peers(1, 2)})
	}
	r.pass(settleTime)
	a.fetch(record.MailTold)
	unknown := swarm.ID{9}
	a.tell(record.MailScrape, &record.Scrape{Family: 4, From: addrOn(0), Hashes: []swarm.ID{unknown, there.Hash, here.Hash}})
	r.pass(askTime)
	var got record.Scraped
	for _, m := range a.mails {
		if record.MailKind(m[1]) == record.MailTold && !got.Read(m[2:]) {
			t.Fatal("the reply cannot be read")
		}
	}
	if len(got.Files) != 2 || got.Files[0].Hash != there.Hash || got.Files[1].Hash != here.Hash || got.Files[0].Leechers != 2 {
		t.Errorf("%+v", got)
	}
}
