package floor

// This file tests the load tester as an instrument: it runs it against a floor server with a fault, and checks that the
// result reports it. The server is another process, since both wait in the kernel and a Go process is laid out for one
// of them (GOMAXPROCS). It is this test's own program.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"millrace/bench/load"
)

const childVariable = "FLOOR_TEST_OPTIONS" // Options in JSON: run a server instead of the tests

func TestMain(m *testing.M) {
	if options := os.Getenv(childVariable); options != "" {
		if err := runChild(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runChild serves until its standard input ends. It writes the address first and its counters last, a line each.
func runChild(options string) error {
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2)
	s, err := Start(o)
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	io.Copy(io.Discard, os.Stdin)
	stats, err := s.Stop()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(stats)
}

// child is a running server process.
type child struct {
	t     *testing.T
	addr  string
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func startChild(t *testing.T, fault Fault) *child {
	t.Helper()
	options, err := json.Marshal(Options{Address: "127.0.0.1:0", MaxConnections: 500, Fault: fault})
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(options))
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin, c.out = stdin, bufio.NewReader(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); c.cmd.Process.Kill(); c.cmd.Wait() })
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	c.addr = strings.TrimSpace(line)
	return c
}

// stop ends the server and returns its counts.
func (c *child) stop() (s Stats) {
	c.t.Helper()
	c.stdin.Close()
	line, err := c.out.ReadString('\n')
	if err == nil {
		err = json.Unmarshal([]byte(line), &s)
	}
	if err != nil {
		c.t.Fatalf("the server's counters: %v", err)
	}
	return s
}

// instrumentLoad is a short run: 60 clients in 6 torrents that announce with 10 offers as soon as they have a reply.
func instrumentLoad(t *testing.T, seconds float64) load.Config {
	t.Helper()
	c, err := load.Default("max")
	if err != nil {
		t.Fatal(err)
	}
	c.Ramp, c.Warmup, c.Duration, c.Drain = 0.2, 0, seconds, 2
	c.Connections, c.Torrents, c.Offers, c.SDPBytes = 60, 6, 10, 250
	return c
}

// measure runs a load against a server with a fault.
func measure(t *testing.T, c load.Config, fault Fault) (load.Result, Stats) {
	t.Helper()
	server := startChild(t, fault)
	c.URL = "ws://" + server.addr + "/"
	c.ServerPID = load.PIDs{server.cmd.Process.Pid}
	r, err := load.Run(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, server.stop()
}

// One in spoilOneIn messages is spoiled. A run has at least leastRelayed offers, and as many answers, so that 3 of each
// are spoiled.
const (
	spoilOneIn   = 10_000 / slowdown
	leastRelayed = 3 * spoilOneIn
)

// measureEnough runs a load for as long as it takes to relay leastRelayed messages, and returns that run.
func measureEnough(t *testing.T, fault Fault) (load.Result, Stats) {
	t.Helper()
	for seconds := 0.5; ; seconds *= 2 {
		r, s := measure(t, instrumentLoad(t, seconds), fault)
		if min(s.Offers, s.Answers) >= leastRelayed || seconds > 60 {
			return r, s
		}
	}
}

// TestInstrumentAcceptsTheRight proves that a run against a server without a fault has no problem, and that both have
// counted the same.
func TestInstrumentAcceptsTheRight(t *testing.T) {
	r, s := measureEnough(t, Fault{})
	n := &r.Counts
	if len(r.Problems) > 0 {
		t.Errorf("the run has the problems %q", r.Problems)
	}
	if n.OffersReceived != s.Offers || n.AnswersReceived != s.Answers || n.Announces != s.Announces ||
		n.Replies != n.Announces || n.OffersReceived != n.OffersExpected || n.AnswersReceived != n.AnswersSent {
		t.Errorf("the load tester counted %+v, the server %+v", *n, s)
	}
	if s.Unknown+s.NoMemory+s.OffersDropped+s.AnswersDropped > 0 {
		t.Errorf("the server counted %+v", s)
	}
}

// wrong adds up the counters of messages that are not right.
func wrong(n *load.Counts) (all, none uint64) {
	return n.WrongTorrent + n.WrongSender + n.WrongReceiver + n.Altered + n.Own + n.Duplicate + n.Unknown + n.Unreadable, 0
}

// noticed has the subjects of each fault, and the number of spoiled messages that the load tester has found.
var noticed = [faultKinds]struct {
	of    Subject
	found func(n *load.Counts) (offers, answers uint64)
}{
	Drop: {Offers | Answers, func(n *load.Counts) (uint64, uint64) {
		return n.OffersExpected - n.OffersReceived, n.AnswersSent - n.AnswersReceived
	}},
	Duplicate:      {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.Duplicate, 0 }},
	SecondReceiver: {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.Duplicate, n.WrongReceiver }},
	// The byte may be one of the name in an answer. That is compared with the sender's.
	Alter: {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.Altered + n.WrongSender, 0 }},
	// A part that comes from another message may differ in sender and torrent as well.
	OtherText:       {Offers | Answers, wrong},
	OtherID:         {Offers | Answers, wrong},
	OtherTorrent:    {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.WrongTorrent, 0 }},
	MisrouteTorrent: {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.WrongReceiver, 0 }},
	MisrouteSwarm:   {Answers, func(n *load.Counts) (uint64, uint64) { return 0, n.WrongReceiver }},
	MisrouteSelf:    {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.Own, n.WrongReceiver }},
	WrongType:       {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.Unknown, 0 }},
	WrongSender:     {Offers | Answers, func(n *load.Counts) (uint64, uint64) { return n.WrongSender, 0 }},
	LoseReply:       {0, func(n *load.Counts) (uint64, uint64) { return n.Announces - n.Replies, 0 }},
	DoubleReply:     {0, func(n *load.Counts) (uint64, uint64) { return n.Unknown, 0 }},
	Understate:      {0, func(n *load.Counts) (uint64, uint64) { return n.WrongSize, 0 }},
}

