package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file proves the work of operators: health checks, the metrics and debug pages, the log, the access list,
// privileges and the placing of threads and connections.

// get fetches a page of the tracker's.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// A health check is answered with 200 where it is switched on, and is a request like any other where it is not.
func TestHealthCheck(t *testing.T) {
	tr := start(t, settings{network: "enable_http_health_checks = true"})
	if status, body := get(t, "http://"+tr.addr+"/health"); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, "http://"+tr.addr+"/healthy"); status != 426 {
		t.Errorf("another path: %d", status)
	}
	relay(t, tr)
	tr = start(t, settings{})
	if status, _ := get(t, "http://"+tr.addr+"/health"); status != 426 {
		t.Errorf("switched off: %d", status)
	}
}

// The metrics count all events, under the names of aquatic_ws with our prefix, and Prometheus can read every line.
func TestMetrics(t *testing.T) {
	tr := start(t, settings{
		top:   "socket_workers = 2",
		other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
	})
	relay(t, tr)
	stays := tr.dial()
	stays.send(announce(id("hash"), id("peer"), 0, nil))
	stays.receive()
	stays.send("not JSON")
	stays.send(announce(id("hash"), id("peer"), 0, nil))
	stays.receive()
	url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
	if url == nil {
		t.Fatal("the log does not say where the metrics are")
	}
	// The connections of relay have ended when the shards have seen it: the counts are read until they have.
	var page string
	for deadline := time.Now().Add(patience); ; {
		_, page = get(t, url[1])
		if total(t, page, `millrace_active_connections\{`) == 1 && total(t, page, `millrace_connections\{`) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("connections do not end:\n%s", page)
		}
	}
	f := func(series string, want float64) {
		t.Helper()
		if got := total(t, page, series); got != want {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
	}
	f(`millrace_requests_total\{type="announce",ip_version="4"`, 8*3+8+2) // an answer is an announce in aquatic_ws
	f(`millrace_requests_total\{type="scrape"`, 8)
	f(`millrace_responses_total\{type="announce"`, 8*3+2)
	f(`millrace_responses_total\{type="offer",ip_version="4"`, 8)
	f(`millrace_responses_total\{type="offer_answer"`, 8)
	f(`millrace_responses_total\{type="scrape"`, 8)
	f(`millrace_responses_total\{type="error"`, 0)
	f(`millrace_torrents\{ip_version="shared"`, 1)
	f(`millrace_peers\{`, 1)
	f(`millrace_messages_rejected_total\{reason="not_JSON"`, 1)
	f(`millrace_connections_accepted_total\{`, 17)
	f(`millrace_connections_closed_total\{`, 16)
	f(`millrace_frames_dropped_total\{`, 0)
	f(`millrace_shards`, 2)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "millrace_loop_turns_total"} {
		if !strings.Contains(page, name) {
			t.Errorf("no series %s", name)
		}
	}
	line := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_]\w*="[^"\\\n]*"(, ?[a-zA-Z_]\w*="[^"\\\n]*")*\})? [-+0-9.eEInfNa]+$`)
	for _, l := range strings.Split(strings.TrimSpace(page), "\n") {
		if !line.MatchString(l) && !strings.HasPrefix(l, "#") {
			t.Errorf("Prometheus cannot read %q", l)
		}
	}
}

// The debug pages are served to the configured networks, profiles only if they are switched on.
func TestDebugPages(t *testing.T) {
	page := func(t *testing.T, keys, path string, want int, text string) {
		tr := start(t, settings{
			other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'\n" + keys,
		})
		url := regexp.MustCompile(`msg="serving metrics" url=(\S+)/metrics`).FindStringSubmatch(tr.log.String())
		if status, got := get(t, url[1]+path); status != want || !strings.Contains(got, text) {
			t.Errorf("%s with %q: %d %.100s, want %d %s", path, keys, status, got, want, text)
		}
		relay(t, tr)
	}
	f := func(keys, path string, want int, text string) {
		t.Run(keys+path, func(t *testing.T) { page(t, keys, path, want, text) })
	}
	f("", "/debug/trace?n=10", 200, "# now: ")
	f("debug_from = []", "/debug/trace", 403, "metrics.debug_from")
	f("debug_from = ['192.0.2.0/24']", "/debug/pprof/", 403, "metrics.debug_from")
	f("", "/debug/pprof/", 404, "metrics.pprof")
	f("pprof = true", "/debug/pprof/", 200, "goroutine")
	f("pprof = true", "/debug/pprof/goroutine?debug=2", 200, "server.(*thread).run(")
	f("debug_from = []", "/debug/", 200, "millrace_shards ")
}

// However many connections are open to the metrics listener, silent or in the middle of a request, the page is served,
// and the tracker has few descriptors for them.
func TestManyMetricsConnections(t *testing.T) {
	tr := start(t, settings{
		other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
	})
	url := regexp.MustCompile(`msg="serving metrics" url=http://(\S+)/metrics`).FindStringSubmatch(tr.log.String())
	for k := range 500 {
		c, err := net.Dial("tcp", url[1])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, []string{"", "GET /metrics HTTP/1.1\r\nHost: "}[k%2])
	}
	if status, page := get(t, "http://"+url[1]+"/metrics"); status != 200 || !strings.Contains(page, "millrace_shards") {
		t.Errorf("%d", status)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", tr.cmd.Process.Pid))
	if err != nil || len(fds) > 80 {
		t.Errorf("%d descriptors, %v", len(fds), err)
	}
}

