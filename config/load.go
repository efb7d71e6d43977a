package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// This file owns the reading of a file: its syntax, its sections and keys, and the places of all mistakes. value.go
// reads single values, validate.go checks them.

const (
	maxFileSize = 1 << 20 // bytes; the annotated default file has 10 kB
	maxMistakes = 100     // the rest of the file is not read after so many
)

// Load reads a configuration file. A missing key keeps its default, unless the default would contradict a value of the
// file (see [Config.fitDefaults]). The name appears in errors only. Load keeps no reference to data.
//
// The error lists every mistake in the order of the file, one a line, as "name:line:column: sentence". Lines and
// columns count from 1, columns in characters.
func Load(name string, data []byte) (*Config, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s:1:1: the file has %d bytes, but a configuration has at most %d",
			name, len(data), maxFileSize)
	}
	c := Default()
	c.set = make(map[string]bool)
	l := loader{
		config: c,
		fields: c.fields(),
		data:   data[:len(data):len(data)],
		keys:   make(map[string]place),
		tables: make(map[string]place),
	}
	l.read()
	l.check()
	if len(l.mistakes) == 0 {
		l.readAgain()
	}
	if len(l.mistakes) > 0 {
		return nil, l.err(name)
	}
	return c, nil
}

// loader is the state of one call of Load.
type loader struct {
	config   *Config
	fields   map[string]reflect.Value // of config, by key
	data     []byte
	base     int              // offset in data at which the parser began
	section  string           // of the next keys: empty at the top of the file, else with a dot at its end
	skip     bool             // the next keys belong to no section: one mistake has been reported for all
	keys     map[string]place // the keys that the file has set
	tables   map[string]place // the section headers of the file
	mistakes []mistake
}

// place is an offset in the file: of a key's value, or of a section's name.
type place struct {
	offset int
	wrong  bool // a mistake has been reported for it
}

// mistake is one line of Load's error.
type mistake struct {
	offset   int
	sentence string
}

// report notes a mistake at an offset of the file.
func (l *loader) report(offset int, format string, args ...any) {
	l.mistakes = append(l.mistakes, mistake{offset, fmt.Sprintf(format, args...)})
}

// full reports whether there are as many mistakes as an error may list. It bounds the work on a hopeless file.
func (l *loader) full() bool {
	return len(l.mistakes) >= maxMistakes
}

// read takes the values from the file. After text that is not TOML it goes on with the next line, so that one error
// lists the mistakes of the whole file.
func (l *loader) read() {
	var parser unstable.Parser
	for l.base < len(l.data) && !l.full() {
		parser.Reset(l.data[l.base:])
		for parser.NextExpression() {
			l.expression(parser.Expression())
		}
		err := parser.Error()
		if err == nil {
			return
		}
		offset := l.base
		var syntax *unstable.ParserError
		if errors.As(err, &syntax) {
			offset += int(parser.Range(syntax.Highlight).Offset)
		}
		l.report(offset, "the line is not TOML: %s", err)
		l.resume(offset)
	}
}

// resume moves to the line after offset. Where the bad line was to begin a section, the keys below it have no section
// and are passed over, up to the next section.
func (l *loader) resume(offset int) {
	start := bytes.LastIndexByte(l.data[:offset], '\n') + 1
	if bytes.HasPrefix(bytes.TrimLeft(l.data[start:], " \t"), []byte("[")) {
		l.skip = true
	}
	next := bytes.IndexByte(l.data[offset:], '\n')
	if next < 0 {
		l.base = len(l.data)
		return
	}
	l.base = offset + next + 1
}

// expression takes one section header or one key with its value.
func (l *loader) expression(node *unstable.Node) {
	if l.full() {
		return
	}
	switch node.Kind {
	case unstable.KeyValue:
		if !l.skip {
			l.keyValue(l.section, node)
		}
	case unstable.Table, unstable.ArrayTable:
		l.header(node)
	}
}

// header takes a section header.
func (l *loader) header(node *unstable.Node) {
	name, offset, _ := l.keyOf(node)
	l.section, l.skip = name+".", false
	if _, isKey := l.fields[name]; isKey {
		l.report(offset, "%s is a key and not a section: write %s = …", name, name)
		l.skip = true
		return
	}
	if name == listenSection {
		l.listen(node.Kind, offset)
		return
	}
	if !slices.Contains(l.sections(), name) {
		advice := didYouMean(name, l.sections(), "[%s]")
		if nearestName(name, []string{listenSection}) != "" {
			advice = ": did you mean [[" + listenSection + "]]?"
		}
		l.report(offset, "unknown section [%s]%s", short(name), advice)
		l.skip = true
		return
	}
	if node.Kind == unstable.ArrayTable {
		l.report(offset, "there is one section [%s]: write it with single brackets", name)
	}
	if first, again := l.tables[name]; again {
		line, _ := l.position(first.offset)
		l.report(offset, "the section [%s] has begun in line %d already: put its keys there", name, line)
		return
	}
	l.tables[name] = place{offset: offset}
}

