package pack

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// This file proves that what was packed comes back, and that the dictionary is of use.

// TestPack proves that records come back as they were, in the room that they need and in no less, and that descriptions of each client take
// less than half of their bytes.
func TestPack(t *testing.T) {
	f := func(records string, most int) {
		t.Helper()
		packed := Append([]byte("before"), []byte(records))
		if !bytes.HasPrefix(packed, []byte("before")) {
			t.Fatal("what was there is gone")
		}
		packed = packed[len("before"):]
		if len(packed) > most {
			t.Errorf("%d bytes became %d", len(records), len(packed))
		}
		got, ok := Unpack(make([]byte, 3, len(records)+3), packed)
		if !ok || string(got) != records {
			t.Errorf("%d bytes came back as %d, %v", len(records), len(got), ok)
		}
		if len(records) > 0 {
			if _, ok := Unpack(make([]byte, 0, len(records)-1), packed); ok {
				t.Errorf("%d bytes found room in less", len(records))
			}
		}
	}
	f("", 100)
	f("x", 100)
	f(strings.Repeat("x", window), 1000)
	for _, text := range []string{pion, libdatachannel, firefox, chromium} {
		// As a client of this kind could write it: with values of its own behind each sign after which they come.
		text = strings.NewReplacer("\n", `\r\n`, "sha-256 ", "sha-256 12:AB:9F:00", " 1 ", " 1 83652", "pwd:", "pwd:Qx7").Replace(text)
		f(text, len(text)/3)
		f(strings.Repeat(text, long/len(text)+1), len(text)/2)
	}
	for _, bad := range []string{"", "\x00", "\x01", "\x02a", "\x03abc"} {
		if _, ok := Unpack(make([]byte, 0, 100), []byte(bad)); ok {
			t.Errorf("%q is a packed form", bad)
		}
	}
}

// TestDictionary proves that the dictionary is that of its version: nodes with other ones cannot read what this one packs.
func TestDictionary(t *testing.T) {
	const want = "a2da4a4fba2aacbc7de014fe71ebf60e7e83173e3630e3be33998a206c73a7de"
	if got := fmt.Sprintf("%x", sha256.Sum256(dictionary())); got != want {
		t.Errorf("the sum of the dictionary is %s: it has changed, so it needs other forms, and another version of the protocol", got)
	}
}

// FuzzUnpack proves that bytes that nobody packed are refused or opened within the room there is.
func FuzzUnpack(f *testing.F) {
	f.Add(Append(nil, []byte(chromium)))
	f.Add(Append(nil, nil))
	f.Add(Append(nil, []byte(strings.Repeat(chromium, 8))))
	f.Fuzz(func(t *testing.T, packed []byte) {
		room := make([]byte, 0, 4096)
		if got, ok := Unpack(room, packed); ok && len(got) > cap(room) {
			t.Errorf("%d bytes in a room of %d", len(got), cap(room))
		}
		if again, ok := Unpack(make([]byte, 0, len(packed)), Append(nil, packed)); !ok || !bytes.Equal(again, packed) {
			t.Error("what was packed came back as something else")
		}
	})
}
