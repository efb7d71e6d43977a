package load

// This file tests loads on several nodes of a tracker: which client is at which, and whole runs.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// onNodes is a load on so many nodes.
func onNodes(t *testing.T, profile, spread string, nodes int) Config {
	t.Helper()
	c, err := Default(profile)
	if err != nil {
		t.Fatal(err)
	}
	c.URL, c.Spread = many("ws://a%d", nodes), spread
	return c
}

// TestHomesByClient proves that every node has as many clients as the others, and that the peers of a torrent are on
// all nodes, in proportion, whatever the placement of the torrents is.
func TestHomesByClient(t *testing.T) {
	for _, profile := range Profiles() {
		for nodes := 2; nodes <= maxNodes; nodes++ {
			c := onNodes(t, profile, spreadClients, nodes)
			l := newLedger(&c)
			clients := make([]int, nodes)
			for _, home := range l.homes {
				clients[home]++
			}
			if slices.Max(clients)-slices.Min(clients) > 1 {
				t.Errorf("%s on %d nodes: %v clients", profile, nodes, clients)
			}
			// Of two peers of a torrent (nodes-1)/nodes are on different nodes.
			pairs, apart := 0, 0
			last := make(map[uint32]uint32)
			for i := range uint32(c.Connections) {
				for _, torrent := range l.places.of(i) {
					if before, ok := last[torrent]; ok && before != i {
						pairs++
						if l.homes[before] != l.homes[i] {
							apart++
						}
					}
					last[torrent] = i
				}
			}
			if got, want := float64(apart)/float64(pairs), float64(nodes-1)/float64(nodes); pairs > 500 && (got < want-0.07 || got > want+0.07) {
				t.Errorf("%s on %d nodes: %.3f of the pairs are on different nodes, want %.3f", profile, nodes, got, want)
			}
		}
	}
}

// TestHomesByTorrent proves that all clients with the same first torrent are on one node, and that the nodes have about as
// many clients where no swarm is very large.
func TestHomesByTorrent(t *testing.T) {
	for _, profile := range []string{"heavy", "real", "media", "aquatic", "hot"} {
		for nodes := 2; nodes <= 5; nodes++ {
			c := onNodes(t, profile, spreadTorrents, nodes)
			l := newLedger(&c)
			homes, clients := make(map[uint32]uint8), make([]int, nodes)
			for i, home := range l.homes {
				first := l.places.of(uint32(i))[0]
				if before, ok := homes[first]; ok && before != home {
					t.Fatalf("%s on %d nodes: torrent %d is on the nodes %d and %d", profile, nodes, first, before, home)
				}
				homes[first] = home
				clients[home]++
			}
			isEven := slices.Max(clients)-slices.Min(clients) <= c.Connections/50
			if large := profile == "aquatic" || profile == "hot"; !isEven && !large {
				t.Errorf("%s on %d nodes: %v clients", profile, nodes, clients)
			}
		}
	}
}

// TestOneNode proves that a tracker with one address is as without this file: no client has a node of its own.
func TestOneNode(t *testing.T) {
	for _, spread := range []string{spreadClients, spreadTorrents} {
		c := onNodes(t, "heavy", spread, 1)
		if l := newLedger(&c); l.homes != nil || l.nodes != 1 {
			t.Errorf("%s: %d nodes, %d homes", spread, l.nodes, len(l.homes))
		}
		if got := c.Place(); got != c.URL {
			t.Errorf("it is at %s", got)
		}
	}
	if c := onNodes(t, "heavy", spreadClients, 2); c.Place() != "2 nodes: ws://a0 ws://a1" {
		t.Errorf("two nodes are at %s", c.Place())
	}
}

