package conn

// This file tests the table of states, the table of connections against a model, and the TLS of connections.

import (
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/shard/tlstest"
	"millrace/ring"
	"millrace/swarm"
	"millrace/tlsconn"
)

// bug returns the text of the panic of f, "" without one.
func bug(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

// TestEveryEventInEveryState proves that each event in each state either is one of transitions, and the connection then
// has the state that stands there, or panics with both names; and that no pair of state and event stands there twice.
func TestEveryEventInEveryState(t *testing.T) {
	type cause struct {
		from  State
		event Event
	}
	want := make(map[cause]State)
	for _, row := range transitions {
		if _, twice := want[cause{row.from, row.event}]; twice {
			t.Errorf("%s on %s stands there twice", row.from, eventNames[row.event])
		}
		want[cause{row.from, row.event}] = row.to
	}
	for s := range States {
		for e := range events {
			to, possible := want[cause{s, e}]
			got := impossible
			text := bug(func() { got = s.after(e) })
			switch {
			case possible && (text != "" || got != to):
				t.Errorf("%s on %s: %d, %s, want %s", s, eventNames[e], got, text, to)
			case !possible && !(strings.HasPrefix(text, "BUG: ") && strings.Contains(text, s.String()) &&
				strings.Contains(text, eventNames[e])):
				t.Errorf("%s on %s: %q is no bug", s, eventNames[e], text)
			}
		}
	}
}

// TestEveryStateIsReached proves that a free slot can come to every state, and that every state leads back to a free
// slot: no connection stays for ever. Each event changes some state.
func TestEveryStateIsReached(t *testing.T) {
	reached := func(start State) map[State]bool {
		seen := make(map[State]bool)
		for more := []State{start}; len(more) > 0; more = more[1:] {
			for _, row := range transitions {
				if row.from == more[0] && !seen[row.to] {
					seen[row.to] = true
					more = append(more, row.to)
				}
			}
		}
		return seen
	}
	for s := range States {
		if !reached(Free)[s] {
			t.Errorf("no connection becomes %s", s)
		}
		if !reached(s)[Free] {
			t.Errorf("a connection that is %s stays for ever", s)
		}
	}
	used := make(map[Event]bool)
	for _, row := range transitions {
		used[row.event] = true
	}
	if len(used) != int(events) {
		t.Errorf("of %d events %d change a state", events, len(used))
	}
}

// TestDrawing proves that the drawing of the states in state.go, with the sentence below it, has every state in it and
// no word that is none.
func TestDrawing(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "state.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var drawn []string
	words := regexp.MustCompile(`[a-z]+`)
	for line := range strings.Lines(file.Comments[0].Text()) {
		if strings.HasPrefix(line, "\t") {
			line = strings.ReplaceAll(line, ", and open on another shard", " open")
			drawn = append(drawn, words.FindAllString(line, -1)...)
		}
	}
	for _, name := range stateNames {
		if !slices.Contains(drawn, name) {
			t.Errorf("the drawing does not mention %q", name)
		}
	}
	for _, word := range drawn {
		if !slices.Contains(stateNames[:], word) {
			t.Errorf("the drawing mentions %q, which is no state", word)
		}
	}
}

// TestNames proves that states, events and reasons have names that tell them apart, and that a state that ends does not
// read.
func TestNames(t *testing.T) {
	f := func(things string, names []string) {
		t.Helper()
		sorted := slices.Sorted(slices.Values(names))
		if slices.Contains(names, "") || len(slices.Compact(sorted)) != len(names) {
			t.Errorf("%s are called %q", things, names)
		}
	}
	f("states", stateNames[:])
	f("events", eventNames[:])
	f("reasons", reasonNames[:])
	for s := range States {
		if s.Reads() == s.Ends() {
			t.Errorf("%s: reads %v, ends %v", s, s.Reads(), s.Ends())
		}
	}
	if ReasonNone.Abusive() || ReasonEOF.Abusive() || !ReasonProtocol.Abusive() {
		t.Error("the abusive reasons are others")
	}
	for r := range Reasons {
		if r.Stranger() && !r.Abusive() {
			t.Errorf("the log does not tell the address of strangers that end with %s", r)
		}
	}
}

// modelled is the model of a slot.
type modelled struct {
	state   State
	gen     uint32
	version uint8
}

// check compares a table with its model.
func check(t *testing.T, table *Table, model []modelled, closed *[Reasons]uint64) {
	t.Helper()
	var states [States]int
	var open [2]int
	live, used := 0, uint32(0)
	for i, m := range model {
		if m.gen > 0 {
			used = uint32(i) + 1
		}
		if c := table.At(uint32(i)); c.State() != m.state || c.Gen() != m.gen {
			t.Fatalf("slot %d is %s in generation %d, want %+v", i, c.State(), c.Gen(), m)
		}
		found := table.Find(uint32(i), m.gen)
		if (found != nil) != (m.state != Free) || table.Find(uint32(i), m.gen-1) != nil {
			t.Fatalf("slot %d, %+v: found %v", i, m, found)
		}
		if m.state == Free {
			continue
		}
		live++
		states[m.state]++
		if m.state == Open {
			open[m.version]++
		}
	}
	st := table.Stats()
	if st.Conns != states || st.ByIP[0].Open != open[0] || st.ByIP[1].Open != open[1] || st.Closed != *closed {
		t.Fatalf("the counters are %+v, want states %v, open %v, closed %v", st, states, open, *closed)
	}
	if table.Live() != live || table.Used() != used {
		t.Fatalf("%d live below %d, want %d below %d", table.Live(), table.Used(), live, used)
	}
}

// TestTableAgainstModel proves that after any walk the states, the generations and all counts by state, IP version and
// reason are those of a plain list, and that a slot is empty again after each of its users.
func TestTableAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		table := NewTable(3, 8, false)
		model := make([]modelled, table.Cap())
		var closed [Reasons]uint64
		for range 400 {
			i := uint32(rng.IntN(len(model)))
			m, c := &model[i], table.At(i)
			if m.state != Free && rng.IntN(4) == 0 {
				m.version = uint8(rng.IntN(2))
				table.SetVersion(c, m.version)
			}
			row := transitions[rng.IntN(len(transitions))]
			if row.from != m.state {
				continue
			}
			switch {
			case row.from == Free:
				m.gen += uint32(1 + rng.IntN(3))
				m.version = 0
				entered := table.Enter(ring.Slot{Index: i, Gen: m.gen}, row.event, nil)
				if want := (Conn{state: row.to, gen: m.gen}); entered != c || *c != want {
					t.Fatalf("a new connection is %+v", *c)
				}
			case row.to == Free:
				c.Reason = Reason(rng.IntN(int(Reasons)))
				if row.event == Gone {
					closed[c.Reason]++
				}
				c.Owners, c.OutLen, c.Flags, c.Addr[3] = 1, 2, Held, 4
				table.Leave(i, row.event)
				if *c != (Conn{gen: m.gen}) {
					t.Fatalf("a free slot is %+v", *c)
				}
			default:
				table.Change(c, row.event)
			}
			m.state = row.to
			check(t, table, model, &closed)
		}
	}
}

