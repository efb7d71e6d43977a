package page

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// This file tests the page and the statistics.

// TestHTML proves that the page has the figures, the plots of the hour as means, and the style and script that its policy
// allows; and that without samples it has no plot.
func TestHTML(t *testing.T) {
	var h Hour
	f := &Figures{Clients: 1234, Peers: 5, Seeders: 2, Torrents: 3, ClientsIPv4: 1000, ClientsIPv6: 234, Answers: 20, Uptime: 50 * time.Hour}
	if page := string(AppendHTML(nil, f, &h)); strings.Contains(page, "<svg") || !strings.Contains(page, "<dd>1.2k <small>") {
		t.Errorf("without samples:\n%s", page)
	}
	for i := range 3 * hourSamples {
		h.Add(Sample{Clients: i, Announces: uint64(10 * i)})
	}
	if all := h.Samples(); len(all) != hourSamples || all[0].Clients != 2*hourSamples || all[hourSamples-1].Clients != 3*hourSamples-1 {
		t.Errorf("%d samples, from %+v", len(all), all[0])
	}
	page := string(AppendHTML(nil, f, &h))
	// 720 samples, of which the newest are 1440 to 2159; the last point is the mean of the last twelve.
	for _, want := range []string{
		"<dt>Clients</dt><dd>1.2k <small> (in this hour at most 2.2k)</small>", `"0,19.7 `, `240,0.0"`,
		"<dt>Announces</dt><dd>2 <small>per second (in this hour at most 2)</small>", "2 of the peers have the whole torrent",
		"1k clients came over IPv4, 234 over IPv6", "20 offers were\nanswered since the tracker was started 2 days ago",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	for _, element := range []string{"style", "script"} {
		_, text, _ := strings.Cut(page, "<"+element+">")
		text, _, _ = strings.Cut(text, "</"+element+">")
		_, original, _ := strings.Cut(source, "<"+element+">")
		original, _, _ = strings.Cut(original, "</"+element+">")
		if text != original || len(text) < 50 {
			t.Errorf("the %s of the page is not that of its policy", element)
		}
	}
	if len(page) > 16<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// TestJSON proves that the statistics have the fields of both other trackers.
func TestJSON(t *testing.T) {
	f := &Figures{Clients: 7, Peers: 5, Seeders: 2, Torrents: 3, ClientsIPv4: 6, ClientsIPv6: 1, Memory: 99,
		Listeners: []string{"0.0.0.0:80", "[::]:443"}, Peer: map[string]map[string]uint64{"WebTorrent": {"2.1": 4}}}
	var got struct {
		Torrents, ActiveTorrents, PeersAll, PeersSeederOnly, PeersLeecherOnly, PeersIPv4, PeersIPv6 int
		Clients                                                                                     map[string]map[string]int
		TorrentsCount, PeersCount                                                                   int
		Servers                                                                                     []struct {
			Server          string
			WebSocketsCount int
		}
		Memory struct{ RSS int }
	}
	if err := json.Unmarshal(AppendJSON(nil, f), &got); err != nil {
		t.Fatal(err)
	}
	if got.Torrents != 3 || got.ActiveTorrents != 3 || got.PeersAll != 5 || got.PeersSeederOnly != 2 || got.PeersLeecherOnly != 3 ||
		got.PeersIPv4 != 6 || got.PeersIPv6 != 1 || got.Clients["WebTorrent"]["2.1"] != 4 {
		t.Errorf("as bittorrent-tracker: %+v", got)
	}
	if got.TorrentsCount != 3 || got.PeersCount != 5 || len(got.Servers) != 2 || got.Servers[0].WebSocketsCount != 7 ||
		got.Servers[1].Server != "[::]:443" || got.Memory.RSS != 99 {
		t.Errorf("as wt-tracker: %+v", got)
	}
}

// TestNames proves that the page has a figure and a plot for each of the clients that most peers use, whatever their version
// and however they are named, and none where they are not counted.
func TestNames(t *testing.T) {
	peers := map[string]map[string]uint64{"WebTorrent": {"2.1": 4, "2.5": 30}, "<b>": {"": 7}}
	for i := range 20 {
		peers[strings.Repeat("x", i+1)] = map[string]uint64{"": uint64(i % 5)}
	}
	names := MostUsed(peers)
	if len(names) != mostNames || names[0] != (Name{"WebTorrent", 34}) || names[1] != (Name{"<b>", 7}) || names[2] != (Name{"xxxxx", 4}) {
		t.Errorf("%v", names)
	}
	var h Hour
	h.Add(Sample{})
	h.Add(Sample{Names: names})
	page := string(AppendHTML(nil, &Figures{Peer: peers}, &h))
	for _, want := range []string{
		"<h2>Peers by client</h2>", "<dt>WebTorrent</dt><dd>34 <small>peers (in this hour at most 34)</small>", "<dt>&lt;b&gt;</dt>",
		`aria-label="&lt;b&gt; in the last hour, at most 7"><polyline points="0,60.0 240,0.0"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if page := string(AppendHTML(nil, &Figures{}, &h)); strings.Contains(page, "Peers by client") {
		t.Error("clients that are not counted are on the page")
	}
}
