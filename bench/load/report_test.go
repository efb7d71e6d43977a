package load

// This file tests the text and the JSON of a result.

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the reports of testdata anew")

// fullResult returns a result with something in every part.
func fullResult(t *testing.T) Result {
	c, err := Default("heavy")
	if err != nil {
		t.Fatal(err)
	}
	c.Compression = true
	c.URL, c.ServerPID = "ws://127.0.0.1:3000/,ws://127.0.0.1:3100/", PIDs{4242, 4243}
	counts := Counts{
		Connected: 4000, ConnectFailed: 12, HandshakesFull: 3000, HandshakesResumed: 1000, Disconnected: 7,
		Announces: 120_000, Replies: 119_990, AnswerReplies: 1_100_000, Scrapes: 3000, ScrapeReplies: 3000, Failures: 10,
		OffersSent: 1_200_000, OffersExpected: 1_199_900, OffersReceived: 1_199_800, OffersDropped: 90, OffersGone: 5,
		AnswersSent: 1_199_800, AnswersReceived: 1_199_700, AnswersDropped: 100,
		Late: 3, WrongTorrent: 1, WrongSender: 2, WrongReceiver: 3, Altered: 4, Own: 5, Duplicate: 6, Unknown: 7, Unreadable: 8,
		Agreed: 3999, Expanded: 2_000_000, PayloadSent: 3_180_000_000, PayloadReceived: 3_090_000_000,
		BytesSent: 3_200_000_000, BytesReceived: 3_100_000_000, SegmentsSent: 2_500_000, SegmentsReceived: 2_600_000,
		WireSent: 3_330_000_000, WireReceived: 3_235_200_000,
	}
	return Result{
		Config: c, Started: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC), Measured: 30, Counts: counts, During: counts,
		Errors: []ErrorCount{
			{"connection refused", 12}, {"closed by the tracker with code 1008", 7},
			{"failure: tracker is overloaded, try again later, which is a text as long as a tracker likes it", 10},
		},
		Latency: Latencies{
			Reply: Distribution{Count: 119_990, Mean: 420, P50: 390, P90: 812, P99: 1743, P999: 12_503, Max: 60_000_000,
				Points: []Point{{0.5, 390}, {1, 60_000_000}}},
			Answer:    Distribution{Count: 1_199_700, Mean: 900, P50: 850, P90: 1712, P99: 3043, P999: 22_503, Max: 48_031},
			Handshake: Distribution{Count: 4000, Mean: 1000, P50: 900, P90: 1900, P99: 3000, P999: 4000, Max: 5000},
		},
		Traffic: counts.traffic(),
		Client:  ClientFigures{Workers: 2, BusyShare: []float64{0.953, 0.41}, CPU: 41.2, LateSends: 1234},
		Server: ServerFigures{
			PID: 4242, CPU: 21.5, User: 9.1, System: 12.4, CPUPerMessage: 5.97, CPUPerCycle: 17.92, LocalShare: 0.9987,
			RSSEmpty: 22 << 20, RSSPeak: 31 << 20, RSSEnd: 28 << 20, RSSPerConnection: 1572, SocketMemory: 12 << 20,
			SlabGrowth: -3 << 19, Threads: 5,
		},
		Cluster: Cluster{Nodes: 2, Offers: 60_000, Other: 30_600, Even: 30_250.5, Deviation: 120},
		Problems: []string{"5 of 1,199,900 offers were neither received nor reported as dropped.",
			"4 relayed descriptions were altered on their way."},
		Remarks: []string{"The load tester was the bottleneck: thread 0 was busy for 95 % of the time, so rates and latencies " +
			"are its own and not the tracker's."},
		Series: []Interval{{From: 1, Length: 0.5, Announces: 2, Replies: 3, Offers: 4, Answers: 5, Connected: 6, Errors: 7, Open: 8,
			Reply: Quantiles{9, 10, 11, 12, 13}, ServerCPU: 0.25, ServerRSS: 14, ClientCPU: 0.125}},
	}
}

