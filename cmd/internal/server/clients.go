package server

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"millrace/cmd/internal/shard"
	"millrace/cmd/internal/shard/torrents"
)

// This file owns the names of clients, which it reads from the first bytes of peer ids. There is no standard for these,
// only customs: Azureus style (-WW0205-), that of Shadow's client (T03I----), and Mainline's (M7-10-5-).

// maxClientSeries bounds the number of clients, and of prefixes, with a series of their own: peers choose their ids.
const maxClientSeries = 100

// Names of the series for all clients without one of their own, and for ids that follow no custom.
const (
	otherClients  = "other"
	unknownClient = "unknown"
)

// azureusClient is a client that writes its id in Azureus style, and how it writes its version.
type azureusClient struct {
	name    string
	version func(v string) string // of four letters or digits; nil: as fourParts
}

// azureusClients are the clients in Azureus style by their code: first those that speak WebRTC, then frequent ones
// whose ids arrive through bridges or were copied.
var azureusClients = map[string]azureusClient{
	"WW": {"WebTorrent", twoPairs},
	"WD": {"WebTorrent Desktop", twoPairs},
	"PM": {"P2P Media Loader", twoPairs},
	"GT": {"anacrolix/torrent", nil},
	"AZ": {"Vuze", nil},
	"BI": {"BiglyBT", nil},
	"LT": {"libtorrent (Rasterbar)", threeParts},
	"lt": {"libTorrent (Rakshasa)", threeParts},
	"qB": {"qBittorrent", threeParts},
	"DE": {"Deluge", threeParts},
	"TR": {"Transmission", transmissionVersion},
	"UT": {"µTorrent", threePartsAndStage},
	"UM": {"µTorrent Mac", threePartsAndStage},
	"UE": {"µTorrent Embedded", threePartsAndStage},
	"UW": {"µTorrent Web", threePartsAndStage},
	"BT": {"BitTorrent", threePartsAndStage},

	"7T": {"aTorrent", nil},
	"AG": {"Ares", threeParts},
	"AR": {"Ares", nil},
	"BC": {"BitComet", pairOfLastTwo},
	"BE": {"BitTorrent SDK", nil},
	"CD": {"Enhanced CTorrent", nil},
	"CT": {"CTorrent", nil},
	"FD": {"Free Download Manager", threeParts},
	"FG": {"FlashGet", pairOfLastTwo},
	"FW": {"FrostWire", threeParts},
	"HL": {"Halite", threeParts},
	"KG": {"KGet", nil},
	"KT": {"KTorrent", nil},
	"LC": {"LeechCraft", nil},
	"LW": {"LimeWire", nil},
	"MG": {"MediaGet", nil},
	"MO": {"MonoTorrent", nil},
	"MR": {"Miro", nil},
	"PI": {"PicoTorrent", threeParts},
	"PT": {"Popcorn Time", nil},
	"SD": {"Xunlei", nil},
	"SP": {"BitSpirit", threeParts},
	"SZ": {"Shareaza", nil},
	"TL": {"Tribler", threeParts},
	"TX": {"Tixati", nil},
	"XF": {"Xfplay", nil},
	"XL": {"Xunlei", nil},
	"ZO": {"Zona", nil},
}

// shadowClients are the clients in the style of Shadow's by their letter.
var shadowClients = map[byte]string{
	'A': "ABC", 'O': "Osprey Permaseed", 'Q': "BTQueue", 'R': "Tribler", 'S': "Shadow", 'T': "BitTornado", 'U': "UPnP NAT",
}

// clientOf returns the name of a client and its version, if it tells that, from the first bytes of a peer id. The text
// needs no escaping in a label.
func clientOf(prefix torrents.Prefix) string {
	id := string(prefix[:])
	for _, style := range []func(string) string{azureus, mainline, shadow} {
		if name := style(id); name != "" {
			return name
		}
	}
	if rest, ok := strings.CutPrefix(id, "A2-"); ok && numbers(rest) != "" {
		return "aria2 " + numbers(rest) // A2-1-37-0-: the last part is cut off
	}
	return unknownClient
}

// azureus reads -XXvvvv-: two characters for the client and four for its version.
func azureus(id string) string {
	if id[0] != '-' || id[7] != '-' {
		return ""
	}
	code, version := id[1:3], id[3:7]
	c, known := azureusClients[code]
	if !known {
		if !alphanumeric(code) {
			return ""
		}
		return code + " (unknown)"
	}
	if !alphanumeric(version) {
		return c.name
	}
	if c.version == nil {
		c.version = fourParts
	}
	return c.name + " " + c.version(version)
}

