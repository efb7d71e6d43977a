package swarm

// This file proves that access lists hold exactly their hashes, and that a Table serves no forbidden torrent.

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const (
	hexA = "aaaabbbbccccddddeeeeaaaabbbbccccddddeeee"
	hexB = "0123456789ABCDEFabcdef000000000000000001"
)

func fromHex(t testing.TB, digits string) (id ID) {
	t.Helper()
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		t.Fatal(err)
	}
	return id
}

// Hashes are read in lines of every allowed form, and nothing else is in the list.
func TestParseAccessList(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		l, err := ParseAccessList([]byte(text), "list", nil)
		if err != nil {
			t.Errorf("%q: %s", text, err)
			return
		}
		if l.Len() != len(want) {
			t.Errorf("%q: %d hashes, want %d", text, l.Len(), len(want))
		}
		for _, digits := range want {
			id := fromHex(t, digits)
			if !l.Has(&id) {
				t.Errorf("%q: %s is missing", text, digits)
			}
			if id[19] ^= 0x80; l.Has(&id) {
				t.Errorf("%q: %x is in it", text, id)
			}
		}
	}
	f("")
	f("\n \r\n\t\n\n")
	f(hexA, hexA)
	f(hexA+"\n", hexA)
	f(hexA+"\r\n"+hexB+"\r\n", hexA, hexB)
	f("\n\n  "+hexA+"\t\u00a0\n\u2003"+hexB+"\v", hexA, hexB)
	f(strings.ToUpper(hexA)+"\n"+hexA+"\n"+strings.ToLower(hexB)+"\n"+hexB, hexA, hexB)
	f(strings.Repeat("0", 40)+"\n"+strings.Repeat("f", 40), strings.Repeat("0", 40), strings.Repeat("f", 40))
}

// The error names each bad line by its number and its fault, and does not repeat it. It names ten at most.
func TestParseAccessListErrors(t *testing.T) {
	const rule = "; each line must be an info hash of 40 hexadecimal digits"
	f := func(text string, want ...string) {
		t.Helper()
		l, err := ParseAccessList([]byte(text), "the/list.txt", nil)
		if l != nil || err == nil {
			t.Errorf("%q: no error", text)
			return
		}
		for i := range want {
			want[i] = "the/list.txt:" + want[i] + rule
		}
		if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
			t.Errorf("%q: got\n%q, want\n%q", text, got, want)
		}
	}
	f("a", "1: there are 1 digits")
	f(hexA+"\n\n"+hexA[1:], "3: there are 39 digits")
	f(hexA+hexA, "1: there are 80 digits")
	f(hexA+"0\r\n"+hexA+"\r\n"+hexB[:38], "1: there are 41 digits", "3: there are 38 digits")
	f(hexA[:20]+" "+hexA[20:], "1: character 21 is ' '")
	f(hexA[:39]+"g", "1: character 40 is 'g'")
	f(hexA[:39]+"ö", "1: character 40 is 'ö'")
	f("# comment", "1: character 1 is '#'")
	f("\ufeff"+hexA, `1: character 1 is '\ufeff'`)
	f("-----BEGIN PRIVATE KEY-----\nMIGH", "1: character 1 is '-'", "2: character 1 is 'M'")
	f("\x00\xff", `1: character 1 is '\x00'`)
	f("a\xff", "1: character 2 is '\ufffd'")

	_, err := ParseAccessList([]byte(strings.Repeat("x\n", 1000)), "list", nil)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 11 || lines[10] != "list: there may be more bad lines, these are 10" {
		t.Errorf("1000 bad lines: %q", lines)
	}
	_, err = ParseAccessList([]byte(strings.Repeat("x\n", 10)), "list", nil)
	if lines = strings.Split(err.Error(), "\n"); len(lines) != 10 {
		t.Errorf("10 bad lines: %q", lines)
	}
	if l, err := parseAccessList([]byte(hexA+"\n"+hexB), "list", pieces{}, 2); err != nil || l.Len() != 2 {
		t.Errorf("2 of 2 hashes: %v", err)
	}
	if _, err = parseAccessList([]byte(hexA+"\n"+hexB), "list", pieces{}, 1); err == nil ||
		err.Error() != "list:2: an access list can hold no more than 1 info hashes" {
		t.Errorf("2 of 1 hashes: %v", err)
	}
}

