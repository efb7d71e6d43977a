// Package page writes the page for people and the statistics for programs: plain data in, bytes out. The page is one file
// without anything from elsewhere. It shows figures and plots without scripts; one fills in the
// address and keeps the figures fresh.
package page

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/cmd/internal/human"
)

// Figures are those of one moment. Rates are per second.
type Figures struct {
	Clients, ClientsIPv4, ClientsIPv6 int
	Peers, Seeders, Torrents          int
	Uptime                            time.Duration
	Memory                            uint64                       // resident bytes
	Listeners                         []string                     // addresses that clients come to
	Peer                              map[string]map[string]uint64 // peers by client and version; nil: they are not counted

	Announces, Offers, Answers, Received, Sent uint64 // since the start
}

// Sample is what a plot needs of a moment.
type Sample struct {
	Clients, Peers, Torrents             int
	Announces, Offers, Answers, SentByte uint64 // since the start

	Names []Name // the clients that most peers use; empty: they are not counted
}

// Name is a client with the number of its peers, whatever their version.
type Name struct {
	Name  string
	Peers uint64
}

// mostNames bounds Sample.Names, and the plots of clients by name.
const mostNames = 6

// MostUsed returns the clients that most peers use.
func MostUsed(peers map[string]map[string]uint64) (names []Name) {
	for name, versions := range peers {
		n := Name{Name: name}
		for _, peers := range versions {
			n.Peers += peers
		}
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(cmp.Compare(b.Peers, a.Peers), cmp.Compare(a.Name, b.Name))
	})
	return names[:min(len(names), mostNames)]
}

// peersOf returns how many peers use a client.
func (s *Sample) peersOf(name string) uint64 {
	for _, n := range s.Names {
		if n.Name == name {
			return n.Peers
		}
	}
	return 0
}

// Hour keeps the samples of the last hour. Any goroutine may use it.
type Hour struct {
	mu      sync.Mutex
	samples []Sample // the oldest is at next once the ring is full
	next    int
}

// SamplePeriod is the time between two samples. An hour has so many of them.
const (
	SamplePeriod = 5 * time.Second
	hourSamples  = int(time.Hour / SamplePeriod)
)

// Add adds the sample of this moment.
func (h *Hour) Add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) < hourSamples {
		h.samples = append(h.samples, s)
		return
	}
	h.samples[h.next] = s
	h.next = (h.next + 1) % hourSamples
}

// Samples returns those of the last hour, the oldest first.
func (h *Hour) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.samples[h.next:], h.samples[:h.next])
}

// at returns sample i, of which 0 is the oldest.
func (h *Hour) at(i int) *Sample { return &h.samples[(h.next+i)%len(h.samples)] }

//go:embed page.html
var source string

// Policy is the Content-Security-Policy of the page: its own style and script, by their hashes, and requests to
// the tracker.
var Policy = "default-src 'none'; style-src '" + hashOf("style") + "'; script-src '" + hashOf("script") +
	"'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// hashOf returns the hash of the page's only element of that name.
func hashOf(element string) string {
	_, text, _ := strings.Cut(source, "<"+element+">")
	text, _, _ = strings.Cut(text, "</"+element+">")
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// figure is one figure of the page, with the plot of the last hour; without Points there is none.
type figure struct {
	Name, Value, Unit string
	Points            string // of a line, in a plot of width × height
	High              string // its greatest value
}

// The size of a plot, in units of its own.
const (
	width  = 240
	height = 60
	points = 60
)

// AppendHTML appends the page.
func AppendHTML(dst []byte, f *Figures, h *Hour) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	gauge := func(get func(*Sample) int) func(int) float64 {
		return func(i int) float64 { return float64(get(h.at(i))) }
	}
	rate := func(get func(*Sample) uint64) func(int) float64 {
		return func(i int) float64 {
			if i == 0 {
				i = 1
			}
			return float64(get(h.at(i))-get(h.at(i-1))) / SamplePeriod.Seconds()
		}
	}
	figures := []figure{
		h.figure("Clients", "", gauge(func(s *Sample) int { return s.Clients }), float64(f.Clients)),
		h.figure("Peers", "", gauge(func(s *Sample) int { return s.Peers }), float64(f.Peers)),
		h.figure("Torrents", "", gauge(func(s *Sample) int { return s.Torrents }), float64(f.Torrents)),
		h.figure("Announces", "per second", rate(func(s *Sample) uint64 { return s.Announces }), now),
		h.figure("Offers", "per second", rate(func(s *Sample) uint64 { return s.Offers }), now),
		h.figure("Sent to clients", "bytes per second", rate(func(s *Sample) uint64 { return s.SentByte }), now),
	}
	var names []figure
	for _, n := range MostUsed(f.Peer) {
		at := func(i int) float64 { return float64(h.at(i).peersOf(n.Name)) }
		names = append(names, h.figure(html.EscapeString(n.Name), "peers", at, float64(n.Peers)))
	}
	number := func(n int) string { return human.Short(float64(n)) }
	return append(dst, strings.NewReplacer("{{figures}}", list("", figures), "{{names}}", list("Peers by client", names), "{{seeders}}", number(f.Seeders),
		"{{ipv4}}", number(f.ClientsIPv4), "{{ipv6}}", number(f.ClientsIPv6), "{{answers}}", human.Short(float64(f.Answers)),
		"{{uptime}}", human.Span(f.Uptime.Seconds())).Replace(source)...)
}