// mainline reads Mx-y-z-- and Mx-yy-z-: a letter and three numbers.
func mainline(id string) string {
	if id[0] != 'M' || id[7] != '-' {
		return ""
	}
	version := numbers(id[1:])
	if strings.Count(version, ".") != 2 {
		return ""
	}
	return "Mainline " + version
}

// shadow reads Avvvv---: a letter and up to four digits of the base 64, of which the first is a decimal one.
func shadow(id string) string {
	version := strings.TrimRight(id[1:5], "-")
	name := shadowClients[id[0]]
	if name == "" || id[5] != '-' || version == "" || version[0] > '9' || !alphanumeric(version) {
		return ""
	}
	return name + " " + parts(version)
}

// numbers reads numbers with a dash after each, the last of them perhaps cut off, and returns them with points between,
// or nothing if the text is something else.
func numbers(text string) string {
	fields := strings.Split(strings.TrimRight(text, "-"), "-")
	for _, field := range fields {
		if field == "" || strings.Trim(field, "0123456789") != "" {
			return ""
		}
	}
	return strings.Join(fields, ".")
}

// alphanumeric reports whether text is made of ASCII letters and digits.
func alphanumeric(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
}

// digit returns the value of a letter or digit: A follows 9, a follows Z.
func digit(c byte) int {
	switch {
	case c >= 'a':
		return int(c-'a') + 36
	case c >= 'A':
		return int(c-'A') + 10
	}
	return int(c - '0')
}

// parts returns the values of all characters with points between: 20B is 2.0.11.
func parts(v string) string {
	text := make([]string, len(v))
	for k := range text {
		text[k] = fmt.Sprint(digit(v[k]))
	}
	return strings.Join(text, ".")
}

func fourParts(v string) string  { return parts(v) }
func threeParts(v string) string { return parts(v[:3]) }

// twoPairs reads two numbers of two digits: 0205 is 2.5.
func twoPairs(v string) string {
	number := func(pair string) string { return cmp.Or(strings.TrimLeft(pair, "0"), "0") }
	return number(v[:2]) + "." + number(v[2:])
}

// pairOfLastTwo reads a digit and a number of two: 0201 is 2.01.
func pairOfLastTwo(v string) string { return v[1:2] + "." + v[2:] }

// threePartsAndStage reads three parts, and a letter for a version that is not finished.
func threePartsAndStage(v string) string {
	switch v[3] {
	case 'A':
		return threeParts(v) + " alpha"
	case 'B':
		return threeParts(v) + " beta"
	}
	return threeParts(v)
}

// transmissionVersion reads the versions of Transmission, whose form has changed: 0006 is 0.6, 0072 is 0.72, 2940 is
// 2.94, and since version 4 there are three parts.
func transmissionVersion(v string) string {
	switch {
	case v[:3] == "000":
		return "0." + v[3:]
	case v[:2] == "00":
		return "0." + v[2:]
	case v[0] < '4':
		return v[:1] + "." + v[1:3]
	}
	return threeParts(v)
}

// peerSeries writes a gauge of peers, those of all shards together, by a label that is made of the first bytes of their
// ids: the most frequent labels one by one, and one sum of the others.
func peerSeries(w io.Writer, name, key string, all []shard.Published, value func(torrents.Prefix) string) {
	peers := make(map[string]uint64)
	others := uint64(0)
	for k := range all {
		if census := all[k].Census; census != nil {
			others += census.Rest
			for prefix, n := range census.Peers {
				peers[value(prefix)] += n
			}
		}
	}
	type row struct {
		value string
		peers uint64
	}
	rows := make([]row, 0, len(peers))
	for value, n := range peers {
		rows = append(rows, row{value, n})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.peers, a.peers), cmp.Compare(a.value, b.value)) })
	for len(rows) > maxClientSeries {
		others += rows[len(rows)-1].peers
		rows = rows[:len(rows)-1]
	}
	if others > 0 {
		rows = append(rows, row{otherClients, others})
	}
	for _, r := range rows {
		metrics.WriteGaugeUint64(w, fmt.Sprintf("millrace_%s{%s=%q}", name, key, r.value), r.peers)
	}
}