// TestInstrumentNoticesFaults proves that a server which spoils one offer in 10,000 and one answer in 10,000, or a
// reply as seldom, fails the run: that the figures for wrong messages are just the numbers of messages that the server
// has spoiled, and that a problem is reported. A figure that counts offers and answers alike is compared with their
// sum.
func TestInstrumentNoticesFaults(t *testing.T) {
	for kind := Drop; kind < faultKinds; kind++ {
		fault := Fault{Kind: kind, Of: noticed[kind].of, Every: spoilOneIn}
		if kind >= LoseReply {
			fault.Every = spoilOneIn / 20 // beside a reply there are 10 offers and 10 answers
		}
		r, s := measureEnough(t, fault)
		offers, answers := noticed[kind].found(&r.Counts)
		apart := offers == s.SpoiledOffers && answers == s.SpoiledAnswers && s.SpoiledReplies == 0
		spoiled := s.SpoiledOffers + s.SpoiledAnswers + s.SpoiledReplies
		together := answers == 0 && offers == spoiled
		if !apart && !together || spoiled == 0 || len(r.Problems) == 0 {
			t.Errorf("%v: %d offers, %d answers and %d replies were spoiled, %d and %d were found; problems %q; counts %+v",
				kind, s.SpoiledOffers, s.SpoiledAnswers, s.SpoiledReplies, offers, answers, r.Problems, r.Counts)
		}
	}
}

const (
	stall     = 200 * time.Millisecond
	stallLoad = 1000 // announces a second
	// Far fewer than the announces that are due in half a stall.
	stallClients = 20
)

// TestInstrumentSeesAStall proves that a server which stands still for 200 ms shows in the latencies of an open loop
// for as many announces as were due meanwhile, and not only for one of each client, as if the others had waited with
// theirs: of 5,000 announces of 20 clients, 100 were due in the first half of the stall and so waited for 100 ms or
// more, which is over 1 %. A closed loop sees the stall as well, once for each client.
func TestInstrumentSeesAStall(t *testing.T) {
	fault := Fault{Stall: stall, StallAfter: 2 * stallLoad}
	c := instrumentLoad(t, 5)
	c.Loop, c.Connections, c.Interval, c.Warmup = "open", stallClients, 1.0*stallClients/stallLoad, 0.5
	r, _ := measure(t, c, fault)
	if l := r.Latency.Reply; l.Count < 4*stallLoad || l.P99 < 100_000 || l.Max < 190_000 {
		t.Errorf("open loop: of %d announces 1 in 100 took %.0f µs or more, the longest %.0f µs", l.Count, l.P99, l.Max)
	}
	// Without a warm-up everything after the first announces of the 60 clients is measured.
	if r, _ = measure(t, instrumentLoad(t, 1), Fault{Stall: stall, StallAfter: 200}); r.Latency.Reply.Max < 190_000 {
		t.Errorf("closed loop: the longest of %d announces took %.0f µs", r.Latency.Reply.Count, r.Latency.Reply.Max)
	}
	if len(r.Problems) > 0 {
		t.Errorf("a stall is no loss, but the run has the problems %q", r.Problems)
	}
}
