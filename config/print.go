package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// This file owns the printing of a configuration as annotated TOML, and the list of all keys that is read off [Config].

// defaultTOML is the annotated file, and the form of every print.
//
//go:embed default.toml
var defaultTOML []byte

// DefaultTOML returns the annotated configuration file. It has every key at its default. The caller owns the bytes.
func DefaultTOML() []byte {
	return bytes.Clone(defaultTOML)
}

// The first line of the annotated file, with all keys at their defaults and with other values.
const (
	headOfDefaults = "# The configuration of millrace. Every key is shown with its default, and a missing key has that value.\n"
	headOfValues   = "# The configuration of millrace. Every key is shown with its value; a missing key would have its default.\n"
)

// AppendTOML appends the configuration as an annotated file: the text of [DefaultTOML] with the values of c. [Load]
// reads the same values from it.
func (c *Config) AppendTOML(dst []byte) []byte {
	fields := c.fields()
	section := ""
	dst = append(dst, headOfValues...)
	for line := range bytes.Lines(bytes.TrimPrefix(defaultTOML, []byte(headOfDefaults))) {
		switch name, _, isKey := bytes.Cut(line, []byte(" = ")); {
		case line[0] == '#':
			dst = append(dst, line...)
		case line[0] == '[':
			section = string(line[1:bytes.IndexByte(line, ']')]) + "."
			dst = append(dst, line...)
		case isKey:
			dst = append(append(dst, name...), " = "...)
			dst = append(appendValue(dst, fields[section+string(name)]), '\n')
		default:
			dst = append(dst, line...)
		}
	}
	return c.AppendListen(dst)
}

// appendValue appends the value of a key as TOML.
func appendValue(dst []byte, field reflect.Value) []byte {
	switch v := field.Interface().(type) {
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendString(dst, v)
	case netip.AddrPort:
		return appendString(dst, v.String())
	case []netip.Prefix:
		return appendList(dst, v, netip.Prefix.String)
	case Domains:
		return appendList(dst, v, func(text string) string { return text })
	case []string:
		return appendList(dst, v, func(text string) string { return text })
	case fmt.Stringer: // the enumerations
		return appendString(dst, v.String())
	default:
		panic("BUG: a key has the type " + field.Type().String())
	}
}

// appendList appends a list of strings in one line.
func appendList[T any](dst []byte, list []T, text func(T) string) []byte {
	dst = append(dst, '[')
	for i, item := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendString(dst, text(item))
	}
	return append(dst, ']')
}

// appendString appends s as a TOML basic string. Quotes, backslashes and control characters are escaped.
//
// TOML 1.0, String: «Any Unicode character may be used except those that must be escaped».
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = fmt.Appendf(dst, `\u%04X`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// fields returns the field of each key, by names such as "network.address", but for those of [[listen]]. Setting a field
// changes c.
func (c *Config) fields() map[string]reflect.Value {
	fields := make(map[string]reflect.Value)
	top := reflect.ValueOf(c).Elem()
	for i := range top.NumField() {
		name := top.Type().Field(i).Tag.Get("toml")
		section := top.Field(i)
		switch {
		case name == "" || name == listenSection: // not a key
		case !isSection(section.Type()):
			fields[name] = section
		default:
			for j := range section.NumField() {
				fields[name+"."+section.Type().Field(j).Tag.Get("toml")] = section.Field(j)
			}
		}
	}
	return fields
}

// isSection reports whether a field of Config is a section and not a key.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[netip.AddrPort]()
}
