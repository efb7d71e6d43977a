package server

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/tlsconn"
)

// This file proves that keys of session tickets survive in their file, and that a file that is not as it should be is named.

// What is written is what is read, by the owner only, and nothing else is left in the folder.
func TestTicketKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	if keys, err := readTicketKeys(path); keys != nil || err != nil {
		t.Errorf("no file: %v, %v", keys, err)
	}
	for n := range 3 {
		var keys []tlsconn.TicketKey
		for k := range n + 1 {
			keys = append(keys, tlsconn.TicketKey{Key: [32]byte{byte(k + 1), 31: 7}, Made: now.Add(-time.Duration(k) * time.Hour)})
		}
		if err := writeTicketKeys(path, keys); err != nil {
			t.Fatal(err)
		}
		got, err := readTicketKeys(path)
		if err != nil || !reflect.DeepEqual(got, keys) {
			t.Errorf("wrote %v, read %v, %v", keys, got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("in the folder are %v, %v", all, err)
	}
	err := writeTicketKeys(filepath.Join(path, "keys"), nil) // a file is no folder
	if err == nil || !strings.Contains(err.Error(), ticketKeysKey) || !strings.Contains(err.Error(), "make the folder writable") {
		t.Errorf("no folder: %v", err)
	}
}

// Each mistake in a file is an error that names the key of the configuration and the line.
func TestWrongTicketKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	f := func(text string, mode os.FileMode, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		keys, err := readTicketKeys(path)
		if keys != nil || err == nil || !strings.HasPrefix(err.Error(), ticketKeysKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, keys, err)
		}
	}
	digits := strings.Repeat("0f", 32)
	good := "2026-11-27T12:00:00Z " + digits + "\n"
	f(good, 0o640, "mode 0640")
	f(good, 0o602, "mode 0602")
	f(good+"yesterday "+digits, 0o600, "line 2 does not begin with a time")
	f("# head\n\n2026-11-27T12:00:00Z "+digits[2:], 0o600, "line 3 has no key of 64")
	f("2026-11-27T12:00:00Z", 0o600, "line 1 has no key of 64")
	f("2026-11-27T12:00:00Z xx"+digits[2:], 0o600, "line 1 has no key of 64")
	f(strings.Repeat(good, maxTicketKeys+1), 0o600, fmt.Sprintf("more than %d keys", maxTicketKeys))
}
