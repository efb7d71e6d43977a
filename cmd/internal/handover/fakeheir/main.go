// Command fakeheir takes the place of a tracker's successor in tests of hand-overs, and fails at a step. The file fakeheir in the
// folder in which the tracker runs names the step and the deed, such as "connections exit".
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"millrace/cmd/internal/handover"
)

// steps are those at which a successor can fail, in their order.
var steps = []string{
	"started",     // it has said nothing
	"listeners",   // it has the listening sockets
	"ready",       // it has said that it could serve
	"state",       // the predecessor stands still
	"connection",  // it has the first connection
	"connections", // it has them all
	"peers",       // it has the first peers
	"end",         // it has everything
	"mine",        // it has said so
}

// deeds are what it does there.
var deeds = map[string]func(h *heir){
	"exit": func(*heir) { os.Exit(1) },
	// It neither reads nor writes, and does not listen to those who ask it to end.
	"hang": func(*heir) {
		signal.Ignore(syscall.SIGTERM)
		forever := make(chan os.Signal, 1)
		signal.Notify(forever, syscall.SIGUSR1)
		<-forever
	},
	"nonsense": func(h *heir) {
		_ = h.link.SendRaw(handover.KindConnection, []byte("nonsense")) // the predecessor may have ended
		for {
			r, err := h.link.Receive()
			if err != nil {
				os.Exit(1)
			}
			letGo(&r)
		}
	},
}

// heir is the successor.
type heir struct {
	link       *handover.Link
	step, deed string
}

func main() {
	err := run()
	fmt.Fprintln(os.Stderr, "fakeheir:", err)
	os.Exit(2)
}

// run goes through all steps. It does not return in good order.
func run() error {
	text, err := os.ReadFile("fakeheir")
	if err != nil {
		return err
	}
	h := &heir{}
	var ok bool
	h.step, h.deed, ok = strings.Cut(strings.TrimSpace(string(text)), " ")
	if !ok || !slices.Contains(steps, h.step) || deeds[h.deed] == nil {
		return fmt.Errorf("%q names no step and deed", text)
	}
	if h.link, err = handover.FromEnvironment(); err != nil || h.link == nil {
		return errors.Join(errors.New("nobody hands over to this process"), err)
	}
	h.at("started")
	if err := h.link.Send(handover.KindHello, &handover.Hello{Format: handover.Version, Program: "fakeheir", Answers: true}, -1); err != nil {
		return err
	}
	if err := h.until(handover.KindListeners); err != nil {
		return err
	}
	h.at("listeners")
	if err := h.link.Send(handover.KindReady, nil, -1); err != nil {
		return err
	}
	h.at("ready")
	if err := h.until(handover.KindEnd); err != nil {
		return err
	}
	h.at("end")
	if err := h.link.Send(handover.KindMine, nil, -1); err != nil {
		return err
	}
	h.at("mine")
	return errors.New("nothing is left to fail at")
}

// at does the deed if this is the step.
func (h *heir) at(step string) {
	if step == h.step {
		deeds[h.deed](h)
	}
}

// until receives records up to one of a kind.
func (h *heir) until(kind handover.Kind) error {
	for connected := false; ; {
		r, err := h.link.Receive()
		if err != nil {
			return err
		}
		letGo(&r)
		switch r.Kind {
		case kind:
			return nil
		case handover.KindState:
			h.at("state")
		case handover.KindConnection:
			connected = true
			h.at("connection")
		case handover.KindPeers:
			h.at("peers")
		}
		if connected && r.Kind != handover.KindConnection {
			h.at("connections")
		}
	}
}

// letGo closes the descriptor of a record.
func letGo(r *handover.Received) {
	if r.FD >= 0 {
		_ = syscall.Close(r.FD) // it is good
	}
}
