// Package convert makes a configuration of millrace from that of another WebTorrent tracker: files of aquatic_ws, wt-tracker and
// wt-tracker-rust, and the command line of bittorrent-tracker. It is plain text in and out.
package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"millrace/config"
)

// Result is a configuration and what it leaves out.
type Result struct {
	From  string   // the tracker whose settings were read
	TOML  []byte   // the keys that differ from "not set", with their values
	Notes []string // sentences: settings without a counterpart, and what to look at
}

// Read makes a configuration of the text of a file. The name appears in errors only.
func Read(name string, text []byte) (Result, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		return fromJSON(name, trimmed)
	case isCommandLine(trimmed):
		return fromCommandLine(name, string(trimmed))
	}
	return fromAquatic(name, text)
}

// draft collects settings as TOML, section by section, and notes.
type draft struct {
	sections []string
	keys     map[string][]string // by section
	listens  []string            // the keys of each section [[listen]]
	notes    []string
}

// set writes a key, or writes it anew. value is TOML.
func (d *draft) set(section, key, value string) {
	for k, line := range d.keys[section] {
		if strings.HasPrefix(line, key+" = ") {
			d.keys[section][k] = key + " = " + value
			return
		}
	}
	if d.keys == nil {
		d.keys = map[string][]string{}
	}
	if _, ok := d.keys[section]; !ok {
		d.sections = append(d.sections, section)
	}
	d.keys[section] = append(d.keys[section], key+" = "+value)
}

// get returns the value of a key as TOML; empty where it is not set.
func (d *draft) get(section, key string) string {
	for _, line := range d.keys[section] {
		if value, ok := strings.CutPrefix(line, key+" = "); ok {
			return value
		}
	}
	return ""
}

func (d *draft) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// text returns the file. Keys without a section come first, as TOML demands.
func (d *draft) text() []byte {
	var b bytes.Buffer
	for _, line := range d.keys[""] {
		b.WriteString(line + "\n")
	}
	for _, section := range d.sections {
		if section != "" {
			b.WriteString("[" + section + "]\n" + strings.Join(d.keys[section], "\n") + "\n")
		}
	}
	for _, keys := range d.listens {
		b.WriteString("[[listen]]\n" + keys)
	}
	return b.Bytes()
}

// finish checks the draft as a start would, and prints it.
func (d *draft) finish(from, name string) (Result, error) {
	cfg, err := config.Load(name, d.text())
	if err != nil {
		return Result{}, fmt.Errorf("the settings of %s make a configuration with mistakes; correct them in the file and "+
			"try again:\n%w\nThe lines are those of the configuration that was made:\n%s", from, err, d.text())
	}
	return Result{From: from, TOML: appendSet(nil, cfg, nil), Notes: d.notes}, nil
}

// appendSet appends the keys that a configuration sets but those to be left out, each under its section.
func appendSet(dst []byte, cfg *config.Config, without []string) []byte {
	section, shown := "", ""
	for line := range bytes.Lines(cfg.AppendTOML(nil)) {
		if bytes.HasPrefix(line, []byte("[[")) {
			break // the sections [[listen]], which are the last
		}
		if line[0] == '[' {
			section = string(line[1:bytes.IndexByte(line, ']')])
			continue
		}
		key, _, isKey := strings.Cut(string(line), " = ")
		if section != "" {
			key = section + "." + key
		}
		if line[0] == '#' || !isKey || !cfg.IsSet(key) || slices.Contains(without, key) {
			continue
		}
		if section != shown {
			shown = section
			dst = append(dst, "\n["+section+"]\n"...)
		}
		dst = append(dst, line...)
	}
	return cfg.AppendListen(dst)
}

// fromAquatic reads a file of aquatic_ws, whose keys have the same names here.
func fromAquatic(name string, text []byte) (Result, error) {
	cfg, err := config.Load(name, text)
	if err != nil {
		return Result{}, fmt.Errorf("it is read as a file of aquatic_ws, since it is neither JSON nor a command line of "+
			"bittorrent-tracker:\n%w", err)
	}
	var d draft
	idle := []string{"swarm_workers", "metrics.torrent_count_update_interval"}
	for _, key := range idle {
		if cfg.IsSet(key) {
			d.note("%s has no effect here and is left out.", key)
		}
	}
	toml := appendSet(nil, cfg, idle)
	const share = "protocol.share_swarms_across_ip_versions"
	if cfg.IsSet("swarm_workers") && !cfg.IsSet(share) {
		d.note("aquatic_ws keeps IPv4 and IPv6 clients of a torrent apart. Here they meet; to keep them apart set " +
			"protocol.share_swarms_across_ip_versions = false.")
	}
	return Result{From: "aquatic_ws", TOML: toml, Notes: d.notes}, nil
}

// Append appends the file for an operator: the notes as comments, and the keys.
func (r *Result) Append(dst []byte, from string) []byte {
	dst = fmt.Appendf(dst, "# Made by millrace --convert from %s, a configuration of %s. `millrace -p` explains all keys.\n",
		printable(from), r.From)
	for _, note := range r.Notes {
		dst = fmt.Appendf(dst, "# - %s\n", printable(note))
	}
	if len(r.TOML) > 0 && r.TOML[0] != '\n' {
		dst = append(dst, '\n')
	}
	return append(dst, r.TOML...)
}

// printable returns a text that stays in its line of comment, whatever the other tracker's file had in it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
}

// quoted returns a TOML string, and list a list of them.
func quoted(s string) string { return strconv.Quote(s) }

func list(all []string) string {
	parts := make([]string, len(all))
	for k, s := range all {
		parts[k] = quoted(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
