package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	maxFileSize = 1 << 20 // bytes; the annotated default file has 10 kB
	maxMistakes = 100     // after so many the rest of the file is not looked at
	maxQuoted   = 60      // bytes of a value that are repeated in an error
)

// Load reads a configuration file. A key that the file leaves out keeps its default, except where a default would
// contradict a value of the file (see [Config.fitDefaults]). The name is only used in errors.
//
// The error holds every mistake of the file, each on a line of its own as "name:line:column: sentence", in the order of
// the file. Lines and columns count from 1, columns in characters. Load keeps no reference to data.
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
	fields   map[string]reflect.Value // where the value of each key goes
	data     []byte
	base     int              // offset in data of what the parser is working on
	section  string           // of the keys that follow: empty at the top of the file, else with a dot at its end
	skip     bool             // the keys that follow belong to no section: one mistake has been reported for all
	keys     map[string]place // what the file has set
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

// full reports whether there are as many mistakes as one error holds. It keeps the work on a hopeless file small.
func (l *loader) full() bool {
	return len(l.mistakes) >= maxMistakes
}

// read takes the values from the file. After text that is not TOML it goes on with the next line, so that what follows
// is checked as well.
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

// resume moves to the line after offset. When the line that is left behind was to begin a section, the keys that
// follow it cannot be assigned and are passed over, up to the next section.
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
	if !slices.Contains(l.sections(), name) {
		l.report(offset, "unknown section [%s]%s", short(name), didYouMean(name, l.sections(), "[%s]"))
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
	case !known:
		l.report(keyOffset, "unknown key %q%s", short(name), didYouMean(name, l.names(), "%q"))
		return
	}
	if first, again := l.keys[name]; again {
		line, _ := l.position(first.offset)
		l.report(keyOffset, "%s has been set in line %d already", name, line)
		return
	}
	// "Whitespace is ignored around key names and values" (TOML 1.0, Key/Value Pair).
	rest := bytes.TrimLeft(l.data[keyEnd:], " \t=")
	at := place{offset: len(l.data) - len(rest)}
	if problem := setValue(l.fields[name], value); problem != "" {
		l.report(at.offset, "%s %s", name, problem)
		at.wrong = true
	}
	l.keys[name] = at
	l.config.set[name] = true
}

// keyOf returns the name of a node, dotted where it has several parts, and the offsets of its begin and end. A part
// that would not be itself without quotes keeps them, so that the key "network.address" is not taken for two parts.
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

// setValue sets the field to the value, or returns what is wrong with it as the end of a sentence.
func setValue(field reflect.Value, value *unstable.Node) (problem string) {
	switch p := field.Addr().Interface().(type) {
	case *bool:
		if value.Kind != unstable.Bool {
			return "must be true or false, not " + describe(value)
		}
		*p = string(value.Data) == "true"
	case *int:
		return setInt(p, value)
	case *string:
		if value.Kind != unstable.String {
			return "must be text in quotes, not " + describe(value)
		}
		*p = string(value.Data)
	case *netip.AddrPort:
		return setAddress(p, value)
	case *[]netip.Prefix:
		return setPrefixes(p, value)
	case *Tri:
		return setWord(p, triWords, value)
	case *LogLevel:
		return setWord(p, logLevelWords, value)
	case *AccessListMode:
		return setWord(p, accessListWords, value)
	default:
		panic("BUG: a key has the type " + field.Type().String())
	}
	return ""
}

// setInt sets p to a whole number. The range of the key is checked later.
func setInt(p *int, value *unstable.Node) (problem string) {
	if value.Kind != unstable.Integer {
		return "must be a whole number, not " + describe(value)
	}
	// The parser has checked the digits. Their value, in any of the four bases, is worked out by the decoder.
	var number struct{ V int }
	if err := toml.Unmarshal(append([]byte("V = "), value.Data...), &number); err != nil {
		return "must be a whole number, but " + describe(value) + " is too large"
	}
	*p = number.V
	return ""
}

// setAddress sets p to an IP address and a port. Host names are refused: an address is never looked up.
func setAddress(p *netip.AddrPort, value *unstable.Node) (problem string) {
	const want = `must be an IP address and a port, such as "0.0.0.0:3000" or "[::]:3000", `
	if value.Kind != unstable.String {
		return want + "not " + describe(value)
	}
	address, err := netip.ParseAddrPort(string(value.Data))
	if err != nil {
		return want + "but " + describe(value) + " is not one"
	}
	*p = address
	return ""
}

// setPrefixes sets p to a list of networks. An address alone stands for the network that holds nothing else.
func setPrefixes(p *[]netip.Prefix, value *unstable.Node) (problem string) {
	const want = `must be a list of networks, such as ["127.0.0.1", "10.0.0.0/8", "fd00::/8"], `
	if value.Kind != unstable.Array {
		return want + "not " + describe(value)
	}
	var list []netip.Prefix
	for it := value.Children(); it.Next(); {
		item := it.Node()
		if item.Kind == unstable.Comment {
			continue
		}
		text := string(item.Data)
		prefix, err := netip.ParsePrefix(text)
		if address, isAddress := netip.ParseAddr(text); isAddress == nil && address.Zone() == "" {
			prefix, err = address.Prefix(address.BitLen())
		}
		if item.Kind != unstable.String || err != nil {
			return want + "but " + describe(item) + " is not one"
		}
		list = append(list, prefix.Masked())
	}
	*p = list
	return ""
}

// setWord sets p to the constant that the value is the word for.
func setWord[T ~uint8](p *T, words []string, value *unstable.Node) (problem string) {
	i := -1
	if value.Kind == unstable.String {
		i = slices.Index(words, string(value.Data))
	}
	if i < 0 {
		return fmt.Sprintf(`must be one of "%s", not %s`, strings.Join(words, `", "`), describe(value))
	}
	*p = T(i)
	return ""
}

// describe names a value of the wrong type.
func describe(value *unstable.Node) string {
	switch value.Kind {
	case unstable.String:
		return fmt.Sprintf("%q", short(string(value.Data)))
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	default:
		return short(string(value.Data))
	}
}

// short returns the part of s that is worth repeating in an error.
func short(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}

// check reports what is wrong with values that were well written. A key is blamed once only: what follows from a value
// that could not be read or is out of range is not told.
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
		panic("BUG: the defaults are wrong: " + f.sentence)
	}
	at := l.keys[f.keys[i]]
	l.report(at.offset, "%s", f.sentence)
	if len(f.keys) == 1 {
		at.wrong = true
		l.keys[f.keys[i]] = at
	}
}

// readAgain has the decoder read the whole file. It knows the rules of TOML that concern more than one line, such as
// that an inline table is complete, and these are left to it.
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