// list returns figures as HTML, with a heading if it is not empty, and nothing if there are none.
func list(heading string, figures []figure) string {
	if len(figures) == 0 {
		return ""
	}
	var b strings.Builder
	if heading != "" {
		b.WriteString("<h2>" + heading + "</h2>\n")
	}
	b.WriteString("<dl>\n")
	for i := range figures {
		figures[i].write(&b)
	}
	b.WriteString("</dl>\n")
	return b.String()
}

// write writes the figure as HTML. Its name has been escaped. A template of the standard library would make the program a fifth
// larger.
func (f *figure) write(b *strings.Builder) {
	fmt.Fprintf(b, "<div><dt>%s</dt><dd>%s <small>%s", f.Name, f.Value, f.Unit)
	if f.Points != "" {
		fmt.Fprintf(b, " (in this hour at most %s)</small>\n<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "+
			"aria-label=\"%s in the last hour, at most %s\"><polyline points=\"%s\"/></svg></dd></div>\n",
			f.High, width, height, f.Name, f.High, f.Points)
		return
	}
	b.WriteString("</small></dd></div>\n")
}

// now stands for the newest point of a plot.
const now = -1

// figure returns a figure and its plot. value is the figure, or now.
func (h *Hour) figure(name, unit string, at func(i int) float64, value float64) figure {
	n := len(h.samples)
	if n < 2 {
		return figure{Name: name, Unit: unit, Value: human.Short(max(value, 0))}
	}
	line := make([]float64, min(points, n))
	for k := range line { // each point is the mean of its part
		from, to := k*n/len(line), (k+1)*n/len(line)
		for i := from; i < to; i++ {
			line[k] += at(i) / float64(to-from)
		}
	}
	if value == now {
		value = at(n - 1)
	}
	most := value
	for _, v := range line {
		most = max(most, v)
	}
	high := max(most, 1) // a plot of nothing has a line at its foot
	var b strings.Builder
	for k, v := range line {
		x := float64(k) / float64(max(len(line)-1, 1)) * width
		fmt.Fprintf(&b, "%.0f,%.1f ", x, height-v/high*height)
	}
	return figure{Name: name, Unit: unit, Value: human.Short(value), Points: strings.TrimSuffix(b.String(), " "), High: human.Short(most)}
}

// AppendJSON appends the statistics with the fields of both bittorrent-tracker and wt-tracker, and a few of ours. It has no info
// hashes.
func AppendJSON(dst []byte, f *Figures) []byte {
	type server struct {
		Server string `json:"server"`
		Count  int    `json:"webSocketsCount"`
	}
	servers := []server{}
	for i, l := range f.Listeners {
		s := server{Server: l}
		if i == 0 {
			s.Count = f.Clients // of all listeners together
		}
		servers = append(servers, s)
	}
	clients := f.Peer
	if clients == nil {
		clients = map[string]map[string]uint64{}
	}
	b, err := json.Marshal(map[string]any{
		// bittorrent-tracker
		"torrents": f.Torrents, "activeTorrents": f.Torrents, "peersAll": f.Peers, "peersSeederOnly": f.Seeders,
		"peersLeecherOnly": f.Peers - f.Seeders, "peersSeederAndLeecher": 0, "peersIPv4": f.ClientsIPv4, "peersIPv6": f.ClientsIPv6,
		"clients": clients,
		// wt-tracker
		"torrentsCount": f.Torrents, "peersCount": f.Peers, "servers": servers, "memory": map[string]any{"rss": f.Memory},
		// millrace
		"clientsCount": f.Clients, "uptimeSeconds": int(f.Uptime.Seconds()), "announcesTotal": f.Announces, "offersTotal": f.Offers,
		"answersTotal": f.Answers, "receivedBytesTotal": f.Received, "sentBytesTotal": f.Sent,
	})
	if err != nil {
		panic("BUG: the statistics cannot be written: " + err.Error())
	}
	return append(append(dst, b...), '\n')
}
