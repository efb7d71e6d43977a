package trace

import (
	"strings"
	"testing"
	"time"
)

// This file proves what operators read.

// TestAppendText proves the text of each kind of record.
func TestAppendText(t *testing.T) {
	var names Names
	frames := names.Add("control", "offer")
	reasons := names.Add("", "too many torrents")
	conn := Conn{Index: 17, Gen: 3, Shard: 0}
	four, six := address("192.0.2.1"), address("2001:db8::1")
	hash := [8]byte{0x6f, 0x2a, 0, 0, 0, 0, 0, 1}
	f := func(r Record, want string) {
		t.Helper()
		if got := string(AppendText(nil, []Record{r}, &names)); got != want+"\n" {
			t.Errorf("got  %swant %s", got, want)
		}
	}
	f(Record{At: 12003417 * time.Microsecond, Conn: conn, Client: four, Port: 50123, Event: Announce, N: 3, Hash: hash,
		Decision: Mailed, To: 2},
		"12.003417s shard 0 conn 17.3 192.0.2.1:50123 announce with 3 offers, torrent 6f2a000000000001 → mailed to shard 2")
	f(Record{Conn: conn, By: 2, Event: Mail, What: frames + 1, N: 0, Hash: hash, Decision: Relayed, To: 4},
		"0.000000s shard 2 for shard 0 conn 17.3 offer mailed by shard 0, torrent 6f2a000000000001 → served, 4 relayed")
	f(Record{At: 25*time.Hour + time.Nanosecond, Conn: conn, Client: six, Port: 1, Event: Announce, Decision: Refused,
		Why: reasons + 1},
		"90000.000000s shard 0 conn 17.3 [2001:db8::1]:1 announce with 0 offers → refused: too many torrents")
	f(Record{Conn: conn, Client: four, Port: 2, Event: Closed}, "0.000000s shard 0 conn 17.3 192.0.2.1:2 closed")
	f(Record{By: 1, Client: four, Port: 2, Event: Accepted, Decision: Refused},
		"0.000000s shard 1 192.0.2.1:2 accepted → refused")
	f(Record{Conn: conn, Event: Frame, What: frames, N: 9, Decision: MailFull, To: 5},
		"0.000000s shard 0 conn 17.3 frame to send: control of 9 bytes → dropped, the mailbox to shard 5 is full")
	f(Record{Event: Order, What: 77, Decision: 99, Why: 77}, "0.000000s shard 0 order: unknown → unknown: unknown")
	f(Record{Event: 255}, "0.000000s shard 0 unknown")
	want := "before\n" + strings.Repeat("0.000000s shard 0 \n", 2)
	if got := string(AppendText([]byte("before\n"), make([]Record, 2), nil)); got != want {
		t.Errorf("two empty records: %q", got)
	}
}

// TestWords proves that every event and every decision has a name of its own and a text, and that an event is found by
// its name.
func TestWords(t *testing.T) {
	f := func(table []word) {
		t.Helper()
		seen := make(map[string]int)
		for k, w := range table {
			if k == 0 {
				continue
			}
			if first, again := seen[w.name]; again || w.name == "" || w.text == "" {
				t.Errorf("entry %d is %+v, entry %d too", k, w, first)
			}
			seen[w.name] = k
		}
	}
	f(eventWords[:])
	f(decisionWords[:])
	for k, name := range EventNames() {
		if e, ok := ParseEvent(name); !ok || int(e) != k+1 {
			t.Errorf("%s is event %d, %v", name, e, ok)
		}
	}
	if e, ok := ParseEvent(""); ok {
		t.Errorf("no name is event %d", e)
	}
}

// TestNames proves that names follow the number that Add returns, and that 0 and numbers beyond are unknown.
func TestNames(t *testing.T) {
	var n Names
	a, b := n.Add("a0", "a1"), n.Add("b0")
	for want, number := range map[string]Name{"a0": a, "a1": a + 1, "b0": b} {
		if got := n.Text(number); got != want {
			t.Errorf("%d: got %q, want %q", number, got, want)
		}
	}
	if n.Text(0) != "unknown" || n.Text(b+1) != "unknown" || (*Names)(nil).Text(1) != "unknown" {
		t.Error("a number without a name has one")
	}
}
