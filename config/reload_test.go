package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// This file tests the step to another configuration.

// TestNext proves that the keys of a new file are taken but for those that need a restart, that these keep their values and
// are named, and that a contradiction between both is an error.
func TestNext(t *testing.T) {
	load := func(text string) *Config {
		t.Helper()
		c, err := Load("test.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	f := func(before, after, wantChanged, wantKept, wantErr string) *Config {
		t.Helper()
		now, next := load(before), load(after)
		was := fmt.Sprint(*now)
		merged, changed, kept, err := now.Next(next)
		if got := strings.Join(changed, " "); got != wantChanged {
			t.Errorf("%s → %s: changed %q", before, after, got)
		}
		if got := strings.Join(kept, " "); got != wantKept {
			t.Errorf("%s → %s: kept %q", before, after, got)
		}
		if got := fmt.Sprint(err); !strings.Contains(got, wantErr) || (err == nil) != (wantErr == "<nil>") {
			t.Errorf("%s → %s: error %q, want %q", before, after, got, wantErr)
		}
		if fmt.Sprint(*now) != was {
			t.Error("the configuration in force has changed")
		}
		return merged
	}
	f("", "", "", "", "<nil>")
	f("[protocol]\nmax_offers = 3", "[protocol]\nmax_offers = 4\n[metrics]\npprof = true", "metrics.pprof protocol.max_offers", "",
		"<nil>")
	m := f("socket_workers = 1", "socket_workers = 2\n[limits]\nexempt = []", "limits.exempt", "socket_workers", "<nil>")
	if m.SocketWorkers != 1 || len(m.Limits.Exempt) != 0 {
		t.Errorf("merged %d, %v", m.SocketWorkers, m.Limits.Exempt)
	}
	m = f("", "[network]\nwebsocket_max_message_size = 1048576", "limits.assembly_bytes_per_address "+
		"network.websocket_max_message_size", "io_uring.mailbox_size", "io_uring.mailbox_size is 1048576, but must be at least")
	if m.IOUring.MailboxSize != 1<<20 {
		t.Errorf("the mailbox has %d bytes", m.IOUring.MailboxSize)
	}
}

// TestFixedKeysDocumented proves that the guide for operators names the keys that need a restart, and no other.
func TestFixedKeysDocumented(t *testing.T) {
	text, err := os.ReadFile("OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), "<!-- keys that need a restart -->\n")
	list, _, end := strings.Cut(list, "<!-- end -->")
	if !ok || !end {
		t.Fatal("OPERATING.md has no list of the keys that need a restart")
	}
	var got []string
	for k, word := range strings.Split(list, "`") {
		if k%2 == 1 {
			got = append(got, word)
		}
	}
	slices.Sort(got)
	if want := FixedKeys(); !slices.Equal(got, want) {
		t.Errorf("OPERATING.md names\n%q, the fields have\n%q", got, want)
	}
}
