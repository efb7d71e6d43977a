package cluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/cmd/internal/cluster/record"
	"millrace/swarm"
)

// This file measures a cluster of full size in one process: the cores and the tables of its nodes are those of the tracker, clients are
// numbers, and the bus is a function. It says how many records and bytes a node sends, and how much memory its directory takes.

// The cluster of the figures in config/OPERATING.md. CLIENTS= takes another number of clients.
const (
	scaleNodes    = 10
	scaleClients  = 1_000_000
	scaleMean     = 1.8 // peers of a torrent
	scaleInterval = 120 // seconds between two announces of a client
	scaleLife     = 360 // seconds of a client, on average
	scaleOffers   = 10
	scaleStep     = 5 * time.Millisecond
)

// scaleClient is a client, at one node and in one torrent.
type scaleClient struct {
	node    uint8
	seeder  bool
	torrent uint32
	serial  uint64 // of all clients that there have been: its peer id
}

func (c *scaleClient) peer() (id swarm.ID) {
	binary.LittleEndian.PutUint64(id[:], c.serial)
	return id
}

// scaleNode is a node with one shard.
type scaleNode struct {
	core     *Core
	table    *swarm.Table
	world    *scaleWorld
	mail     [][]byte
	out      []rigMessage
	reported uint32
	place    uint32 // up to which torrents were told anew
	targets  []swarm.Target
}

type scaleWorld struct {
	rng     *rand.Rand
	now     time.Duration
	nodes   []*scaleNode
	clients []scaleClient
	serial  uint64
	next    int // the client that announces next
	offers  uint64
}

func (n *scaleNode) Mail(_ int, rec []byte) bool {
	n.mail = append(n.mail, bytes.Clone(rec))
	return true
}

func (n *scaleNode) Publish(subject string, msg []byte) bool {
	n.out = append(n.out, rigMessage{subject, bytes.Clone(msg)})
	return true
}

func (n *scaleNode) tell(kind record.MailKind, r fields) {
	n.core.FromShard(n.world.now, 0, r.Append([]byte{byte(kind)}))
}

func (w *scaleWorld) seconds() uint32 { return uint32(w.now / time.Second) }

// newScale fills a cluster with clients.
func newScale(b *testing.B, clients int) *scaleWorld {
	w := &scaleWorld{rng: rand.New(rand.NewPCG(1, 2)), now: time.Hour}
	for k := range scaleNodes {
		n := &scaleNode{world: w, table: swarm.New(swarm.Options{
			Seed: [2]uint64{1, uint64(k)}, MaxPeerAge: 180, MaxQuietAge: 1800, MaxOfferAge: 120, MaxPeersPerConnection: 10, MaxIDsPerTorrent: 10,
			MaxPeers: 1 << 22, MaxPendingOffers: 1 << 22, MaxPendingPerPeer: 64, Cluster: true, MaxRemote: 1 << 22, MaxVisits: 1 << 22,
		})}
		var err error
		n.core, err = New(Options{
			Cluster: "c", Node: fmt.Sprint("node", k), Secret: []byte(rigSecret), Shards: 1, Timeout: 5 * time.Second, Refresh: 180 * time.Second,
			Random: simRandom{w.rng}, Owner: func(*swarm.ID) int { return 0 }, Mail: n, Bus: n,
		})
		if err != nil {
			b.Fatal(err)
		}
		w.nodes = append(w.nodes, n)
	}
	w.clients = make([]scaleClient, clients)
	torrents := scaleTail(clients)
	for k := range w.clients {
		w.clients[k] = scaleClient{torrent: torrents[k]}
		w.come(&w.clients[k])
		w.announce(&w.clients[k], swarm.EventUpdate, 0)
	}
	w.rng.Shuffle(clients, func(i, j int) { w.clients[i], w.clients[j] = w.clients[j], w.clients[i] })
	for _, n := range w.nodes {
		n.core.Connected(w.now, true)
	}
	return w
}