// listen takes the header of a section [[listen]].
func (l *loader) listen(kind unstable.Kind, offset int) {
	n := len(l.config.Listen)
	switch {
	case kind != unstable.ArrayTable:
		l.report(offset, "there may be several sections [[%s]]: write it with double brackets", listenSection)
	case n == MaxListen:
		l.report(offset, "there are more than %d sections [[%s]]", MaxListen, listenSection)
	default:
		if l.config.Listen == nil {
			l.config.Listen = make([]Listen, 0, MaxListen) // the fields of its elements must not move
		}
		l.config.Listen = append(l.config.Listen, Listen{UnixMode: defaultUnixMode})
		for key, field := range listenKeys(&l.config.Listen[n]) {
			l.fields[listenName(n, key)] = field
		}
		l.section = listenName(n, "")
		l.tables[l.section] = place{offset: offset}
		return
	}
	l.skip = true
}

// keyValue takes a key and its value. The value may be an inline table that holds the keys of a section.
func (l *loader) keyValue(prefix string, node *unstable.Node) {
	key, keyOffset, keyEnd := l.keyOf(node)
	name := prefix + key
	value := node.Value()
	_, known := l.fields[name]
	switch {
	case !known && slices.Contains(l.sections(), name):
		if value.Kind != unstable.InlineTable {
			l.report(keyOffset, "%s is a section and not a key: write [%s] and its keys below", name, name)
			return
		}
		for it := value.Children(); it.Next() && !l.full(); {
			l.keyValue(name+".", it.Node())
		}
		return
	case name == listenSection:
		l.report(keyOffset, "%s is a section and not a key: write [[%s]] and its keys below", name, name)
		return
	case !known:
		l.report(keyOffset, "unknown key %q%s", short(name), didYouMean(name, l.names(), "%q"))
		return
	}
	if first, again := l.keys[name]; again {
		line, _ := l.position(first.offset)
		l.report(keyOffset, "%s has been set in line %d already", name, line)
		return
	}
	// TOML 1.0, Key/Value Pair: «Whitespace is ignored around key names and values.»
	rest := bytes.TrimLeft(l.data[keyEnd:], " \t=")
	at := place{offset: len(l.data) - len(rest)}
	if problem := setValue(l.fields[name], value); problem != "" {
		l.report(at.offset, "%s %s", name, problem)
		at.wrong = true
	}
	l.keys[name] = at
	l.config.set[name] = true
}

// keyOf returns the name of a node, with dots between its parts, and the offsets of its first byte and of its end. A
// part keeps its quotes where it needs them, so that the key "network.address" is not taken for two parts.
func (l *loader) keyOf(node *unstable.Node) (name string, begin, end int) {
	var parts []string
	for it := node.Key(); it.Next(); {
		part := it.Node()
		if end == 0 {
			begin = l.base + int(part.Raw.Offset)
		}
		end = l.base + int(part.Raw.Offset+part.Raw.Length)
		text := string(part.Data)
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r != '_' && r != '-' && !isAlphanumeric(r) }) {
			text = fmt.Sprintf("%q", text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "."), begin, end
}

// isAlphanumeric reports whether r is a letter or a digit of a key without quotes.
func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// check reports the mistakes in values that could be read. A key is blamed only once: a value that could not be read,
// or is out of range, causes no report about other keys.
func (l *loader) check() {
	for _, f := range l.config.checkValues(l.fields) {
		l.blame(f)
	}
	l.config.fitDefaults(l.fields)
	for _, f := range l.config.checkTogether(l.fields) {
		l.blame(f)
	}
}

// blame reports a finding at the place of the first of its keys that the file sets.
func (l *loader) blame(f finding) {
	if slices.ContainsFunc(f.keys, func(key string) bool { return l.keys[key].wrong }) {
		return
	}
	i := slices.IndexFunc(f.keys, l.config.IsSet)
	if i < 0 {
		section := f.keys[0][:strings.LastIndexByte(f.keys[0], '.')+1]
		if at, ok := l.tables[section]; ok && strings.HasPrefix(section, listenSection) { // it lacks its address
			l.report(at.offset, "%s", f.sentence)
			return
		}
		panic("BUG: the defaults are wrong: " + f.sentence)
	}
	at := l.keys[f.keys[i]]
	l.report(at.offset, "%s", f.sentence)
	if len(f.keys) == 1 {
		at.wrong = true
		l.keys[f.keys[i]] = at
	}
}

// readAgain has the decoder read the whole file. The decoder checks the rules of TOML that concern several lines, for
// example that nothing is added to a complete inline table.
func (l *loader) readAgain() {
	var all map[string]any
	err := toml.Unmarshal(l.data, &all)
	if err == nil {
		return
	}
	offset := 0
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		for ; line > 1; line-- {
			offset += bytes.IndexByte(l.data[offset:], '\n') + 1
		}
		offset = min(offset+column-1, len(l.data))
	}
	l.report(offset, "the line is not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
}

// err returns the mistakes as one error.
func (l *loader) err(name string) error {
	slices.SortStableFunc(l.mistakes, func(a, b mistake) int { return cmp.Compare(a.offset, b.offset) })
	var text strings.Builder
	for i, m := range l.mistakes {
		if i > 0 {
			text.WriteByte('\n')
		}
		line, column := l.position(m.offset)
		fmt.Fprintf(&text, "%s:%d:%d: %s", name, line, column, m.sentence)
	}
	if l.full() {
		fmt.Fprintf(&text, "\n%s: there may be more mistakes, these are %d", name, len(l.mistakes))
	}
	return errors.New(text.String())
}

// position returns the line and the column, in characters, of an offset in the file.
func (l *loader) position(offset int) (line, column int) {
	before := l.data[:offset]
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
}
