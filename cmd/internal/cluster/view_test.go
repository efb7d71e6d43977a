package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
)

// This file proves which nodes are taken for live, and by which numbers.

// TestNodesMeet proves that nodes meet within a moment, get numbers in the order in which they come, and tell their shards and operators.
func TestNodesMeet(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	a.Load(5, 6)
	r.pass(time.Second)
	b := r.join("b")
	r.pass(300 * time.Millisecond)
	c := r.join("c")
	r.pass(300 * time.Millisecond)
	if got := []uint16{a.numberOf("b"), a.numberOf("c"), b.numberOf("a"), b.numberOf("c"), c.numberOf("a") + c.numberOf("b")}; !slices.Equal(got, []uint16{1, 2, 1, 2, 3}) {
		t.Errorf("the numbers are %v", got)
	}
	if got := a.fetch(record.MailNodes); !slices.Equal(got, []string{
		"0 {Live:[1]}", "1 {Live:[1]}", "2 {Live:[1]}", "0 {Live:[1 2]}", "1 {Live:[1 2]}", "2 {Live:[1 2]}",
	}) {
		t.Errorf("the shards are told %q", got)
	}
	if n := b.Nodes()[0]; n.ID != "a" || n.Address != "a here" || n.Connections != 5 || n.Torrents != 6 {
		t.Errorf("b knows %+v", n)
	}
	if news := a.News(); len(news) != 2 || news[0].Event != NodeJoined || news[0].Node != "b" || news[1].Node != "c" || len(a.News()) != 0 {
		t.Errorf("the news are %+v", news)
	}
	a.mails = nil
	r.pass(2 * time.Second)
	if got := a.fetch(record.MailResend); !slices.Equal(got, []string{"0 {Within:250}", "1 {Within:250}", "2 {Within:250}"}) {
		t.Errorf("after both have come the shards are asked %q", got)
	}
	r.pass(49 * time.Second)
	if got := a.fetch(record.MailResend); !slices.Equal(got, []string{"0 {Within:25000}", "1 {Within:25000}", "2 {Within:25000}"}) {
		t.Errorf("half a refresh later the shards are asked %q", got)
	}
}

// TestNodesGo proves that a node that says goodbye is gone at once, and one that is silent after the timeout; and that either of them, heard
// again, has a new number.
func TestNodesGo(t *testing.T) {
	r := newRig(t)
	a, b, c := r.join("a"), r.join("b"), r.join("c")
	r.pass(time.Second)
	a.News()
	before := []uint16{a.numberOf("b"), a.numberOf("c")}
	b.Bye(r.now)
	r.deliver()
	if a.numberOf("b") != 0 || a.numberOf("c") == 0 {
		t.Errorf("after a goodbye there are %+v", a.Nodes())
	}
	r.cores = r.cores[:1] // c falls silent
	r.pass(a.o.Timeout - 2*time.Second)
	if a.numberOf("c") == 0 {
		t.Error("a node is gone before the timeout")
	}
	r.pass(3 * time.Second)
	if len(a.Nodes()) != 0 {
		t.Errorf("after the timeout there are %+v", a.Nodes())
	}
	if news := a.News(); len(news) != 2 || news[0].Event != NodeBye || news[1].Event != NodeSilent {
		t.Errorf("the news are %+v", news)
	}
	r.cores = append(r.cores, c)
	r.pass(2 * time.Second)
	if n := a.numberOf("c"); n == 0 || n == before[1] || n == before[0] {
		t.Errorf("a node that is back has the number %d, before there were %v", n, before)
	}
	if st := a.Stats(); st.Joined != 3 || st.Left != 2 || st.Silent != 1 || st.Numbers != maxNumbers-3 {
		t.Errorf("counted: %+v", st)
	}
}