// TestPIDs proves that processes are one number or several in a text, in JSON as on a command line.
func TestPIDs(t *testing.T) {
	f := func(text, json string, want PIDs) {
		t.Helper()
		var p PIDs
		if err := p.UnmarshalText([]byte(text)); err != nil || !slices.Equal(p, want) {
			t.Errorf("%q: %v, %v", text, p, err)
		}
		var q PIDs
		if err := q.UnmarshalJSON([]byte(json)); err != nil || !slices.Equal(q, want) {
			t.Errorf("%s: %v, %v", json, q, err)
		}
		if got, err := p.MarshalJSON(); err != nil || string(got) != json {
			t.Errorf("%v: %s, %v, want %s", p, got, err, json)
		}
	}
	f("0", "0", nil)
	f("12", "12", PIDs{12})
	f("12, 7", `"12,7"`, PIDs{12, 7})
	for _, text := range []string{"", "12,", "x", "1 2", "1.5"} {
		if err := new(PIDs).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "divided by commas") {
			t.Errorf("%q: %v", text, err)
		}
	}
	var c Config
	if err := json.Unmarshal([]byte(`{"server_pid":4242}`), &c); err != nil || !slices.Equal(c.ServerPID, PIDs{4242}) {
		t.Errorf("a result of one process: %v, %v", c.ServerPID, err)
	}
}

// TestSampleProcesses proves that the figures of several processes are added up, that the kernel's count once, and that the
// end of any of them is told.
func TestSampleProcesses(t *testing.T) {
	proc, set := fakeProc(t)
	set([]string{"1000000000 1 1\n", "500000000 1 1\n"}, 100, 40, 10, 20)
	one, err := sampleProcs(proc, PIDs{7})
	if err != nil || one.threads != 2 {
		t.Fatalf("%+v, %v", one, err)
	}
	want := processSample{cpu: 2 * one.cpu, user: 2 * one.user, system: 2 * one.system, rss: 2 * one.rss, threads: 4,
		sockets: one.sockets, slab: one.slab}
	if got, err := sampleProcs(proc, PIDs{7, 7}); err != nil || got != want {
		t.Errorf("twice the same: %+v, %v, want %+v", got, err, want)
	}
	if _, err := sampleProcs(proc, PIDs{7, 8}); err == nil || !strings.Contains(err.Error(), "process 8 of the tracker has ended") {
		t.Errorf("a process that is not there: %v", err)
	}
	r := Result{Config: Config{ServerPID: PIDs{7, 8}}, Server: ServerFigures{PID: 7}}
	if got := r.ServerName(); got != "Tracker, 2 processes" {
		t.Errorf("the title is %q", got)
	}
	r.Config.ServerPID = r.Config.ServerPID[:1]
	if got := r.ServerName(); got != "Tracker, process 7" {
		t.Errorf("the title of one is %q", got)
	}
}

// TestReadPages proves that the counters of all nodes are added up, and that a page which cannot be read is an error.
func TestReadPages(t *testing.T) {
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "millrace_frames_dropped_total{type=%q} %s\n", "offer", r.URL.Path[1:])
		fmt.Fprintf(w, "millrace_frames_dropped_total{type=%q} 1\n", "answer")
		fmt.Fprintf(w, "millrace_requests_by_owner_total{owner=%q} 2\nmillrace_requests_by_owner_total{owner=%q} 3\n", "own_shard", "other_shard")
	}))
	defer pages.Close()
	c := Config{MetricsURL: pages.URL + "/30, " + pages.URL + "/12"}
	if got, err := readPages(t.Context(), c.metricsURLs()); err != nil || got != (page{offers: 42, answers: 2, here: 4, elsewhere: 6}) {
		t.Errorf("%+v, %v", got, err)
	}
	c.MetricsURL += "," + pages.URL + "/x"
	if _, err := readPages(t.Context(), c.metricsURLs()); err == nil || !strings.Contains(err.Error(), "/x") {
		t.Errorf("a page that cannot be read: %v", err)
	}
	if got, err := readPages(t.Context(), new(Config).metricsURLs()); err != nil || got != (page{}) {
		t.Errorf("no page: %+v, %v", got, err)
	}
}