// TestReport proves how a result reads: one with something of everything, one that is fine, and an empty one. A change
// of it is seen in testdata, which -update writes.
func TestReport(t *testing.T) {
	f := func(name string, r Result) {
		t.Helper()
		var b bytes.Buffer
		if err := r.WriteReport(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > reportWidth {
				t.Errorf("%s: a line of %d columns: %s", name, n, line)
			}
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, b.String(), want)
		}
	}
	f("report-full.txt", fullResult(t))
	fine := fullResult(t)
	fine.Problems, fine.Remarks, fine.Errors, fine.Server, fine.Cluster = nil, nil, nil, ServerFigures{}, Cluster{}
	fine.Config.URL, fine.Config.ServerPID = "ws://127.0.0.1:3000/", nil
	fine.Counts = Counts{Connected: 4000, Announces: 120_000, Replies: 120_000}
	fine.During, fine.Traffic = fine.Counts, fine.Counts.traffic()
	f("report-fine.txt", fine)
	f("report-empty.txt", Result{})
}

// TestResultJSON proves that a result survives being written as JSON, with lists instead of null, and under names that
// are not Go's.
func TestResultJSON(t *testing.T) {
	want := fullResult(t)
	text, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	got.Config.CPUs, got.Config.Storms = want.Config.CPUs, want.Config.Storms
	got.Latency.Answer.Points, got.Latency.Handshake.Points = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("written as JSON and read again:\n%+v\nwant\n%+v", got, want)
	}
	text, err = json.Marshal(Result{})
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("an empty result: %s, %v", text, err)
	}
	for _, word := range []string{`"Count`, `"RSS`, `"P50`, `"PID`} {
		if strings.Contains(string(text), word) {
			t.Errorf("%s is Go's name: %s", word, text)
		}
	}
}

// TestProgressLine proves that rates are those since the last line, and that trouble is told only where there is some.
func TestProgressLine(t *testing.T) {
	before := Progress{Elapsed: 10 * time.Second, Counts: Counts{Announces: 1000, AnswersReceived: 50}}
	f := func(now, before Progress, want string) {
		t.Helper()
		if got := now.Line(&before); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	f(Progress{}, Progress{}, "ramp      0 s, about 0 s left  0 open  0 messages/s  0 cycles/s")
	f(Progress{Phase: PhaseMeasure, Elapsed: 12 * time.Second, Left: 18 * time.Second, Open: 4000,
		Counts: Counts{Announces: 5000, AnswersReceived: 30_050}}, before,
		"measuring 12 s, about 18 s left  4,000 open  17,000 messages/s  15,000 cycles/s")
	f(Progress{Phase: PhaseDrain, Elapsed: 12 * time.Second, Left: -time.Second,
		Counts: Counts{Announces: 1000, AnswersReceived: 50, Altered: 1, Own: 1, ConnectFailed: 3}}, before,
		"draining  12 s, about 0 s left  0 open  1 messages/s  0 cycles/s  2 wrong  3 not connected")
}

// TestProgressLeft proves that the time left is that of all phases to come, and that connections which are slow to open
// and the drain do not count before their time.
func TestProgressLeft(t *testing.T) {
	c := Config{Ramp: 5, Warmup: 10, Duration: 30, Drain: 20}
	f := func(p Phase, now, end, want time.Duration) {
		t.Helper()
		if got := c.left(p, now*time.Second, end*time.Second); got != want*time.Second {
			t.Errorf("%v at %d s until %d s: %v left, want %d s", p, now, end, got, want)
		}
	}
	f(PhaseRamp, 0, 25, 45)
	f(PhaseRamp, 2, 25, 43)
	f(PhaseRamp, 9, 25, 40)
	f(PhaseWarmup, 11, 20, 39)
	f(PhaseMeasure, 40, 50, 10)
	f(PhaseDrain, 55, 70, 15)
	f(PhaseDrain, 71, 70, 0)
}
