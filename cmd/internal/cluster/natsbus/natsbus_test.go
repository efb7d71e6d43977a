package natsbus

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
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
	small bool                           // it takes small messages only
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
	most := 1 << 20
	if b.small {
		most = 4096
	}
	fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":\"2.15.0\",\"proto\":1,\"max_payload\":%d}\r\n", most)
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
		if id, ok := subs[subject]; ok {
			fmt.Fprintf(c, "MSG %s %s %d\r\n%s", subject, id, len(data)-2, data)
		}
	}
}

// events collects what a bus says.
type events chan string

func (e events) log(event string, err error) {
	if err != nil {
		event += ": " + err.Error()
	}
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
	b, err := Open(Options{URLs: []string{"nats://" + address}, Name: "test", Subjects: []string{"a.hello", "a.node"}, Largest: 300 << 10, Log: e.log})
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

// TestBus proves that messages arrive under their subject, that a bus begins without NATS and says why, and that it finds NATS again.
func TestBus(t *testing.T) {
	first := listen(t, "")
	address := first.Addr().String()
	first.stop()
	here, there := make(events, 16), make(events, 16)
	a, b := open(t, here, address), open(t, there, address)
	defer a.Close()
	defer b.Close()
	here.await("cannot connect to NATS, and goes on trying: dial tcp 127.0.0.1:")
	there.await("cannot connect to NATS, and goes on trying: dial tcp 127.0.0.1:")
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

// TestSmallNATS proves that a NATS which takes less than the longest message is told at the start.
func TestSmallNATS(t *testing.T) {
	n := listen(t, "")
	n.mu.Lock()
	n.small = true
	n.mu.Unlock()
	e := make(events, 16)
	b := open(t, e, n.Addr().String())
	defer b.Close()
	e.await("messages to other nodes can get lost")
}

// TestComplaints proves that complaints of NATS that come one after the other are counted, and said once in a while.
func TestComplaints(t *testing.T) {
	var said []string
	b := &Bus{log: func(event string, err error) { said = append(said, fmt.Sprint(event, ": ", err)) }}
	for range 5 {
		b.troubled(nats.ErrPermissionViolation)
	}
	b.troubled(nats.ErrSlowConsumer)
	b.saidAt = b.saidAt.Add(-sayEvery)
	b.troubled(nats.ErrPermissionViolation)
	want := []string{"NATS reports an error: " + nats.ErrPermissionViolation.Error(),
		"NATS reports errors, 5 since this was said last: " + nats.ErrPermissionViolation.Error()}
	if !slices.Equal(said, want) || b.Stats().DroppedIn != 1 {
		t.Errorf("said %q, counted %+v", said, b.Stats())
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
	f(Options{CA: []byte("x")}, "cannot use cluster.tls_ca_path: the file has no certificate in PEM")
}