// A list of any size, with hashes spread evenly or all beginning alike, holds its hashes and no others, not
// even their neighbours, and takes no more memory than documented.
func TestAccessListHoldsWhatItWasGiven(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	spread := func(i int) (id ID) {
		binary.BigEndian.PutUint64(id[:], random.Uint64())
		binary.BigEndian.PutUint64(id[12:], uint64(i))
		return id
	}
	alike := func(i int) (id ID) {
		copy(id[:], "all alike at first")
		binary.BigEndian.PutUint16(id[18:], uint16(i))
		return id
	}
	last := func(i int) (id ID) {
		copy(id[:], bytes.Repeat([]byte{0xff}, 20))
		binary.BigEndian.PutUint32(id[4:], uint32(i))
		return id
	}
	f := func(n int, make func(int) ID) {
		t.Helper()
		var text []byte
		ids := map[ID]bool{}
		for i := range n {
			id := make(i)
			ids[id] = true
			text = append(hex.AppendEncode(text, id[:]), '\n')
		}
		l, err := ParseAccessList(text, "list", nil)
		if err != nil || l.Len() != len(ids) {
			t.Fatalf("%d of %d hashes, error %v", l.Len(), len(ids), err)
		}
		for id := range maps.Keys(ids) {
			if !l.Has(&id) {
				t.Fatalf("of %d hashes, %x is missing", n, id)
			}
			for _, change := range []int{0, 3, 19} {
				for _, by := range []byte{1, 0xff} {
					other := id
					other[change] += by
					if l.Has(&other) != ids[other] {
						t.Fatalf("of %d hashes, %x is there: %t", n, other, !ids[other])
					}
				}
			}
		}
		if most := 23*len(ids) + 48; l.Bytes() > most {
			t.Errorf("%d hashes take %d bytes, want at most %d", len(ids), l.Bytes(), most)
		}
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 100, 1000, 30_000} {
		f(n, spread)
		f(n, alike)
		f(n, last)
		f(n, func(i int) ID { return spread(i % 3) })
		f(n, func(i int) ID { return alike(i % 3) })
	}
}

// The work is divided: rest is called after each piece, both while lines are read and while hashes are sorted
// that all begin alike. The list is the same as without rests.
func TestParseAccessListRests(t *testing.T) {
	f := func(n int, make func(i int) ID, least int) {
		t.Helper()
		var text []byte
		for i := range n {
			id := make(i)
			text = append(hex.AppendEncode(text, id[:]), '\n')
		}
		rests := 0
		l, err := ParseAccessList(text, "list", func() { rests++ })
		if err != nil || l.Len() != n {
			t.Fatalf("%d of %d hashes, error %v", l.Len(), n, err)
		}
		if rests < least {
			t.Errorf("%d rests in the reading of %d hashes, want at least %d", rests, n, least)
		}
	}
	const perLine = pieceOfWork / parseCost // lines between two rests
	mixed := func(i int) (id ID) {
		binary.BigEndian.PutUint32(id[:], uint32(i)*2654435761)
		return id
	}
	f(0, mixed, 0)
	f(perLine-1, mixed, 0)
	f(20*perLine, mixed, 20+6) // a third as long for the rest
	f(20*perLine, func(i int) (id ID) {
		binary.BigEndian.PutUint32(id[16:], uint32(i)*2654435761)
		return id
	}, 20+20) // the halving of n hashes takes at least n comparisons each time
}

