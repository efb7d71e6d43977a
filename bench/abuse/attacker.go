package main

// This file owns the attackers' process: it plays one attack until its standard input ends. A process of its own keeps
// the attackers' work out of the honest clients' latencies as far as one machine allows.

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// order tells the attackers' process its task.
type order struct {
	Attack  string // name
	Target  string // host:port of the tracker
	Metrics string // host:port of its metrics page
	TLS     bool
	Scale   float64
}

// spent is the report of the attackers' process.
type spent struct {
	Sent    int64 // bytes given to TCP
	Opened  int64 // TCP connections
	Entered int64 // of them upgraded
	Refused int64 // attempts to connect that failed, and failures that the tracker sent
}

// scene is the world of one attack, as its attackers see it.
type scene struct {
	order
	*attack
	*dialer
	began   func() // is called when an attacker is where its attack begins
	refused atomic.Int64
}

// attackerAddress returns the address of the attackers' connection i: one for all of them, or one for each.
func (s *scene) attackerAddress(i int) net.IP {
	if !s.many {
		i = 0
	}
	return net.IPv4(127, 66, byte(i/250), byte(1+i%250))
}

// renewAfter is the pause between the end of a connection and the next one.
const renewAfter = 20 * time.Millisecond

// playAttack plays an attack until the context ends, and returns its cost. It calls began when an attacker is where the
// attack begins.
func playAttack(ctx context.Context, o order, began func()) (spent, error) {
	a := attackNamed(o.Attack)
	if a == nil || a.life == nil {
		return spent{}, fmt.Errorf("there is no attack %q with attackers", o.Attack)
	}
	s := &scene{order: o, attack: a, dialer: newDialer(o.Target, o.TLS), began: began}
	s.reset, s.dialer.deaf = true, a.deaf
	if s.tls != nil {
		s.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0) // attackers come back as cheaply as they can
	}
	if a.stage == toMetrics {
		s.target = o.Metrics
	}
	var lives sync.WaitGroup
	n := scaled(a.connections, o.Scale)
	for i := range n {
		lives.Go(func() {
			pause(ctx, stretched(a.spread, o.Scale)*time.Duration(i)/time.Duration(n))
			for ctx.Err() == nil {
				s.live(ctx, i)
				pause(ctx, renewAfter)
			}
		})
	}
	lives.Wait()
	return spent{s.sent.Load(), s.opened.Load(), s.entered.Load(), s.refused.Load()}, nil
}

// live plays the life of one connection.
func (s *scene) live(run context.Context, i int) {
	ctx, end := context.WithCancel(run)
	defer end() // closes the connection
	var c *client
	var err error
	switch s.stage {
	case upgraded:
		c, err = s.open(ctx, s.sourceOf(i))
	case secured:
		c = new(client)
		c.Conn, err = s.secure(ctx, s.sourceOf(i))
	default:
		c = new(client)
		c.Conn, err = s.tcp(ctx, s.sourceOf(i))
	}
	switch {
	case err == nil:
		s.began()
		s.life(ctx, s, c, i)
	case run.Err() == nil:
		s.refused.Add(1)
	}
}

// sourceOf returns the address of connection i. An attack may choose it, for example that of a victim.
func (s *scene) sourceOf(i int) net.IP {
	if s.source != nil {
		return s.source(i)
	}
	return s.attackerAddress(i)
}

// scaled returns a number of connections times the scale, at least 1.
func scaled(n int, scale float64) int { return max(1, int(math.Round(float64(n)*scale))) }

// stretched returns a duration times the scale.
func stretched(d time.Duration, scale float64) time.Duration {
	return time.Duration(float64(d) * scale)
}

// attackCommand is the first argument with which this program becomes the attackers' process.
const attackCommand = "attack"

// obey is the main of the attackers' process.
func obey(arg string, stdin io.Reader, stdout io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("cannot read the order for the attackers: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, stdin)
		stop()
	}()
	out := json.NewEncoder(stdout)
	began := sync.OnceFunc(func() { out.Encode(true) })
	cost, err := playAttack(ctx, o, began)
	if err != nil {
		return err
	}
	began()
	return out.Encode(cost)
}

// attackers is the attackers' process, as the harness sees it.
type attackers struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *json.Decoder
	since time.Time
	began chan error // gets one value when the attack has begun
}

// startAttackers starts the attackers' process. If the machine has more CPUs than the tracker has shards, it runs on
// those that the tracker does not use. It is nicer than the others: on a real network attackers have CPUs of their own.
func startAttackers(o order, shards int) (*attackers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	argv := []string{self, attackCommand, string(text)}
	if _, err := exec.LookPath("nice"); err == nil {
		argv = append([]string{"nice", "-n", "5"}, argv...)
	}
	if _, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > shards {
		argv = append([]string{"taskset", "-c", strconv.Itoa(shards) + "-" + strconv.Itoa(runtime.NumCPU()-1)}, argv...)
	}
	a := &attackers{cmd: exec.Command(argv[0], argv[1:]...), since: time.Now(), began: make(chan error, 1)}
	a.cmd.Stderr = os.Stderr
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if a.stdin, err = a.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the attackers: %w", err)
	}
	a.out = json.NewDecoder(stdout)
	go func() { a.began <- a.out.Decode(new(bool)) }()
	return a, nil
}

// wait waits until the attack has begun, at most as long as an attempt to connect takes.
func (a *attackers) wait(ctx context.Context) {
	select {
	case err := <-a.began:
		a.since = time.Now()
		a.began <- err
	case <-ctx.Done():
	case <-time.After(patience):
	}
}

// stop ends the attackers and returns their cost and the time that they took.
func (a *attackers) stop() (cost spent, took time.Duration, err error) {
	took = time.Since(a.since)
	a.stdin.Close()
	kill := time.AfterFunc(2*patience, func() { a.cmd.Process.Kill() })
	defer kill.Stop()
	if err = <-a.began; err == nil {
		err = a.out.Decode(&cost)
	}
	if waited := a.cmd.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		err = fmt.Errorf("the attackers' process failed: %w", err)
	}
	return cost, took, err
}