// scaleTail returns the torrent of each client. The sizes of torrents follow a power law, as those of a public tracker do: most have one
// peer. None has more than a tenth of all.
func scaleTail(clients int) (torrents []uint32) {
	law := make([]float64, clients/10)
	mean := func(a float64) float64 {
		sum, weighted := 0.0, 0.0
		for k := range law {
			p := math.Pow(float64(k+1), -a)
			sum, weighted = sum+p, weighted+p*float64(k+1)
			law[k] = sum
		}
		for k := range law {
			law[k] /= sum
		}
		return weighted / sum
	}
	low, high := 1.0, 20.0
	for range 50 {
		if a := (low + high) / 2; mean(a) > scaleMean {
			low = a
		} else {
			high = a
		}
	}
	count := int(float64(clients) / scaleMean)
	for t := range count {
		size := 1 + sort.SearchFloat64s(law, (float64(t)+0.5)/float64(count))
		for range min(size, clients-len(torrents)) {
			torrents = append(torrents, uint32(t))
		}
	}
	for t := count; len(torrents) < clients; t++ {
		torrents = append(torrents, uint32(t))
	}
	return torrents
}

// come makes a client a new one, at any node.
func (w *scaleWorld) come(c *scaleClient) {
	w.serial++
	c.serial, c.node, c.seeder = w.serial, uint8(w.rng.IntN(scaleNodes)), w.rng.IntN(4) == 0
}

// announce does what a shard does with an announce.
func (w *scaleWorld) announce(c *scaleClient, event swarm.Event, offers int) {
	n := w.nodes[c.node]
	a := swarm.Announce{Peer: c.peer(), From: swarm.Addr{Index: uint32(c.serial), Gen: 1}, Source: c.serial, Event: event, Left: swarm.LeftMore}
	binary.LittleEndian.PutUint32(a.Key.Hash[:], c.torrent)
	if c.seeder {
		a.Left = swarm.LeftZero
	}
	for k := range offers {
		w.offers++
		var id swarm.ID
		binary.LittleEndian.PutUint64(id[:], w.offers)
		id[19] = byte(k)
		a.Offers = append(a.Offers, id)
	}
	res, targets := n.table.Announce(w.seconds(), &a, n.targets[:0])
	n.targets = targets
	for k := range targets {
		if to := targets[k].To.Node; to != 0 {
			n.relay(&a, res.Seeder, targets[k:], a.Offers[k:], to)
		}
	}
	if offers == 0 || res.Status != swarm.StatusAdded {
		return
	}
	n.tell(record.MailArrived, &record.Arrived{Key: a.Key, Peer: a.Peer})
	if p, ok := n.table.Presence(a.Key); ok && res.Complete+res.Incomplete == 1 && len(targets) == 0 {
		seek := record.Seek{Presence: record.Presence{Key: p.Key, Counts: record.Counts(p.PeerCounts), First: true}}
		seek.Relay = record.Relay{Key: a.Key, Peer: a.Peer, Seeder: res.Seeder, From: a.From, Offers: w.described(a.Offers)}
		n.tell(record.MailSeek, &seek)
	}
}

// relay sends the offers that are for one node.
func (n *scaleNode) relay(a *swarm.Announce, seeder bool, targets []swarm.Target, offers []swarm.ID, to uint16) {
	var ids []swarm.ID
	for k := range targets {
		if targets[k].To.Node == to {
			targets[k].To.Node = 0
			ids = append(ids, offers[k])
		}
	}
	n.tell(record.MailRelay, &record.Routed{Node: to, Relay: record.Relay{
		Key: a.Key, Peer: a.Peer, Seeder: seeder, From: a.From, Offers: n.world.described(ids),
	}})
}

// described makes offers with descriptions.
func (w *scaleWorld) described(ids []swarm.ID) (offers []record.Offer) {
	for _, id := range ids {
		offers = append(offers, record.Offer{ID: id, SDP: w.description("actpass")})
	}
	return offers
}

// scaleDescription is what Chromium writes behind a NAT; a letter in brackets stands for random ones of a kind.
const scaleDescription = `"v=0\r\no=- [d19] 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n` +
	`m=application 5[d4] UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 1[d2].1[d2].1[d2].1[d2]\r\n` +
	`a=candidate:[d10] 1 udp 2113937151 [x8]-[x4]-4[x3]-a[x3]-[x12].local 5[d4] typ host generation 0 network-cost 999\r\n` +
	`a=candidate:[d10] 1 udp 1677729535 1[d2].1[d2].1[d2].1[d2] 5[d4] typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999\r\n` +
	`a=candidate:[d10] 1 udp 1677729279 1[d2].1[d2].1[d2].1[d2] 5[d4] typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999\r\n` +
	`a=ice-ufrag:[i4]\r\na=ice-pwd:[i24]\r\na=ice-options:trickle\r\na=fingerprint:sha-256 [f32]\r\n` +
	`a=setup:[s]\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"`

