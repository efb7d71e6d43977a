package server

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// This file proves how files are read again.

// TestReadFile proves that a file of any size is read as it is, with a rest after each piece, and that a pipe is read
// to its end.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	f := func(size, rests int) {
		t.Helper()
		want := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		path := filepath.Join(dir, "list")
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		got, err := readFile(path, func() { n++ })
		if err != nil || !bytes.Equal(got, want) || n != rests {
			t.Errorf("%d bytes: read %d with %d rests, want %d; error %v", size, len(got), n, rests, err)
		}
		if got, err = readFile(path, nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d without rests; error %v", size, len(got), err)
		}
	}
	f(0, 0)
	f(1, 1)
	f(filePiece, 1)
	f(filePiece+1, 2)
	f(3*filePiece+5, 4)

	if _, err := readFile(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a file that is not there:", err)
	}
	if _, err := readFile(dir, nil); err == nil {
		t.Error("a folder is read")
	}

	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { os.WriteFile(pipe, bytes.Repeat([]byte("x"), 100_000), 0) }()
	if got, err := readFile(pipe, nil); err != nil || len(got) != 100_000 {
		t.Errorf("read %d bytes of a pipe, want 100000; error %v", len(got), err)
	}
}

// TestReloadOnlyAsks proves that Reload returns before the files are read, and that requests do not pile up.
func TestReloadOnlyAsks(t *testing.T) {
	s := &Server{reloads: make(chan struct{}, 1)}
	for range 3 {
		s.Reload()
	}
	if len(s.reloads) != 1 {
		t.Errorf("%d requests wait, want 1", len(s.reloads))
	}
}