// Descriptors that the parent process has left open are closed at the start, but for those that systemd passes.
func TestInheritedDescriptors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := passed(t, l)
	s.network = "address = '" + l.Addr().String() + "'"
	near, far, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	s.files = append(s.files, far)
	tr := start(t, s)
	far.Close()
	near.SetReadDeadline(time.Now().Add(patience))
	if n, err := near.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a descriptor is still open: read %d, %v", n, err)
	}
	tr.logged("closed descriptors that the parent process had left open", 1)
	relay(t, tr)
	tr.stop()
}

// The log at the start names the kernel features that are used in one line, and says why only at level debug.
func TestStartLog(t *testing.T) {
	f := func(level string, reasons int) {
		t.Helper()
		tr := start(t, settings{top: "log_level = '" + level + "'", plan: "baseline"})
		log := tr.log.String()
		if n := strings.Count(log, `msg="kernel features" used="" not_used=multishot_accept,buffer_ring,`); n != 1 {
			t.Errorf("%s: %d lines about all kernel features", level, n)
		}
		if n := strings.Count(log, `msg="kernel feature" name=`); n != reasons {
			t.Errorf("%s: %d lines about single kernel features, want %d", level, n, reasons)
		}
		if strings.Contains(log, "cannot be used") {
			t.Errorf("%s: a feature that is switched off is an exception", level)
		}
	}
	f("info", 0)
	f("debug", 12)
	f("trace", 12)
}

// Peers are counted by client and by the first bytes of their ids where that is switched on, each by itself, over all
// shards together; the counts follow peers that come and go.
func TestPeerClients(t *testing.T) {
	count := func(t *testing.T, keys string, clients, prefixes bool) {
		tr := start(t, settings{
			top: "socket_workers = 2",
			other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'\n" + keys +
				"[cleaning]\ntorrent_cleaning_interval = 1",
		})
		url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
		counted := func(what, series string, on bool, want float64) {
			t.Helper()
			if !on {
				want = 0
			}
			eventually(t, what, func() bool {
				_, page := get(t, url[1])
				return total(t, page, series) == want
			})
		}
		p := tr.dial()
		for k := range 12 { // torrents of both shards
			for _, peer := range []string{id("-WW0205-%d", k), id("-UT3550-%d", k), id("-UT355W-%d", k)} {
				p.send(announce(id("hash %d", k), peer, 0, nil))
				p.receive()
			}
		}
		webTorrent, prefix := `millrace_peer_clients\{client="WebTorrent 2.5"\}`, `millrace_peer_id_prefixes\{prefix_hex="2d5757303230352d"\}`
		counted("clients", webTorrent, clients, 12)
		counted("clients", `millrace_peer_clients\{client="µTorrent 3.5.5"\}`, clients, 24)
		counted("prefixes", prefix, prefixes, 12)
		counted("clients", `millrace_peer_clients\{`, clients, 36)
		counted("prefixes", `millrace_peer_id_prefixes\{`, prefixes, 36)
		p.send(announce(id("hash 0"), id("-WW0205-0"), 0, map[string]any{"event": "stopped"}))
		counted("a client less", webTorrent, clients, 11)
		counted("a prefix less", prefix, prefixes, 11)
	}
	f := func(keys string, clients, prefixes bool) {
		t.Run(keys, func(t *testing.T) { count(t, keys, clients, prefixes) })
	}
	f("peer_clients = true\npeer_id_prefixes = true\n", true, true)
	f("peer_clients = true\n", true, false)
	f("peer_id_prefixes = true\n", false, true)
	f("", false, false)
}

