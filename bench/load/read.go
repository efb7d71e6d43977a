package load

// This file reads and writes a load as TOML.

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// annotated is the form in which a Config is printed: every key with its explanation, but without its value.
//
//go:embed load.toml
var annotated string

const maxFileSize = 1 << 20 // bytes

// Read returns the load that a TOML file describes. A key that the file leaves out has the value of the profile: of the
// named one, else of the one that the file names, else of [DefaultProfile]. The file's name is only used in errors,
// which tell line and column. [Config.Validate] checks the values.
func Read(file string, data []byte, profile string) (Config, error) {
	if len(data) > maxFileSize {
		return Config{}, fmt.Errorf("%s has %d bytes, but the description of a load has at most %d", file, len(data),
			maxFileSize)
	}
	var begin struct {
		Profile string `toml:"profile"`
	}
	if err := toml.Unmarshal(data, &begin); err != nil {
		return Config{}, explain(file, err)
	}
	if profile == "" {
		profile = begin.Profile
	}
	if profile == "" {
		profile = DefaultProfile
	}
	c, err := Default(profile)
	if err != nil {
		return Config{}, err
	}
	if err := c.apply(file, data); err != nil {
		return Config{}, err
	}
	c.Profile = profile
	return c, nil
}

// Set changes one key, given as in a file: "interval = 2". Where a string is expected the value needs no quotes of its
// own, so that a shell's quotes are enough.
func (c *Config) Set(assignment string) error {
	key, value, ok := strings.Cut(assignment, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" || strings.ContainsAny(assignment, "\r\n") {
		return fmt.Errorf("%q does not set anything: write key=value", assignment)
	}
	switch field, ok := c.field(key); {
	case ok && isText(field) && !strings.HasPrefix(value, `"`):
		value = strconv.Quote(value)
	case ok && field.Kind() == reflect.Float64 && isDuration(value):
		return fmt.Errorf("the setting %q is a time with a unit: write the number of seconds, without one", assignment)
	}
	return c.apply("the setting "+strconv.Quote(assignment), []byte(key+" = "+value))
}

// isText reports whether the value of a key may be a text.
func isText(field reflect.Value) bool {
	return field.Kind() == reflect.String || field.Type() == reflect.TypeFor[PIDs]()
}

// isDuration reports whether a value is a time as Go writes it, such as 2s or 1m30s.
func isDuration(value string) bool {
	_, err := time.ParseDuration(value)
	return err == nil && value != "0"
}

// apply reads keys over those that c has.
func (c *Config) apply(name string, data []byte) error {
	fresh := *c
	fresh.Storms, fresh.CPUs = nil, nil // so that a file with a mistake does not change the lists of c
	decoder := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := decoder.Decode(&fresh); err != nil {
		return explain(name, err)
	}
	fresh.Storms, fresh.CPUs = chosen(fresh.Storms, c.Storms), chosen(fresh.CPUs, c.CPUs)
	*c = fresh
	return nil
}

// chosen returns the list that was read, or the one before if none was read. An empty list is nil.
func chosen[T any](read, before []T) []T {
	switch {
	case read == nil:
		return before
	case len(read) == 0:
		return nil
	}
	return read
}

// explain returns the mistake of a file as a sentence with its place.
func explain(file string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := &unknown.Errors[0]
		line, column := first.Position()
		return fmt.Errorf("%s:%d:%d: there is no key %q: millrace-load -p prints all of them", file, line, column,
			strings.Join(first.Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", file, line, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", file, err)
}

// AppendTOML appends the load as an annotated file that [Read] reads to the same load again.
func (c *Config) AppendTOML(dst []byte) []byte {
	text, err := Describe(c.Profile)
	if err == nil {
		dst = appendComment(dst, "Load "+strconv.Quote(c.Profile)+": "+text)
		dst = append(dst, '\n')
	}
	for line := range strings.Lines(annotated) {
		name, _, isKey := strings.Cut(line, " = ")
		field, known := c.field(name)
		if !isKey || !known {
			dst = append(dst, line...)
			continue
		}
		dst = append(append(dst, name...), " = "...)
		dst = append(appendValue(dst, field), '\n')
	}
	dst = append(dst, "\n# Storms, in any number: \"at\" seconds into the measurement all connections are reset and\n"+
		"# come back at once. With wss:// they come back by resumed TLS handshakes or by full ones.\n"...)
	if len(c.Storms) == 0 {
		return append(dst, "storm = []\n# [[storm]]\n# at = 5.0\n# resume = false\n"...)
	}
	for _, storm := range c.Storms {
		dst = append(dst, "[[storm]]\nat = "...)
		dst = appendValue(dst, reflect.ValueOf(storm.At))
		dst = fmt.Appendf(dst, "\nresume = %t\n", storm.Resume)
	}
	return dst
}

// field returns the field of a key that has one value.
func (c *Config) field(key string) (reflect.Value, bool) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("toml") == key && key != "storm" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// appendValue appends the value of a key as TOML.
func appendValue(dst []byte, v reflect.Value) []byte {
	if p, ok := v.Interface().(PIDs); ok {
		if len(p) > 1 {
			return strconv.AppendQuote(dst, p.String())
		}
		return append(dst, p.String()...)
	}
	switch v.Kind() {
	case reflect.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case reflect.String:
		return strconv.AppendQuote(dst, v.String())
	case reflect.Float64: // in TOML a float has digits on both sides of its point
		text := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return append(dst, text...)
	case reflect.Slice:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendValue(dst, v.Index(i))
		}
		return append(dst, ']')
	default:
		panic("BUG: a key has the type " + v.Type().String())
	}
}

// appendComment appends a paragraph as TOML comments of at most 118 columns.
func appendComment(dst []byte, text string) []byte {
	for _, line := range Wrap(text, 116) {
		dst = append(append(append(dst, "# "...), line...), '\n')
	}
	return dst
}

// Wrap divides a text into lines of at most width bytes, at spaces.
func Wrap(text string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		if k := len(lines) - 1; k >= 0 && len(lines[k])+1+len(word) <= width {
			lines[k] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}
