package natsbus

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

// This file proves that the bus carries messages, and what it does while NATS does not. bench/e2e has the same with the real NATS.

// broker speaks as much of NATS as a bus needs: every message goes to all others that have subscribed to its subject.
type broker struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]map[string]string // by connection: ids of subscriptions by subject
	deaf  chan struct{}                  // closed: messages are not read any more
}

// listen starts one; address is "" for any.
func listen(t *testing.T, address string) *broker {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{Listener: l, conns: make(map[net.Conn]map[string]string), deaf: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns[c] = make(map[string]string)
			b.mu.Unlock()
			go b.serve(c)
		}
	}()
	t.Cleanup(b.stop)
	return b
}

// stop ends the broker and its connections.
func (b *broker) stop() {
	b.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

func (b *broker) serve(c net.Conn) {
	defer c.Close()
	fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":\"2.15.0\",\"proto\":1,\"max_payload\":1048576}\r\n")
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "PING":
			io.WriteString(c, "PONG\r\n")
		case "SUB":
			b.mu.Lock()
			b.conns[c][words[1]] = words[2]
			b.mu.Unlock()
		case "PUB":
			var n int
			fmt.Sscan(words[2], &n)
			data := make([]byte, n+2)
			if _, err := io.ReadFull(r, data); err != nil {
				return
			}
			b.relay(c, words[1], data)
			select {
			case <-b.deaf:
				select {}
			default:
			}
		}
	}
}

func (b *broker) relay(from net.Conn, subject string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, subs := range b.conns {
		if id, ok := subs[subject]; ok && c != from {
			fmt.Fprintf(c, "MSG %s %s %d\r\n%s", subject, id, len(data)-2, data)
		}
	}
}

// events collects what a bus says.
type events chan string

func (e events) log(event string, err error) {
	select {
	case e <- event:
	default:
	}
}

// await waits until the bus says something that begins so.
func (e events) await(want string) {
	for s := range e {
		if strings.HasPrefix(s, want) {
			return
		}
	}
}

func open(t *testing.T, e events, address string) *Bus {
	t.Helper()
	b, err := Open(Options{URLs: []string{"nats://" + address}, Name: "test", Subjects: []string{"a.hello", "a.node"}, Log: e.log})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// publish sends until it is taken: the other end may not have subscribed when the first ones come.
func publish(t *testing.T, from, to *Bus, subject, text string) *nats.Msg {
	t.Helper()
	for {
		from.Publish(subject, []byte(text))
		select {
		case m := <-to.In:
			return m
		default:
		}
	}
}

// TestBus proves that messages arrive under their subject, that a bus begins without NATS, and that it finds NATS again.
func TestBus(t *testing.T) {
	first := listen(t, "")
	address := first.Addr().String()
	first.stop()
	here, there := make(events, 16), make(events, 16)
	a, b := open(t, here, address), open(t, there, address)
	defer a.Close()
	defer b.Close()
	here.await("cannot connect")
	there.await("cannot connect")
	if a.Connected() || a.Publish("a.node", nil) || a.Stats().DroppedOut != 1 {
		t.Errorf("without NATS: connected %t, %+v", a.Connected(), a.Stats())
	}
	for round := range uint64(2) {
		n := listen(t, address)
		here.await("connected")
		there.await("connected")
		if m := publish(t, a, b, "a.node", "text"); m.Subject != "a.node" || string(m.Data) != "text" {
			t.Errorf("%s: %q", m.Subject, m.Data)
		}
		n.stop()
		here.await("the connection to NATS has ended")
		there.await("the connection to NATS has ended")
		if a.Connected() || a.Publish("a.node", nil) || b.Stats().Reconnects != round {
			t.Errorf("after NATS: connected %t, %+v", a.Connected(), b.Stats())
		}
	}
}

// TestDeafNATS proves that a NATS which reads nothing lets nobody wait, and that what it does not take is bounded and counted.
func TestDeafNATS(t *testing.T) {
	n := listen(t, "")
	e := make(events, 16)
	b := open(t, e, n.Addr().String())
	defer b.Close()
	e.await("connected")
	close(n.deaf)
	data := make([]byte, 256<<10)
	for b.Publish("a.node", data) {
	}
	if st := b.Stats(); st.DroppedOut != 1 || st.Waiting > maxOutBytes {
		t.Errorf("%+v", st)
	}
}

// TestOptions proves that credentials and an authority that cannot be used are said at the start.
func TestOptions(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		o.URLs, o.Log = []string{"nats://127.0.0.1:1"}, func(string, error) {}
		b, err := Open(o)
		if err == nil {
			b.Close()
		}
		if fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f(Options{}, "<nil>")
	f(Options{CA: []byte("x")}, "the file of the authority has no certificate in PEM")
}