// TestGenerations proves that a slot's successive users are told apart by every name, that an event of an earlier one
// is a bug, and that the client of a connection that ended for an abusive reason is remembered.
func TestGenerations(t *testing.T) {
	table := NewTable(7, 4, false)
	first, second := ring.Slot{Index: 2, Gen: 5}, ring.Slot{Index: 2, Gen: 6}
	c := table.Enter(first, Accepted, nil)
	c.Addr, c.Port = netip.MustParseAddr("192.0.2.7").As16(), 4711
	if table.Named(first) != c || table.Slot(2) != first || table.Address(2) != (swarm.Addr{Index: 2, Gen: 5, Shard: 7}) {
		t.Errorf("the names are %+v and %+v", table.Slot(2), table.Address(2))
	}
	if c.Client().String() != "192.0.2.7:4711" {
		t.Errorf("the client is %s", c.Client())
	}
	if bug(func() { table.Enter(second, Accepted, nil) }) == "" {
		t.Error("a slot in use was given away")
	}
	c.Reason = ReasonProtocol
	client := c.Client()
	table.Change(c, Closes)
	table.Leave(2, Gone)
	if got := table.Stats().LastClient[ReasonProtocol]; got != client {
		t.Errorf("the last client that broke the protocol is %s", got)
	}
	if bug(func() { table.Named(first) }) == "" {
		t.Error("an event of a free slot is no bug")
	}
	if table.Find(2, 5) != nil {
		t.Error("a connection that has ended is found")
	}
	table.Enter(second, Adopted, nil)
	if bug(func() { table.Named(first) }) == "" || table.Named(second) != c || table.Find(2, 5) != nil ||
		table.Find(2, 6) != c {
		t.Error("the second user of a slot is not told from the first")
	}
	if bug(func() { table.Leave(2, Gone) }) == "" {
		t.Error("an open connection was freed as if it had been closed")
	}
}

