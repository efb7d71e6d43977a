package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"millrace/tlsconn"
)

// This file owns the file of the keys of session tickets: a line for each key, with the time at which it was made and its
// bytes in hexadecimal digits. It is replaced as a whole, so that a crash leaves the old or the new one.

const (
	ticketKeysKey  = "network.tls_ticket_keys_path"
	ticketKeysHead = "# Keys of TLS session tickets. Keep them secret: they open recorded sessions of TLS 1.2.\n"
	maxTicketKeys  = 64  // in a file: eight are in use at a time
	mostTicketLine = 100 // bytes of a line
)

// readTicketKeys reads the file; a missing one has no keys. A file that others may read is an error: its keys are no secret.
func readTicketKeys(path string) ([]tlsconn.TicketKey, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var text []byte
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others than the owner may read or write %s (mode %04o): its keys are no secret; remove it",
			ticketKeysKey, path, info.Mode().Perm())
	}
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read the keys: %w", ticketKeysKey, err)
	}
	keys, err := parseTicketKeys(text)
	clear(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w; remove the file", ticketKeysKey, path, err)
	}
	return keys, nil
}

// parseTicketKeys reads the text of the file. Text and keys are the caller's to overwrite: there are no copies.
func parseTicketKeys(text []byte) (keys []tlsconn.TicketKey, err error) {
	defer func() {
		if err != nil {
			clear(keys)
			keys = nil
		}
	}()
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if len(keys) == maxTicketKeys {
			return keys, fmt.Errorf("there are more than %d keys", maxTicketKeys)
		}
		if keys == nil {
			keys = make([]tlsconn.TicketKey, 0, maxTicketKeys)
		}
		made, digits, _ := bytes.Cut(line, []byte(" "))
		keys = keys[:len(keys)+1]
		k := &keys[len(keys)-1]
		if k.Made, err = time.Parse(time.RFC3339, string(made)); err != nil {
			return keys, fmt.Errorf("line %d does not begin with a time", n)
		}
		if len(digits) == hex.EncodedLen(len(k.Key)) {
			_, err = hex.Decode(k.Key[:], digits)
		} else {
			err = hex.ErrLength
		}
		if err != nil {
			return keys, fmt.Errorf("line %d has no key of %d hexadecimal digits", n, 2*len(k.Key))
		}
	}
	return keys, nil
}

// appendTicketKeys appends the text of the file, which is the caller's to overwrite: there are no copies.
func appendTicketKeys(dst []byte, keys []tlsconn.TicketKey) []byte {
	dst = slices.Grow(dst, len(ticketKeysHead)+len(keys)*mostTicketLine)
	dst = append(dst, ticketKeysHead...)
	for i := range keys {
		dst = keys[i].Made.UTC().AppendFormat(dst, time.RFC3339)
		dst = append(hex.AppendEncode(append(dst, ' '), keys[i].Key[:]), '\n')
	}
	return dst
}

// writeTicketKeys replaces the file. It belongs to the user of the process, and nobody else may read it.
func writeTicketKeys(path string, keys []tlsconn.TicketKey) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: cannot keep the keys: %w; make the folder writable for the tracker's user", ticketKeysKey, err)
		}
	}()
	file, err := os.CreateTemp(filepath.Dir(path), ".ticket-keys-*") // with mode 0600
	if err != nil {
		return err
	}
	text := appendTicketKeys(nil, keys)
	_, err = file.Write(text)
	clear(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
