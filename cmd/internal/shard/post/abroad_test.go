package post

import (
	"testing"

	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/shard/conn"
)

// This file proves what the shards' mail does to the bridge.

// TestNewsWakeNobody proves that a bridge which sleeps is woken once by a record for which somebody waits, and sees what came before it; that
// news alone wake it only when they fill more than a quarter of the box, and can be read without that; and that one which only rests is woken
// by nothing else.
func TestNewsWakeNobody(t *testing.T) {
	wakes := 0
	shards, bridge := WireBridge(1, 1<<14, func() { wakes++ })
	p := New(0, shards[0], &conn.Turn{})
	box := bridge.In[0]
	read := func() (n int) {
		for box.Next() != nil {
			n++
		}
		box.Release()
		return n
	}
	f := func(times int, kind record.MailKind, r Fields, wantWakes, wantRecords int) {
		t.Helper()
		bridge.Bells[1].Sleep()
		wakes = 0
		for range times {
			if !p.Bridge(kind, r, true) {
				t.Fatal("the box has no room")
			}
			p.Publish()
		}
		if n := read(); wakes != wantWakes || n != wantRecords {
			t.Errorf("%d records of %v wake the bridge %d times, want %d; it reads %d, want %d", times, kind, wakes, wantWakes, n, wantRecords)
		}
	}
	f(3, record.MailPresence, &record.Presence{}, 0, 3)
	f(1, record.MailArrived, &record.Arrived{}, 0, 1)
	f(2, record.MailSeek, &record.Seek{}, 1, 2)
	f(1, record.MailRelay, &record.Routed{}, 1, 1)
	f(1, record.MailAnswer, &record.Answering{}, 1, 1)
	f(1, record.MailScrape, &record.Scrape{}, 1, 1)
	f(1, record.MailPresence, &record.Presence{}, 0, 1) // what was urgent before makes no haste now
	many := 1 << 14 / 2 / (8 + (1+(&record.Presence{}).Size()+7)&^7)
	f(many, record.MailPresence, &record.Presence{}, many/2, many)
	bridge.Bells[1].Sleep()
	bridge.Bells[1].Awake()
	wakes = 0
	p.Bridge(record.MailAnswer, &record.Answering{}, false)
	if p.Publish(); wakes != 0 || read() != 1 {
		t.Errorf("an answer wakes a bridge that rests %d times", wakes)
	}
	bridge.Bells[1].Sleep()
	p.Bridge(record.MailPresence, &record.Presence{}, true)
	p.Bridge(record.MailAnswer, &record.Answering{}, false)
	p.Bridge(record.MailPresence, &record.Presence{}, true)
	if p.Publish(); wakes != 1 || read() != 3 {
		t.Errorf("an answer between news wakes the bridge %d times", wakes)
	}
}