// TestTLS proves that a connection with TLS can speak after its handshake, and that one whose TLS is closed or given away
// is one without, which can speak always.
func TestTLS(t *testing.T) {
	slot := ring.Slot{Index: 1, Gen: 1}
	plain := NewTable(0, 2, false)
	plain.Enter(slot, Accepted, nil)
	plain.CloseTLS(1)
	if plain.TLS(1) != nil || plain.TLSPending(1) || !plain.CanSpeak(1) {
		t.Error("a connection without TLS has some")
	}
	engine := tlstest.New(t)
	f := func(x *tlsconn.Conn, speaks bool, take func(*Table)) {
		t.Helper()
		table := NewTable(0, 2, true)
		if c := table.Enter(slot, Accepted, x); table.TLS(1) != x || table.CanSpeak(1) != speaks || table.TLSPending(1) {
			t.Errorf("a connection that is %s with TLS that is %s: speaks %v", c.State(), x.Phase(), !speaks)
		}
		take(table)
		if table.TLS(1) != nil || !table.CanSpeak(1) || table.TLSPending(1) {
			t.Error("the TLS of a connection is still there")
		}
	}
	start := func() *tlsconn.Conn { return engine.Start(1) }
	dial := func() *tlsconn.Conn {
		x, _ := engine.Dial()
		return x
	}
	f(start(), false, func(table *Table) { table.CloseTLS(1) })
	f(dial(), true, func(table *Table) { table.CloseTLS(1) })
	f(dial(), true, func(table *Table) { table.TakeTLS(1) })
	f(dial(), true, func(table *Table) {
		table.Change(table.At(1), Closes)
		table.Leave(1, Gone)
	})
	failed := start()
	if failed.Feed([]byte("GET / HTTP/1.1\r\n")) == nil {
		t.Error("HTTP is taken for TLS")
	}
	f(failed, false, func(table *Table) { table.CloseTLS(1) })
}

// TestTurn proves that a Step's second is never 0, that its ops keep their order behind those of the caller, and that
// nothing of a Step is left in the next one.
func TestTurn(t *testing.T) {
	var turn Turn
	f := func(now time.Duration, second uint32) {
		t.Helper()
		turn.Begin(now, []ring.Op{{Kind: ring.OpWake}})
		if turn.Now != second || turn.Nanos != int64(now) || turn.More {
			t.Errorf("%v: second %d, %d ns, more %v", now, turn.Now, turn.Nanos, turn.More)
		}
		turn.More = true
		turn.Do(ring.Op{Kind: ring.OpSend, Tag: 1})
		turn.Do(ring.Op{Kind: ring.OpClose, Tag: 2})
		ops := turn.End()
		if len(ops) != 3 || ops[0].Kind != ring.OpWake || ops[1].Tag != 1 || ops[2].Tag != 2 || turn.Ops != nil {
			t.Errorf("%v: the ops are %+v", now, ops)
		}
	}
	f(0, 1)
	f(999*time.Millisecond, 1)
	f(time.Second, 2)
	f(2*time.Second, 3)
	f(time.Hour, 5) // an hour without a Step counts two seconds
}