// total adds up the series whose lines begin with a pattern.
func total(t *testing.T, page, pattern string) float64 {
	t.Helper()
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^`+pattern+`.*? ([0-9.e+]+)$`).FindAllStringSubmatch(page, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// An access list decides which torrents are announced and scraped. A changed one takes effect on a signal and by itself,
// also for peers that are there already. A bad one changes nothing, and the log says why.
func TestAccessList(t *testing.T) {
	good, bad := id("good"), id("bad")
	list := filepath.Join(t.TempDir(), "list.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(list+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(list+".new", list); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf("%x\n", bad))
	tr := start(t, settings{
		top:   "socket_workers = 2",
		other: "[access_list]\nmode = 'deny'\npath = '" + list + "'\n[cleaning]\ntorrent_cleaning_interval = 1",
	})
	p := tr.dial()
	ask := func(hash string, allowed bool) {
		t.Helper()
		p.send(announce(hash, id("peer"), 0, nil))
		m := p.receive()
		if failure := m["failure reason"]; (failure == nil) != allowed || m["info_hash"] != hash || m["action"] != "announce" ||
			!allowed && failure != "Info hash not allowed" {
			t.Errorf("announce, want allowed %v: %v", allowed, m)
		}
		p.send(map[string]any{"action": "scrape", "info_hash": hash})
		if m := p.receive(); (m["failure reason"] == nil) != allowed || m["action"] != "scrape" {
			t.Errorf("scrape, want allowed %v: %v", allowed, m)
		}
	}
	ask(good, true)
	ask(bad, false)
	write(fmt.Sprintf("%x\n", good))
	tr.signal(syscall.SIGUSR1)
	tr.logged("msg=reloaded", 1)
	eventually(t, "the list is in force", func() bool {
		p.send(announce(bad, id("peer"), 0, nil))
		return p.receive()["failure reason"] == nil
	})
	ask(good, false)
	ask(bad, true)

	write("not an info hash\n")
	tr.signal(syscall.SIGHUP)
	tr.logged("list.txt:1:", 1)
	ask(good, false)
	ask(bad, true)

	write(fmt.Sprintf("%x\n%x\n", good, bad)) // noticed without a signal
	tr.logged("msg=reloaded", 2)
	eventually(t, "the list is in force", func() bool {
		p.send(announce(bad, id("peer"), 0, nil))
		return p.receive()["failure reason"] != nil
	})
}

// logged waits until the tracker has written a text so often.
func (tr *tracker) logged(text string, times int) {
	tr.t.Helper()
	eventually(tr.t, "the log says "+text, func() bool { return strings.Count(tr.log.String(), text) >= times })
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ask(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not true in %v: %s", patience, what)
		}
	}
}

// With drop_privileges the tracker runs as another user in another root directory, serves clients, and reads its access
// list again from there.
func TestDropPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		s := settings{other: "[privileges]\ndrop_privileges = true"}
		out, _ := command(&s, "-c", s.configFile(t)).CombinedOutput()
		if !strings.Contains(string(out), "root") {
			t.Errorf("%q does not say that root is needed", out)
		}
		return
	}
	root := t.TempDir()
	os.Chmod(root, 0o755)
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(root, "list.txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf("%x\n", id("bad")))
	tr := start(t, settings{
		top: "socket_workers = 2",
		other: "[privileges]\ndrop_privileges = true\nchroot_path = '" + root + "'\nuser = '65534'\ngroup = '65534'\n" +
			"[access_list]\nmode = 'deny'\npath = 'list.txt'\n" +
			"[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
		shell: "cd " + root,
	})
	relay(t, tr)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", tr.cmd.Process.Pid))
	if err != nil || len(tasks) < 3 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err == nil && !strings.Contains(string(b), "Uid:\t65534\t65534\t65534\t65534") {
			t.Errorf("a thread has kept its user:\n%s", b)
		}
	}
	p := tr.dial()
	allowed := func() bool {
		p.send(announce(id("good"), id("peer"), 0, nil))
		return p.receive()["failure reason"] == nil
	}
	if !allowed() {
		t.Error("refused")
	}
	write(fmt.Sprintf("%x\n", id("good")))
	tr.signal(syscall.SIGUSR1)
	tr.logged("msg=reloaded", 1)
	eventually(t, "the list is in force", func() bool { return !allowed() })
	url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
	if status, page := get(t, url[1]); status != 200 || !strings.Contains(page, "millrace_peers") {
		t.Errorf("metrics: %d", status)
	}
	if strings.Contains(tr.log.String(), "ERROR") {
		t.Error("errors in the log")
	}
}

// The thread of a shard runs on the one CPU that it is given, out of those that the process may use.
func TestPinning(t *testing.T) {
	pinned := func(other string) (cpus []string) {
		tr := start(t, settings{top: "socket_workers = 1", other: other})
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", tr.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		all, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		list := regexp.MustCompile(`Cpus_allowed_list:\s*(\S+)`)
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if m := list.FindSubmatch(b); err == nil && string(m[1]) != string(list.FindSubmatch(all)[1]) {
				cpus = append(cpus, string(m[1]))
			}
		}
		return cpus
	}
	if got := pinned(""); len(got) != 1 && runtime.NumCPU() > 1 {
		t.Errorf("pinned threads: %v, want one", got)
	}
	if got := pinned("[cpu_pinning]\nactive = false"); len(got) != 0 {
		t.Errorf("pinned threads: %v, want none", got)
	}
}

// Connections go to the shard of their torrent, over ws and wss and on every plan, with announces that are larger than
// a receive buffer: then no request is served by mail. Where that is switched off none goes.
func TestFollowTorrents(t *testing.T) {
	f := func(name, plan string, follow bool, p *pki) {
		t.Run(name, func(t *testing.T) {
			s := settings{
				top: "socket_workers = 2", plan: plan, network: fmt.Sprintf("follow_torrents = %v\n", follow),
				other: "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'",
			}
			if p != nil {
				s.network += p.settings()
			}
			tr := start(t, s)
			if p != nil {
				tr.client = p.client(tls.VersionTLS13, nil)
			}
			for range 3 { // 48 connections: that none of them has to move does not happen
				relay(t, tr)
			}
			url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
			_, page := get(t, url[1])
			in := total(t, page, `millrace_connections_moved_total\{direction="in"`)
			out := total(t, page, `millrace_connections_moved_total\{direction="out"`)
			here := total(t, page, `millrace_requests_by_owner_total\{owner="own_shard"`)
			elsewhere := total(t, page, `millrace_requests_by_owner_total\{owner="other_shard"`)
			if in != out || (in > 0) != follow || (elsewhere == 0) != follow || here+elsewhere != 3*8*4 {
				t.Errorf("%v in, %v out, %v requests served on their own shard, %v on the other", in, out, here, elsewhere)
			}
			tr.stop()
		})
	}
	p := newPKI(t, "ecdsa", 1, time.Now().Add(24*time.Hour))
	for plan := range plans {
		f("ws "+plan, plan, true, nil)
		f("wss "+plan, plan, true, p)
	}
	f("off", "newest", false, nil)
}

// With a memory limit that the tracker soon reaches, clients that are there are served, more peers are refused with a
// failure that asks them to come later, then more connections, and log, metrics and health checks say so.
func TestMemoryLimit(t *testing.T) {
	figure := func(page, name string) float64 { return total(t, page, "millrace_memory_"+name) }
	keys := "[metrics]\nrun_prometheus_endpoint = true\nprometheus_endpoint_address = '127.0.0.1:0'\n[limits]\nmemory_limit = "
	run := func(limit int, large bool) (tr *tracker, page func() string) {
		tr = start(t, settings{
			top: "socket_workers = 2", other: keys + fmt.Sprint(limit), network: "enable_http_health_checks = true",
			large: large,
		})
		url := regexp.MustCompile(`msg="serving metrics" url=(\S+)`).FindStringSubmatch(tr.log.String())
		return tr, func() string { _, page := get(t, url[1]); return page }
	}
	tr, page := run(1<<40, false)
	eventually(t, "the memory is known", func() bool { return figure(page(), "resident_bytes") > 0 })
	empty := int(figure(page(), "resident_bytes"))
	relay(t, tr)
	tr.stop()

	tr, page = run(empty+12<<20, false)
	first := tr.dial()
	first.send(announce(id("hash"), id("first"), 0, nil))
	first.receive()
	refused := func() bool { // announces of many peers
		c, err := net.Dial("tcp", tr.addr)
		if err != nil {
			return true // it takes no more connections already
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		var all strings.Builder
		all.WriteString(head("GET / HTTP/1.1", "\r\n"))
		const n = 4000
		for range n {
			serial++
			text := fmt.Sprintf(`{"action":"announce","info_hash":"%s","peer_id":"%s"}`, id("%d", serial), id("peer"))
			all.WriteString(string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text)
		}
		go io.WriteString(c, all.String())
		replies := bufio.NewReader(c)
		for range n {
			line, err := replies.ReadString('}')
			if err != nil {
				return true // the same
			}
			if strings.Contains(line, "tracker is full, try again later") {
				return true
			}
		}
		return false
	}
	eventually(t, "a peer is refused", refused)
	tr.logged("limits.memory_limit: it takes no more peers", 1)
	first.send(announce(id("hash"), id("first"), 0, nil))
	if m := first.receive(); m["incomplete"] != 1.0 {
		t.Errorf("a peer that is there gets %v", m)
	}
	if got := page(); figure(got, "pressure") == 0 || figure(got, "limit_bytes") != float64(empty+12<<20) {
		t.Errorf("memory on the metrics page: pressure %v, limit %v", figure(got, "pressure"), figure(got, "limit_bytes"))
	}
	tr, page = run(16<<20, true) // the buffers of the rings alone are larger
	tr.logged("no more peers and no more connections", 1)
	if got, err := http.Get("http://" + tr.addr + "/health"); err == nil {
		t.Errorf("a health check was answered with %v", got)
	}
	if got := figure(page(), "pressure"); got != 2 {
		t.Errorf("memory pressure %v, want 2", got)
	}
}

var serial int // of the torrents of TestMemoryLimit

// manager returns the socket on which a service manager hears, and its path.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, name
}

// A service manager hears that the tracker is ready, that it is alive as often as it wishes, how many are connected, when it
// reads its files again, and that it stops.
func TestServiceManager(t *testing.T) {
	l, name := manager(t)
	hear := func(word string) { t.Helper(); hear(t, l, word) }
	tr := start(t, settings{env: []string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=300000"}})
	hear("READY=1")
	hear("STATUS=0 connections, 0 peers")
	p := tr.dial()
	p.send(announce(id("hash"), id("peer"), 0, nil))
	p.receive()
	hear("STATUS=1 connections, 1 peers")
	hear("WATCHDOG=1")
	tr.signal(syscall.SIGHUP)
	hear("RELOADING=1")
	hear("READY=1")
	tr.signal(syscall.SIGTERM)
	hear("STOPPING=1")
}