var scaleLetters = map[byte]string{
	'd': "0123456789", 'x': "0123456789abcdef", 'i': "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
}

// description makes one.
func (w *scaleWorld) description(setup string) []byte {
	out := make([]byte, 0, 1024)
	rest := scaleDescription
	for {
		text, mark, found := strings.Cut(rest, "[")
		out = append(out, text...)
		if !found {
			return out
		}
		mark, rest, _ = strings.Cut(mark, "]")
		count, _ := strconv.Atoi(mark[1:])
		switch letters := scaleLetters[mark[0]]; {
		case letters != "":
			for range count {
				out = append(out, letters[w.rng.IntN(len(letters))])
			}
		case mark == "s":
			out = append(out, setup...)
		default: // the fingerprint
			for k := range count {
				out = fmt.Appendf(out, "%02X:", w.rng.IntN(256))[:len(out)+3-(k+1)/count]
			}
		}
	}
}

// read does what a shard does with the mail of the bridge. Each offer is answered.
func (n *scaleNode) read(rec []byte) {
	switch record.MailKind(rec[0]) {
	case record.MailNodes:
		var r record.Nodes
		r.Read(rec[1:])
		n.table.SetNodes(r.Live)
	case record.MailResend:
		n.retell(n.table.Places())
	case record.MailOthers:
		var r record.Known
		r.Read(rec[1:])
		var others []swarm.Others
		for _, o := range r.Others {
			others = append(others, swarm.Others{Node: o.Node, PeerCounts: swarm.PeerCounts(o.Counts)})
		}
		if !n.table.SetOthers(r.Key, others) && !n.table.Has(r.Key) {
			n.report(&swarm.Presence{Key: r.Key})
		}
	case record.MailVisit:
		var r record.Routed
		r.Read(rec[1:])
		var ids []swarm.ID
		for k := range r.Offers {
			ids = append(ids, r.Offers[k].ID)
		}
		r.From.Node = r.Node
		n.targets = n.table.Visit(n.world.seconds(), &swarm.Visit{Key: r.Key, Peer: r.Peer, Seeder: r.Seeder, From: r.From, Offers: ids}, n.targets[:0])
		for k := range n.targets {
			to, status := n.table.Answer(n.world.seconds(), &swarm.Answer{Key: r.Key, Peer: n.targets[k].Peer, From: n.targets[k].To, To: r.Peer, Offer: ids[k]})
			if status == swarm.AnswerRelay {
				n.tell(record.MailAnswer, &record.Answering{Node: to.Node, Answer: record.Answer{
					To: to, Hash: r.Key.Hash, Peer: n.targets[k].Peer, Offer: ids[k], SDP: n.world.description("active"),
				}})
			}
		}
	}
}

// retell tells so many torrents anew.
func (n *scaleNode) retell(places int) {
	n.place = n.table.Torrents(n.place, places, func(t *swarm.Torrent) {
		if p, ok := n.table.Presence(t.Key); ok {
			n.report(&p)
		}
	})
}

func (n *scaleNode) report(p *swarm.Presence) bool {
	n.tell(record.MailPresence, &record.Presence{Key: p.Key, Counts: record.Counts(p.PeerCounts)})
	return true
}

