package load

// This file is the form of the key server_pid: a number, or several in a text.

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// PIDs are processes. As text they are divided by commas; 0 is none. In JSON and TOML one of them, or none, is a number.
type PIDs []int

// String returns the text.
func (p PIDs) String() string {
	if len(p) == 0 {
		return "0"
	}
	words := make([]string, len(p))
	for k, pid := range p {
		words[k] = strconv.Itoa(pid)
	}
	return strings.Join(words, ",")
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *PIDs) UnmarshalText(text []byte) error {
	var read PIDs
	for word := range strings.SplitSeq(string(text), ",") {
		pid, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return fmt.Errorf("%q is no process: write its number, or several divided by commas", word)
		}
		read = append(read, pid)
	}
	if len(read) == 1 && read[0] == 0 {
		read = nil
	}
	*p = read
	return nil
}

// MarshalJSON implements json.Marshaler.
func (p PIDs) MarshalJSON() ([]byte, error) {
	if len(p) > 1 {
		return json.Marshal(p.String())
	}
	return []byte(p.String()), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *PIDs) UnmarshalJSON(data []byte) error {
	return p.UnmarshalText([]byte(strings.Trim(string(data), `"`)))
}

// processes checks the processes that are measured.
func (v *validator) processes() {
	c := v.config
	v.report(len(c.ServerPID) <= maxNodes, "server_pid has %d processes, but there may be at most %d", len(c.ServerPID), maxNodes)
	for k, pid := range c.ServerPID {
		v.report(1 <= pid && pid <= math.MaxInt32, "server_pid has %d, but a process is from 1 to %d", pid, math.MaxInt32)
		for _, other := range c.ServerPID[:k] {
			v.report(other != pid, "server_pid has %d more than once: its figures would count more than once", pid)
		}
	}
}