// TestNodes proves that clients go to their own nodes, with TLS or not, slow ones too, that each comes back to the same one,
// and that the counts add up over the nodes.
func TestNodes(t *testing.T) {
	f := func(name string, secure bool, change func(*Config)) (*tracker, Result) {
		t.Helper()
		server := &tracker{}
		cfg := quick(t, server.startNodes(t, secure, 3))
		change(&cfg)
		r := drive(t, cfg)
		l := newLedger(&cfg)
		least := make([]int, 3)
		for _, home := range l.homes {
			least[home]++
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		for node, n := range server.opened {
			if comeBack := cfg.Life > 0; n < least[node] || !comeBack && n > least[node] {
				t.Errorf("%s: the nodes have %v connections, want %v", name, server.opened, least)
			}
		}
		for peer, node := range server.homes {
			if c := PeerIndex([]byte(peer)); int(l.homes[c]) != node {
				t.Errorf("%s: client %d is at node %d, want %d", name, c, node, l.homes[c])
			}
		}
		if server.strangers > 0 {
			t.Errorf("%s: %d requests name another host", name, server.strangers)
		}
		if len(r.Problems) > 0 || len(server.homes) < cfg.Connections || r.Counts.OffersReceived == 0 {
			t.Errorf("%s: %d clients, %+v\n%q", name, len(server.homes), r.Counts, r.Problems)
		}
		return server, r
	}
	_, plain := f("plain", false, func(*Config) {})
	addUp(t, "plain", plain)
	weighed(t, &plain.Counts, false)
	f("by torrent", false, func(c *Config) { c.Spread = spreadTorrents })
	_, secure := f("TLS", true, func(*Config) {})
	addUp(t, "TLS", secure)
	f("slow clients", false, func(c *Config) { c.SlowShare = 0.2 })
	f("slow clients with TLS", true, func(c *Config) { c.SlowShare = 0.2 })
	f("who come and go", false, func(c *Config) { c.Life = 0.3 })
}

// TestBlindNodes proves that a node may reply before it knows of the peers on other nodes, though offers reach them; that
// such offers do not hide others that are lost; and that a node which never knows of them is noticed.
func TestBlindNodes(t *testing.T) {
	f := func(server *tracker, duration float64, want string) Result {
		t.Helper()
		cfg := quick(t, server.startNodes(t, false, 2))
		cfg.Duration = duration
		r := drive(t, cfg)
		if all := strings.Join(r.Problems, "\n"); want == "" && len(r.Problems) > 0 || !strings.Contains(all, want) {
			t.Errorf("%+v\n%s", r.Counts, all)
		}
		return r
	}
	r := f(&tracker{blind: true}, 0.6, "")
	if n := &r.Counts; n.OffersUntold == 0 || n.OffersReceived != n.OffersExpected+n.OffersUntold || n.AnswersReceived != n.AnswersSent ||
		!strings.Contains(fmt.Sprint(r.Remarks), "did not speak of yet") {
		t.Errorf("%+v\n%q", r.Counts, r.Remarks)
	}
	f(&tracker{blind: true, drop: 50}, 0.6, "offers were neither received nor reported as dropped")
	f(&tracker{staysBlind: true}, 4, "replies spoke of fewer or more peers than the swarm had")
}

// TestNodeThatIsNotThere proves that clients of a node that nobody is at are reported, while those of the others go on.
func TestNodeThatIsNotThere(t *testing.T) {
	url := (&tracker{}).start(t, false)
	cfg := quick(t, url+",ws://127.0.0.1:1/")
	r := drive(t, cfg)
	if all := fmt.Sprint(r.Problems); r.Counts.Connected != 30 || !strings.Contains(all, "30 connections could not be opened") ||
		strings.Contains(all, "is the tracker there") || r.Counts.OffersReceived == 0 {
		t.Errorf("%+v\n%s", r.Counts, all)
	}
}