// Each mode serves the right torrents, also without a rule and without a list.
func TestAccessModes(t *testing.T) {
	a, b := fromHex(t, hexA), fromHex(t, hexB)
	list, err := ParseAccessList([]byte(hexA), "list", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(access *Access, wantA, wantB bool) {
		t.Helper()
		table := New(testOptions())
		table.SetAccess(access)
		if access.Allows(&a) != wantA || access.Allows(&b) != wantB ||
			table.Allowed(&a) != wantA || table.Allowed(&b) != wantB {
			t.Errorf("%+v: listed %t, other %t", access, access.Allows(&a), access.Allows(&b))
		}
	}
	f(nil, true, true)
	f(&Access{}, true, true)
	f(&Access{List: list}, true, true)
	f(&Access{Mode: AccessAllow, List: list}, true, false)
	f(&Access{Mode: AccessDeny, List: list}, false, true)
	f(&Access{Mode: AccessAllow}, false, false)
	f(&Access{Mode: AccessDeny}, true, true)
	if list = nil; list.Len() != 0 || list.Bytes() != 0 || list.Has(&a) {
		t.Error("a nil list is not empty")
	}
}

// denyAll is a rule that forbids every torrent.
var denyAll = &Access{Mode: AccessAllow}

// A forbidden torrent is served in no way from the moment of the rule on. Its peers stay counted until the
// sweep comes to them. If the rule goes before that, nothing has changed.
func TestForbiddenTorrent(t *testing.T) {
	table := New(testOptions())
	for i := range 3 {
		a := announceOf(i, uint32(i), LeftMore, EventUpdate)
		a.Offers = []ID{testID('o', 1), testID('o', 2)}
		table.Announce(0, &a, nil)
	}
	before := table.Counts()
	table.SetAccess(denyAll)
	again := announceOf(0, 0, LeftZero, EventStopped)
	other := announceOf(7, 7, LeftZero, EventCompleted)
	other.Offers = []ID{testID('o', 1)}
	for _, a := range []Announce{again, other} {
		if r, targets := table.Announce(0, &a, nil); r != (Result{Status: StatusForbidden}) || targets != nil {
			t.Errorf("got %+v and targets %v", r, targets)
		}
	}
	answer := Answer{Key: again.Key, Peer: testID('p', 0), From: again.From, To: testID('p', 1), Offer: testID('o', 1)}
	if _, status := table.Answer(0, &answer); status != AnswerForbidden {
		t.Errorf("the answer is %s", status)
	}
	if c, i, d := table.Scrape(again.Key); c+i+d != 0 {
		t.Errorf("scrape is %d, %d, %d", c, i, d)
	}
	if got := table.Counts(); got != before {
		t.Errorf("counts are %+v, were %+v", got, before)
	}
	table.SetAccess(nil)
	for table.Sweep(0, 10) > 0 {
		continue
	}
	if got := table.Counts(); got != before {
		t.Errorf("after the rule has gone counts are %+v, were %+v", got, before)
	}
	if r, _ := table.Announce(0, &again, nil); r.Status != StatusRemoved {
		t.Errorf("then stopping is %s", r.Status)
	}
}

// The peers of forbidden torrents go in slices no larger than the budget, for swarms of any size, and within
// one pass of Len entries. Those of other torrents stay.
func TestForbiddenPeersGoInBoundedSlices(t *testing.T) {
	const peers, swarms, perConn, budget = 5000, 50, 100, 64
	table := New(testOptions())
	fill(table, peers, swarms, perConn)
	for i := range 3000 { // one large swarm among the small ones
		a := Announce{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', i), From: Addr{Index: 9999, Shard: uint16(i / 900)}}
		table.Announce(0, &a, nil)
	}
	var hash ID
	var list []byte
	for i := range uint32(swarms / 2) {
		binary.LittleEndian.PutUint32(hash[:], i)
		list = fmt.Appendf(list, "%x\n", hash)
	}
	l, err := ParseAccessList(list, "list", nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Sweep(1, table.Len())
	table.SetAccess(&Access{Mode: AccessAllow, List: l})
	const left = peers / 2
	total, most := 0, table.Len()
	for {
		work := table.Sweep(1, budget)
		if work == 0 {
			break
		}
		if total += work; work > budget || total > most {
			t.Fatalf("touched %d entries with a budget of %d, %d so far of at most %d", work, budget, total, most)
		}
	}
	checkTable(t, table)
	c := table.Counts()
	if c.Peers != left || c.Torrents != swarms/2 || c.PeersForbidden != peers+3000-left || c.PeersAgedOut != 0 {
		t.Fatalf("left are %+v", c)
	}
	// The search does not begin again for peers that come now.
	if table.SetAccess(nil); table.Len() <= int(table.peers.high) {
		t.Errorf("after a new rule a pass touches %d entries", table.Len())
	}
}

// Rules that come faster than they can be enforced keep neither forbidden nor aged peers for ever.
func TestRulesThatComeOften(t *testing.T) {
	const peers, swarms = 400, 200
	f := func(rule *Access, now uint32) {
		t.Helper()
		table := New(testOptions())
		fill(table, peers, swarms, 1)
		for range 4 * (peers + swarms) / 5 {
			table.SetAccess(rule)
			table.Sweep(now, 10)
		}
		if n := table.Counts().Peers; n != 0 {
			t.Errorf("%d peers are left", n)
		}
	}
	f(denyAll, 1)
	f(&Access{Mode: AccessDeny}, testOptions().MaxQuietAge)
}

// Has allocates nothing, nor do announces and sweeps under a rule.
func TestAccessAllocatesNothing(t *testing.T) {
	table := New(testOptions())
	fill(table, 1000, 100, 1)
	var list []byte
	for i := range 100 {
		list = fmt.Appendf(list, "%x\n", testID('h', i))
	}
	l, err := ParseAccessList(list, "list", nil)
	if err != nil {
		t.Fatal(err)
	}
	rule := &Access{Mode: AccessDeny, List: l}
	a := Announce{Key: Key{Hash: testID('h', 1)}, Peer: testID('p', 1)}
	if n := testing.AllocsPerRun(1000, func() {
		if !l.Has(&a.Key.Hash) {
			t.Fatal("the hash is not listed")
		}
		table.SetAccess(rule)
		table.Announce(1, &a, nil)
		table.Sweep(1, 20)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// For any file, the parser accepts exactly the lines that trimming and encoding/hex accept, and the list
// holds exactly their hashes.
func FuzzParseAccessList(f *testing.F) {
	f.Add([]byte(hexA + "\n" + hexB))
	f.Add([]byte("\r\n\t" + hexA + " \r\n\n" + hexA))
	f.Add([]byte(hexA[:39] + "\n" + hexA + "0\n#\n\xff\n" + hexA[:39] + "é"))
	f.Add([]byte("\u00a0" + hexA + "\u3000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		want := map[ID]bool{}
		bad := 0
		for line := range strings.SplitSeq(string(data), "\n") {
			var id ID
			switch line = strings.TrimSpace(line); {
			case line == "":
			case len(line) != 40:
				bad++
			default:
				if _, err := hex.Decode(id[:], []byte(line)); err != nil {
					bad++
				} else {
					want[id] = true
				}
			}
		}
		l, err := ParseAccessList(data, "list", nil)
		if (err != nil) != (bad > 0) || (l == nil) != (bad > 0) {
			t.Fatalf("%d bad lines, but the error is %v", bad, err)
		}
		if err != nil {
			if n := strings.Count(err.Error(), "\n") + 1; n != min(bad, maxAccessErrors+1) {
				t.Fatalf("%d bad lines and %d in the error", bad, n)
			}
			return
		}
		if l.Len() != len(want) {
			t.Fatalf("%d hashes, want %d", l.Len(), len(want))
		}
		for id := range want {
			if !l.Has(&id) {
				t.Fatalf("%x is missing", id)
			}
		}
	})
}
