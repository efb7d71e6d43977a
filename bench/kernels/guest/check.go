package main

// This file runs the tracker in every plan that this kernel allows, and with several limits of locked memory.

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// runs are ways to use this kernel: the tracker's own choice, the Linux 5.8 baseline, and steps between. A feature that
// is "off" never fails, and no feature is required that 5.8 lacks. With 16 receive buffers, the least, there are always
// more connections that send than buffers.
var runs = []struct {
	plan            string
	shards, buffers int
	lines           string
}{
	{"auto", 1, 512, ""},
	{"auto", 2, 16, ""},
	{"baseline", 1, 16, baseline},
	{"baseline", 2, 512, baseline},
	{"without multishot", 2, 16, off("multishot_accept", "multishot_receive")},
	{"fixed_send, without timed_wait", 1, 512, off("timed_wait") + "fixed_send = 'require'\n"},
}

var baseline = off("multishot_accept", "buffer_ring", "multishot_receive", "message_ring", "coop_taskrun",
	"single_issuer", "defer_taskrun", "registered_ring", "registered_buffers", "fixed_send", "timed_wait", "min_wait")

func off(names ...string) string { return strings.Join(names, " = 'off'\n") + " = 'off'\n" }

// config returns a configuration file.
func config(shards, receiveBuffers int, plan string) string {
	return fmt.Sprintf("socket_workers = %d\n[network]\naddress = '127.0.0.1:0'\n[io_uring]\nreceive_buffers = %d\n%s",
		shards, receiveBuffers, plan)
}

// check runs all checks.
func check() error {
	begin := time.Now()
	fmt.Println("the kernel is up")
	if err := checkMemlock(); err != nil {
		return err
	}
	fmt.Printf("%6.1fs  memlock checked\n", time.Since(begin).Seconds())
	for k, r := range runs {
		what := fmt.Sprintf("plan %s, %d shards, %d receive buffers", r.plan, r.shards, r.buffers)
		tr, err := start(settings{config: config(r.shards, r.buffers, r.lines), memlock: unlimited})
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		err = use(tr.addr)
		if stopErr := tr.stop(); err == nil {
			err = stopErr
		}
		if k == 0 || err != nil {
			fmt.Println(tr.log())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		fmt.Printf("%6.1fs  relays: %s\n", time.Since(begin).Seconds(), what)
	}
	if err := ringTests(); err != nil {
		return err
	}
	fmt.Printf("%6.1fs  tests of package ring pass\n", time.Since(begin).Seconds())
	if blackBoxAsked() {
		if err := blackBoxTests(); err != nil {
			return err
		}
		fmt.Printf("%6.1fs  tests of command millrace pass\n", time.Since(begin).Seconds())
	}
	return nil
}

// idleConnections is more than there are receive buffers.
const idleConnections = 600

// use plays the clients of the tracker.
func use(addr string) error {
	if err := pair(addr, "few", "v=0", large()); err != nil {
		return err
	}
	idle := make([]*peer, idleConnections)
	for k := range idle {
		var err error
		if idle[k], err = dial(addr, id20("idle %d", k)); err != nil {
			return fmt.Errorf("idle connection %d: %w", k, err)
		}
		defer idle[k].leave(false)
	}
	if err := pair(addr, "many idle", "v=0", large()); err != nil {
		return err
	}
	if err := crowd(addr); err != nil {
		return err
	}
	// The idle connections can all still be heard. Afterwards every tenth leaves without a close frame, and every tenth
	// with one.
	for k, p := range idle {
		if err := p.announce(id20("idlers"), 1); err != nil {
			return fmt.Errorf("after having been idle: %w", err)
		}
		if k%5 == 0 {
			if err := p.leave(k%10 == 0); err != nil {
				return fmt.Errorf("cannot leave: %w", err)
			}
		}
	}
	if err := resets(addr); err != nil {
		return err
	}
	return pair(addr, "last", "v=0")
}

// pair lets two new peers meet in several torrents, so that every shard owns some, with each of the session
// descriptions.
func pair(addr, name string, sdps ...string) error {
	a, err := dial(addr, id20("a %s", name))
	if err != nil {
		return err
	}
	defer a.leave(false)
	b, err := dial(addr, id20("b %s", name))
	if err != nil {
		return err
	}
	defer b.leave(false)
	for k := range 4 {
		for _, sdp := range sdps {
			if err := meet(a, b, id20("%s %d %d", name, k, len(sdp)), sdp); err != nil {
				return fmt.Errorf("%s, torrent %d, %d bytes: %w", name, k, len(sdp), err)
			}
		}
	}
	return nil
}

// large returns a session description that makes a message of more than 100,000 bytes: it is nearly as long as allowed,
// 64 KiB, and most of its characters have to be escaped.
func large(mark ...int) string { return fmt.Sprint(mark) + strings.Repeat("v\r\n\"\\", 12_000) }

// crowd lets pairs meet at the same time with messages of many receive buffers each.
func crowd(addr string) error {
	const pairs, rounds = 8, 2
	errs := make([]error, pairs)
	var all sync.WaitGroup
	for k := range pairs {
		all.Go(func() {
			a, err := dial(addr, id20("crowd a %d", k))
			if err != nil {
				errs[k] = err
				return
			}
			defer a.leave(false)
			b, err := dial(addr, id20("crowd b %d", k))
			if err != nil {
				errs[k] = err
				return
			}
			defer b.leave(false)
			for n := range rounds {
				if err := meet(a, b, id20("crowd %d %d", k, n), large(k, n)); err != nil {
					errs[k] = fmt.Errorf("crowd, round %d: %w", n, err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// resets connects clients that reset their connection at once, some before they could be accepted.
func resets(addr string) error {
	for range 100 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return nil
}

// checkMemlock runs the tracker as an ordinary user with several limits of locked memory. It must run, or give the
// reason and the remedy in one sentence.
func checkMemlock() error {
	for _, shards := range []int{1, 2} {
		for _, limit := range []uint64{0, 64 << 10, 512 << 10, 8 << 20, unlimited} {
			name := fmt.Sprint(limit)
			if limit == unlimited {
				name = "unlimited"
			}
			verdict, err := tryMemlock(shards, limit)
			if err != nil {
				return fmt.Errorf("memlock %s, %d shards: %w", name, shards, err)
			}
			fmt.Printf("memlock %s, %d shards: %s\n", name, shards, verdict)
		}
	}
	return nil
}

func tryMemlock(shards int, limit uint64) (verdict string, err error) {
	tr, err := launch(settings{config: config(shards, 512, ""), uid: 1000, memlock: limit})
	if err != nil {
		return "", err
	}
	select {
	case tr.addr = <-tr.listening:
	case <-tr.exited:
		code := tr.cmd.ProcessState.ExitCode()
		if code != 1 || len(tr.lines) != 1 || !strings.Contains(tr.lines[0], "LimitMEMLOCK") {
			return "", fmt.Errorf("exit code %d, and not one sentence with a remedy:\n%s", code, tr.log())
		}
		return "refuses: " + tr.lines[0], nil
	case <-time.After(patience):
		tr.kill()
		return "", fmt.Errorf("the tracker neither starts nor ends:\n%s", tr.log())
	}
	err = pair(tr.addr, "memlock", "v=0", strings.Repeat("v=0 \r\n", 2_000))
	if stopErr := tr.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, tr.log())
	}
	verdict = "runs"
	for _, line := range tr.lines {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "msg=shards") ||
			strings.Contains(line, "trying it failed") {
			verdict += "\n\t" + line
		}
	}
	return verdict, nil
}