// TestLateGreetings proves that a greeting which is late or comes again raises no node that is gone, and takes no later life's place.
func TestLateGreetings(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	r.pass(3 * time.Second)
	b.hello()
	kept := b.out
	r.deliver()
	late := func() {
		t.Helper()
		for _, m := range kept {
			a.FromBus(r.now, m.subject, m.msg)
		}
	}
	b.Bye(r.now)
	bye := b.out
	r.deliver()
	unaware := r.add("c", nil) // it hears of the goodbye before it has met the node
	for _, m := range append(bye, kept...) {
		unaware.FromBus(r.now, m.subject, m.msg)
	}
	if len(unaware.Nodes()) != 0 || unaware.Stats().Flaws[FlawStale] != 1 {
		t.Error("a node joins that has said goodbye")
	}
	if late(); a.numberOf("b") != 0 {
		t.Error("a greeting that comes again raises the dead")
	}
	b.closed = false
	b.hello() // it is sent before the next life begins, and arrives after
	kept, b.out = b.out, nil
	r.cores = r.cores[:1]
	next := r.join("b")
	r.pass(time.Second)
	number := a.numberOf("b")
	if late(); a.numberOf("b") != number || number == 0 {
		t.Errorf("a greeting of an earlier life takes the place of the later one, %d: %+v, %+v", number, a.Nodes(), a.News())
	}
	// A node that is killed and comes back at once takes the place of its earlier life.
	r.cores = r.cores[:1]
	r.now += 100 * time.Millisecond
	after := r.join("b")
	r.pass(100 * time.Millisecond)
	if got := a.numberOf("b"); got == number || a.view.byID["b"].from != after.seal.from || len(a.Nodes()) != 1 {
		t.Errorf("the number of a node that came back is %d as before, the nodes are %+v", got, a.Nodes())
	}
	if n := next.numberOf("a"); n != 1 {
		t.Error("the earlier life never met the other node")
	}
}

// TestStreamsGoOn proves that the message in which a node was met does not count twice; that a node which comes back within its life is heard
// from there on where it was; and that the later of two guesses at the beginning of a life gives way.
func TestStreamsGoOn(t *testing.T) {
	r := newRig(t)
	a, b := r.join("a"), r.join("b")
	b.hello()
	kept := b.out
	r.deliver()
	f := func(what string) {
		t.Helper()
		before, in := a.Stats().Flaws[FlawStale], a.Stats().In
		for _, m := range kept {
			a.FromBus(r.now, m.subject, m.msg)
		}
		if st := a.Stats(); st.Flaws[FlawStale] != before+uint64(len(kept)) || st.In != in || len(kept) == 0 {
			t.Errorf("%s: counted %+v", what, st)
		}
	}
	f("the greeting in which a node was met")
	r.pass(time.Second)
	b.tell(record.MailPresence, &record.Presence{Key: b.keyAt("a"), Counts: peers(1, 1)})
	r.now += batchTime
	b.Flush(r.now)
	kept = b.out
	r.deliver()
	a.left(a.view.byID["b"], NodeSilent)
	r.pass(time.Second)
	f("a message from before the node was silent")

	n := node{began: 10 * time.Second}
	for _, age := range []uint64{3000, 1000, 2000} {
		n.greet(12*time.Second, &record.Hello{Age: age})
	}
	if n.began != 9*time.Second {
		t.Errorf("a life began at %v", n.began)
	}
}

// TestSameID proves that of two nodes with one id the second learns that it has to stop, and that a node which
// comes back after a sudden end does not stop because of what its earlier life has sent.
func TestSameID(t *testing.T) {
	r := newRig(t)
	first, other := r.join("a"), r.join("b")
	r.pass(2 * time.Second)
	second := r.join("a")
	r.pass(time.Second)
	if err := second.Err(); err == nil || !strings.Contains(err.Error(), `has the id "a" already (a here)`) || first.Err() != nil {
		t.Errorf("the first says %v, the second %v", first.Err(), second.Err())
	}
	if news := second.News(); len(news) == 0 || news[len(news)-1].Event != SameNode {
		t.Errorf("the news are %+v", news)
	}
	if got := second.fetch(record.MailNodes); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "{Live:[]}") || len(second.Nodes()) != 0 {
		t.Errorf("its shards, which may have clients, know of others: %q", got)
	}
	r.pass(2 * time.Second)
	if o := other.view.byID["a"]; o == nil || o.from != first.seal.from {
		t.Error("the others do not hold the first for the one that is there")
	}

	first.hello()
	kept := first.out
	r.cores = []*rigNode{other}
	back := r.join("a")
	r.pass(time.Second)
	for _, m := range kept {
		back.FromBus(r.now, m.subject, m.msg)
	}
	r.pass(time.Second)
	if back.Err() != nil {
		t.Errorf("a node that came back has stopped: %v", back.Err())
	}
}