// step lets clients come, go and announce for a moment, and then everything arrive that is under way.
func (w *scaleWorld) step(clients bool) {
	w.now += scaleStep
	if clients {
		perStep := float64(len(w.clients)) * scaleStep.Seconds()
		for range w.times(perStep / scaleLife) {
			c := &w.clients[w.rng.IntN(len(w.clients))]
			w.announce(c, swarm.EventStopped, 0)
			w.come(c)
			w.announce(c, swarm.EventUpdate, scaleOffers)
		}
		for range w.times(perStep / scaleInterval) {
			w.announce(&w.clients[w.next], swarm.EventUpdate, scaleOffers)
			w.next = (w.next + 1) % len(w.clients)
		}
	}
	for _, n := range w.nodes {
		all := w.seconds() != n.reported
		n.reported = w.seconds()
		for n.table.Report(all, 256, n.report) {
		}
		if clients {
			// So many are told anew on average. The benchmark is shorter than the time from one pass to the next.
			n.retell(w.times(float64(n.table.Places()) * scaleStep.Seconds() / n.core.o.resendEvery().Seconds()))
		}
		n.core.Tick(w.now)
		n.core.Flush(w.now)
	}
	for _, from := range w.nodes {
		out := from.out
		from.out = nil
		for _, m := range out {
			for _, to := range w.nodes {
				if to != from && (m.subject == to.core.here || m.subject == to.core.all) {
					to.core.FromBus(w.now, m.subject, m.msg)
				}
			}
		}
	}
	for _, n := range w.nodes {
		mail := n.mail
		n.mail = nil
		for _, rec := range mail {
			n.read(rec)
		}
	}
}

// times returns a whole number that is x on average.
func (w *scaleWorld) times(x float64) int {
	whole := math.Floor(x)
	if w.rng.Float64() < x-whole {
		whole++
	}
	return int(whole)
}

// BenchmarkScale plays ten seconds of a cluster of ten nodes with a million clients. Its figures are those of one node, in a second.
func BenchmarkScale(b *testing.B) {
	clients := scaleClients
	if text := os.Getenv("CLIENTS"); text != "" {
		clients, _ = strconv.Atoi(text)
	}
	for range b.N {
		w := newScale(b, clients)
		const settle, seconds = 8, 10
		for range settle * int(time.Second/scaleStep) {
			w.step(w.now > time.Hour+4*time.Second)
		}
		var before, after Stats
		sum := func(s *Stats) {
			for _, n := range w.nodes {
				addStats(s, n.core)
			}
		}
		sum(&before)
		began := time.Now()
		for range seconds * int(time.Second/scaleStep) {
			w.step(true)
		}
		b.ReportMetric(time.Since(began).Seconds(), "real-s")
		sum(&after)
		per := func(x uint64) float64 { return float64(x) / scaleNodes / seconds }
		for k := record.Kind(1); k < record.Kinds; k++ {
			b.ReportMetric(per(after.Out[k]-before.Out[k]), k.String()+"/s")
		}
		bus := per(after.BytesOut - before.BytesOut)
		announces := float64(clients) * (1.0/scaleInterval + 1.0/scaleLife) / scaleNodes
		b.ReportMetric(bus/1000, "kB/s")
		b.ReportMetric(float64(after.PackPacked-before.PackPacked)/float64(after.PackPlain-before.PackPlain), "packed")
		b.ReportMetric(bus/announces/float64(w.announceBytes()), "of-announces")
		b.ReportMetric(float64(after.Stays)/scaleNodes, "stays")
		b.ReportMetric(w.directoryBytes(), "directory-MB")
	}
}

// announceBytes returns the length of an announce of a browser, with the least that JSON and ids take.
func (w *scaleWorld) announceBytes() int {
	const around = `{"action":"announce","info_hash":"12345678901234567890","peer_id":"12345678901234567890","numwant":10,"uploaded":0,` +
		`"downloaded":0,"left":1,"offers":[]}`
	const offer = `{"offer":{"type":"offer","sdp":},"offer_id":"12345678901234567890"},`
	return len(around) + scaleOffers*(len(offer)+len(w.description("actpass")))
}

// addStats adds the counters that the figures need.
func addStats(s *Stats, c *Core) {
	st := c.Stats()
	for k := range st.Out {
		s.Out[k] += st.Out[k]
	}
	s.BytesOut += st.BytesOut
	s.PackPlain += st.PackPlain
	s.PackPacked += st.PackPacked
	s.Stays += st.Stays
}

// directoryBytes returns the memory of a directory in MB, and ends it.
func (w *scaleWorld) directoryBytes() float64 {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for _, n := range w.nodes {
		n.core.directory = directory{}
	}
	after := heap()
	runtime.KeepAlive(w)
	return float64(before-after) / scaleNodes / 1e6
}
