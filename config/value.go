package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// This file owns the reading of a single value into the field of its key, and the words for a value of a wrong type.

const maxQuoted = 60 // an error repeats at most so many bytes of a value

// setValue sets the field to the value, or returns the problem as the end of a sentence that begins with the key.
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
	case *[]string:
		return setOrigins(p, value)
	case *Domains:
		return setDomains(p, value)
	case *Tri:
		return setWord(p, triWords, value)
	case *LogLevel:
		return setWord(p, logLevelWords, value)
	case *AccessListMode:
		return setWord(p, accessListWords, value)
	case *Compression:
		return setWord(p, compressionWords, value)
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
	// The parser has checked the digits. The decoder knows their value in each of the four bases.
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

// setPrefixes sets p to a list of networks. An address without a length is a network of one address.
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

// setDomains sets p to a list of host names.
func setDomains(p *Domains, value *unstable.Node) (problem string) {
	const want = `must be a list of host names, such as ["tracker.example.org"], `
	if value.Kind != unstable.Array {
		return want + "not " + describe(value)
	}
	var list Domains
	for it := value.Children(); it.Next(); {
		item := it.Node()
		name := strings.ToLower(string(item.Data))
		switch {
		case item.Kind == unstable.Comment:
			continue
		case item.Kind == unstable.String && strings.HasPrefix(name, "*."):
			return "must not have " + describe(item) + ": certificates for wildcards need records in the DNS; get it with another " +
				"ACME client, and name its files in [network]"
		case item.Kind != unstable.String || !hostName.MatchString(name) || len(name) > 253:
			return want + "but " + describe(item) + " is not one"
		case slices.Contains(list, name):
			return "has " + describe(item) + " twice"
		}
		list = append(list, name)
	}
	*p = list
	return ""
}

// hostName matches names as certificates have them: labels of letters, digits and hyphens, the last of which is no number.
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// setOrigins sets p to a list of origins, as browsers send them in the field Origin: in lower case and without the port
// that their scheme has by default.
//
// RFC 6454 §6.2: «If the port part of the origin triple is different from the default port for the protocol given by the
// scheme».
func setOrigins(p *[]string, value *unstable.Node) (problem string) {
	const want = `must be a list of origins, such as ["https://example.org", "http://localhost:8080"], `
	if value.Kind != unstable.Array {
		return want + "not " + describe(value)
	}
	var list []string
	for it := value.Children(); it.Next(); {
		item := it.Node()
		if item.Kind == unstable.Comment {
			continue
		}
		origin, ok := canonicalOrigin(string(item.Data))
		if item.Kind != unstable.String || !ok {
			return want + "but " + describe(item) + " is not one"
		}
		list = append(list, origin)
	}
	*p = list
	return ""
}

// canonicalOrigin returns an origin as browsers write it. "null" is the origin of pages without an address.
func canonicalOrigin(text string) (origin string, ok bool) {
	if text == "null" {
		return text, true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil || strings.HasSuffix(u.Host, ":") ||
		!strings.EqualFold(text, u.Scheme+"://"+u.Host) {
		return "", false
	}
	origin = strings.ToLower(text)
	switch u.Scheme {
	case "https":
		origin = strings.TrimSuffix(origin, ":443")
	case "http":
		origin = strings.TrimSuffix(origin, ":80")
	}
	return origin, true
}

// setWord sets p to the constant whose word the value is.
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

// short returns s, cut to maxQuoted bytes for an error.
func short(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}