// TestRefusedNodes proves that a node with no common version is not taken in, nor one more than there may be, nor any when the numbers are
// used up; and that an operator hears of it once.
func TestRefusedNodes(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	greet := func(id string, least uint16) {
		n := r.add(id, nil)
		n.at(r.now)
		h := record.Hello{Node: id, Least: least, Most: least, Age: 1000}
		for range 2 {
			a.FromBus(r.now, a.all, n.seal.close(a.all, record.Incarnation{}, h.Append(record.AppendFrame(nil, record.KindHello, h.Size()))))
		}
	}
	f := func(want Event) {
		t.Helper()
		if news := a.News(); len(news) != 1 || news[0].Event != want {
			t.Errorf("want %v, the news are %+v", want, news)
		}
	}
	greet("old", leastProtocol-1)
	f(NodeForeign)
	greet("new", mostProtocol+1)
	f(NodeForeign)
	for k := range maxOtherNodes {
		greet(fmt.Sprint("node", k), mostProtocol)
	}
	if n := len(a.News()); n != maxOtherNodes || len(a.Nodes()) != maxOtherNodes {
		t.Errorf("%d nodes are there", len(a.Nodes()))
	}
	greet("more", mostProtocol)
	f(TooManyNodes)
	if len(a.Nodes()) != maxOtherNodes || a.Stats().Refused != 6 {
		t.Errorf("%d nodes are there", len(a.Nodes()))
	}
	a.left(a.view.live[0], NodeBye)
	a.News()
	a.view.given = maxNumbers - 1
	greet("last", mostProtocol)
	if n := a.numberOf("last"); n != maxNumbers {
		t.Errorf("the last number is %d", n)
	}
	a.left(a.view.live[0], NodeBye)
	a.News()
	greet("none", mostProtocol)
	f(NumbersUsedUp)
}

// TestGoodbyeIsTheEnd proves that a node which has said goodbye, and may take a while to stop, says of nobody that it is silent.
func TestGoodbyeIsTheEnd(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	r.join("b")
	r.pass(2 * time.Second)
	a.Bye(r.now)
	a.News()
	r.pass(3 * a.o.Timeout)
	if news := a.News(); len(news) > 0 || a.Stats().Unheard != 0 {
		t.Errorf("the news are %+v, counted %+v", news, a.Stats())
	}
}

// TestUnheard proves that a node knows whether the bus brings it its own greetings, not at once after a connection.
func TestUnheard(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	f := func(want int) {
		t.Helper()
		if got := a.Stats().Unheard; got != want {
			t.Errorf("unheard is %d, want %d", got, want)
		}
	}
	r.pass(a.o.Timeout)
	f(0)
	r.pass(time.Second)
	f(1)
	a.hello()
	own := a.out[len(a.out)-1]
	a.FromBus(r.now, own.subject, own.msg)
	f(0)
	r.pass(2 * a.o.Timeout)
	f(1)
	a.Connected(r.now, false)
	f(0)
}

// TestPause proves that a node that stood still does not take the others for dead, and has its torrents told anew: they may take it for that.
func TestPause(t *testing.T) {
	r := newRig(t)
	a := r.join("a")
	r.join("b")
	r.pass(3 * time.Second)
	a.mails = nil
	r.now += 3 * a.o.Timeout
	a.Tick(r.now)
	if len(a.Nodes()) != 1 || a.Stats().Forgiven != 1 || a.Stats().Unheard != 0 {
		t.Errorf("after a pause there are %+v", a.Nodes())
	}
	r.pass(settleTime)
	if got := a.fetch(record.MailResend); len(got) != 3 {
		t.Errorf("after a pause the shards are asked %q", got)
	}
}

// TestPastIsBounded proves that the lives that are remembered are so many, the last ones.
func TestPastIsBounded(t *testing.T) {
	v := newView(1)
	for k := range 2 * maxPast {
		v.end(record.Incarnation{byte(k), byte(k >> 8)}, [streams]uint64{uint64(k)})
	}
	if first := v.last(record.Incarnation{0, 1}); len(v.past) != maxPast || first[0] != maxPast || v.last(record.Incarnation{}) != [streams]uint64{} {
		t.Errorf("%d lives are remembered, the first of the last ones with %v", len(v.past), first)
	}
}

// TestTakenBack proves that a node which took another one for dead by mistake, while that one and a third noticed nothing, knows all within
// seconds again: what the other one has of torrents whose home is here, and what its homes told before of all other torrents.
func TestTakenBack(t *testing.T) {
	for _, home := range []string{"a", "b", "c"} {
		r := newRig(t)
		a, b, c := r.join("a"), r.join("b"), r.join("c")
		r.pass(3 * time.Second)
		key := a.keyAt(home)
		has3 := []*rigNode{a, b, c}
		for k, n := range has3 {
			n.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(uint32(k)+1, 0)})
		}
		live := func() { // the shards do as they are told
			for range 500 {
				r.pass(10 * time.Millisecond)
				for k, n := range has3 {
					if slices.ContainsFunc(n.mails, func(m []byte) bool { return record.MailKind(m[1]) == record.MailResend }) {
						n.tell(record.MailPresence, &record.Presence{Key: key, Counts: peers(uint32(k)+1, 0)})
						n.mails = slices.DeleteFunc(n.mails, func(m []byte) bool { return record.MailKind(m[1]) == record.MailResend })
					}
				}
			}
		}
		live()
		a.mails = nil
		a.left(a.view.byID["b"], NodeSilent)
		refused := b.Stats().Flaws[FlawStranger]
		live()
		number := b.numberAt(a)
		told := a.fetch(record.MailOthers)
		if want := fmt.Sprintf("{Node:%d Counts:{Seeders:2", number); number == 0 || len(told) == 0 || !strings.Contains(told[len(told)-1], want) ||
			!strings.Contains(told[len(told)-1], "Counts:{Seeders:3") {
			t.Errorf("home %s: node %d is back, and the shard was told %q", home, number, told)
		}
		if b.Stats().Flaws[FlawStranger] != refused {
			t.Error("the greeting of a node that takes another one back counts as a stranger's")
		}
	}
}

// TestUnlikeSwarms proves that nodes in whose swarms other clients meet say so of each other, once and in the counters for as long as both
// are live, and that one which does not say it is nobody's trouble.
func TestUnlikeSwarms(t *testing.T) {
	r := newRig(t)
	swarms := map[string]record.Swarms{"a": record.SwarmsShared, "b": record.SwarmsShared, "c": record.SwarmsApart, "d": record.SwarmsUnsaid}
	nodes := make(map[string]*rigNode)
	for _, id := range []string{"a", "b", "c", "d"} {
		nodes[id] = r.add(id, func(o *Options) { o.Swarms = swarms[id] })
		nodes[id].Connected(r.now, true)
	}
	r.pass(3 * time.Second)
	f := func(id string, want int) {
		t.Helper()
		var unlike []string
		for _, n := range nodes[id].News() {
			if n.Event == NodeUnlike {
				unlike = append(unlike, n.Node)
			}
		}
		if n := nodes[id].Stats().Unlike; n != want || len(unlike) != want {
			t.Errorf("%s counts %d nodes, and has the news of %q, want %d", id, n, unlike, want)
		}
	}
	f("a", 1)
	f("b", 1)
	f("c", 2)
	f("d", 0)
	nodes["c"].Bye(r.now)
	r.pass(time.Second)
	f("a", 0)
}
