package e2e

// This file is a load of small and honest clients on all nodes of a cluster. Each announces all the time, answers every offer, comes back
// when its connection ends, and notes what it felt.

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const (
	clusterTorrents = 4
	membersPerNode  = 2 // in each torrent
	announceEvery   = 250 * time.Millisecond
	replyTimeout    = 30 * time.Second // longer than any fault lasts
)

// clusterSwarm are the peers of some torrents.
type clusterSwarm struct {
	t         *testing.T
	cluster   *testCluster
	hashes    []string
	members   []*member
	observers map[*clusterNode]*websocket.Conn
}

// member is a peer.
type member struct {
	torrent int
	hash    string
	id      string
	left    int

	mu      sync.Mutex
	node    *clusterNode // where it connects to
	conn    *websocket.Conn
	silent  *websocket.Conn // an old connection that stays open, and on which it says nothing any more
	felt    []error         // why connections ended, and what was wrong
	longest time.Duration   // that a reply took
	counts  swarmSize       // of the last reply
	strange *swarmSize      // if not nil: the counts that all replies should have; others are noted
	offers  map[string]int
	answers map[string]int
}

// newID returns a random id, as the protocol writes it.
func newID() string { return idText(randomID()) }

// startSwarm has peers of each torrent come to each node, and waits until nobody counts wrong and all have met.
func startSwarm(t *testing.T, c *testCluster) *clusterSwarm {
	t.Helper()
	s := newSwarm(t, c)
	s.settle("the counts of all nodes are true at the start", c.nodes, c.nodes)
	s.meet()
	return s
}

// newSwarm has peers of each torrent come to each node.
func newSwarm(t *testing.T, c *testCluster) *clusterSwarm {
	t.Helper()
	s := &clusterSwarm{t: t, cluster: c, observers: make(map[*clusterNode]*websocket.Conn)}
	for torrent := range clusterTorrents {
		s.hashes = append(s.hashes, newID())
		for _, n := range c.nodes {
			for k := range membersPerNode {
				s.members = append(s.members, newMember(torrent, s.hashes[torrent], k%2, n))
			}
		}
	}
	s.run(t)
	return s
}

// run has the members come, and go at the end of the test: before the nodes, whose end would be felt.
func (s *clusterSwarm) run(t *testing.T) {
	t.Helper()
	over, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		end()
		for _, m := range s.members {
			m.hangUp()
		}
		running.Wait()
		for _, conn := range s.observers {
			conn.Close()
		}
	})
	for _, m := range s.members {
		running.Go(func() { m.run(over) })
	}
}

func newMember(torrent int, hash string, left int, n *clusterNode) *member {
	return &member{torrent: torrent, hash: hash, id: newID(), left: left, node: n,
		offers: make(map[string]int), answers: make(map[string]int)}
}

// run is the life of a member: connection after connection.
func (m *member) run(over context.Context) {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for over.Err() == nil {
		if err := m.visit(over); err != nil && over.Err() == nil {
			m.mu.Lock()
			m.felt = append(m.felt, err)
			m.mu.Unlock()
		}
		select {
		case <-over.Done():
		case <-retry.C:
		}
	}
}

// visit is one connection. A node that cannot be reached is no error.
func (m *member) visit(over context.Context) error {
	m.mu.Lock()
	url := m.node.url
	m.mu.Unlock()
	conn, _, err := websocket.DefaultDialer.DialContext(over, url, nil)
	if err != nil {
		return nil
	}
	defer func() {
		if !m.isSilentOn(conn) {
			conn.Close()
		}
	}()
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		if m.isSilentOn(conn) {
			return nil
		}
		return pong(data)
	})
	m.mu.Lock()
	m.conn = conn
	if over.Err() != nil { // hangUp may have come too early
		conn.Close()
	}
	m.mu.Unlock()
	ended, replied := make(chan error, 1), make(chan struct{}, 1)
	go func() { ended <- m.read(conn, replied) }()
	again := time.NewTicker(announceEvery)
	defer again.Stop()
	for event := "started"; !m.isSilentOn(conn); event = "" {
		began := time.Now()
		if err := m.send(conn, m.announce(event)); err != nil {
			return err
		}
		select {
		case <-replied:
			m.mu.Lock()
			m.longest = max(m.longest, time.Since(began))
			m.mu.Unlock()
		case err := <-ended:
			return err
		case <-time.After(replyTimeout):
			return fmt.Errorf("no reply to an announce within %v", replyTimeout)
		}
		select {
		case <-again.C:
		case err := <-ended:
			return err
		}
	}
	return nil
}

// announce returns a message with an offer for each other peer.
func (m *member) announce(event string) map[string]any {
	const others = 3*membersPerNode - 1
	var offers []any
	for range others {
		offers = append(offers, map[string]any{"offer_id": newID(), "offer": map[string]any{"type": "offer", "sdp": "v=0\r\n"}})
	}
	a := map[string]any{"action": "announce", "info_hash": m.hash, "peer_id": m.id, "uploaded": 0, "downloaded": 0, "left": m.left,
		"numwant": others, "offers": offers}
	if event != "" {
		a["event"] = event
	}
	return a
}

// read takes what comes until the connection ends.
func (m *member) read(conn *websocket.Conn, replied chan<- struct{}) error {
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		if m.isSilentOn(conn) {
			continue
		}
		var got struct {
			swarmSize
			Interval int    `json:"interval"`
			PeerID   string `json:"peer_id"`
			OfferID  string `json:"offer_id"`
			Offer    any    `json:"offer"`
			Answer   any    `json:"answer"`
		}
		if err := json.Unmarshal(text, &got); err != nil {
			return fmt.Errorf("cannot read %q: %w", text, err)
		}
		m.mu.Lock()
		switch {
		case got.Offer != nil:
			m.offers[got.PeerID]++
		case got.Answer != nil:
			m.answers[got.PeerID]++
		case got.Interval > 0:
			m.counts = got.swarmSize
			if m.strange != nil && *m.strange != got.swarmSize {
				m.felt = append(m.felt, fmt.Errorf("counts of %+v, where nobody has come or gone: %+v", got.swarmSize, *m.strange))
			}
		default:
			m.felt = append(m.felt, fmt.Errorf("the tracker says %q", text))
		}
		m.mu.Unlock()
		switch {
		case got.Offer != nil:
			m.send(conn, map[string]any{"action": "announce", "info_hash": m.hash, "peer_id": m.id, "to_peer_id": got.PeerID,
				"offer_id": got.OfferID, "answer": map[string]any{"type": "answer", "sdp": "v=0\r\n"}}) // an error is also one of reading
		case got.Interval > 0:
			select {
			case replied <- struct{}{}:
			default: // it did not ask for this one
			}
		}
	}
}

func (m *member) send(conn *websocket.Conn, request any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return conn.WriteJSON(request)
}

// hangUp ends its connections.
func (m *member) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, conn := range []*websocket.Conn{m.conn, m.silent} {
		if conn != nil {
			conn.Close()
		}
	}
}

// fallSilent has the member leave its connection open, say nothing there any more, and come by another one.
func (m *member) fallSilent() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = m.conn
}

func (m *member) isSilentOn(conn *websocket.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.silent == conn
}

// on returns the members of nodes.
func (s *clusterSwarm) on(nodes ...*clusterNode) (found []*member) {
	for _, m := range s.members {
		m.mu.Lock()
		if slices.Contains(nodes, m.node) {
			found = append(found, m)
		}
		m.mu.Unlock()
	}
	return found
}

// move has members come back to another node when their connections end.
func (s *clusterSwarm) move(members []*member, to *clusterNode) {
	for _, m := range members {
		m.mu.Lock()
		m.node = to
		m.mu.Unlock()
	}
}

// truth returns the counts of each torrent for those who know the members of these nodes.
func (s *clusterSwarm) truth(nodes []*clusterNode) []swarmSize {
	sizes := make([]swarmSize, clusterTorrents)
	for _, m := range s.on(nodes...) {
		if m.left == 0 {
			sizes[m.torrent].Complete++
		} else {
			sizes[m.torrent].Incomplete++
		}
	}
	return sizes
}

// settle waits until the nodes that are asked count the members of others, in scrapes and in the replies to all of their members.
func (s *clusterSwarm) settle(what string, asked, counted []*clusterNode) {
	s.t.Helper()
	want := s.truth(counted)
	wrong := "" // what was wrong last
	s.t.Cleanup(func() {
		if wrong != "" {
			s.t.Log(wrong)
		}
	})
	took := await(s.t, what, func() bool {
		wrong = s.wrong(asked, want)
		return wrong == ""
	})
	s.t.Logf("%.1f s until %s", took.Seconds(), what)
}

// wrong says who counts wrong; "" if nobody of those who are asked does.
func (s *clusterSwarm) wrong(asked []*clusterNode, want []swarmSize) string {
	for _, n := range asked {
		if got, err := s.scrape(n); err != nil || !slices.Equal(got, want) {
			return fmt.Sprintf("a scrape of node %s has %+v, want %+v: %v", n.name, got, want, err)
		}
	}
	for _, m := range s.on(asked...) {
		m.mu.Lock()
		counts := m.counts
		m.mu.Unlock()
		if counts != want[m.torrent] {
			return fmt.Sprintf("a reply of node %s has %+v, want %+v", m.node.name, counts, want[m.torrent])
		}
	}
	return ""
}

// scrape returns the counts of all torrents on a node.
func (s *clusterSwarm) scrape(n *clusterNode) ([]swarmSize, error) {
	conn := s.observers[n]
	if conn == nil {
		var err error
		if conn, _, err = websocket.DefaultDialer.Dial(n.url, nil); err != nil {
			return nil, err
		}
		s.observers[n] = conn
	}
	var reply struct {
		Files map[string]swarmSize `json:"files"`
	}
	conn.SetReadDeadline(time.Now().Add(replyTimeout))
	err := conn.WriteJSON(map[string]any{"action": "scrape", "info_hash": s.hashes})
	if err == nil {
		err = conn.ReadJSON(&reply)
	}
	if err != nil { // the node has ended: another time
		conn.Close()
		delete(s.observers, n)
		return nil, err
	}
	sizes := make([]swarmSize, clusterTorrents)
	for k, hash := range s.hashes {
		sizes[k] = reply.Files[hash]
	}
	return sizes, nil
}

// meet waits until each member has an offer and an answer from each other one of its torrent.
func (s *clusterSwarm) meet() {
	s.t.Helper()
	for _, m := range s.members {
		m.mu.Lock()
		clear(m.offers)
		clear(m.answers)
		m.mu.Unlock()
	}
	took := await(s.t, "all peers of each torrent have offers and answers of each other", func() bool {
		for _, m := range s.members {
			for _, o := range s.members {
				m.mu.Lock()
				met := m.torrent != o.torrent || m == o || m.offers[o.id] > 0 && m.answers[o.id] > 0
				m.mu.Unlock()
				if !met {
					return false
				}
			}
		}
		return true
	})
	s.t.Logf("%.1f s until all peers have met", took.Seconds())
}

// steady has every reply noted from now on whose counts are not those of all members.
func (s *clusterSwarm) steady() {
	want := s.truth(s.cluster.nodes)
	for _, m := range s.members {
		m.mu.Lock()
		m.strange = &want[m.torrent]
		m.mu.Unlock()
	}
}

// unharmed requires that members felt nothing: no connection ended, and every announce had its reply.
func (s *clusterSwarm) unharmed(members []*member) {
	s.t.Helper()
	var longest time.Duration
	for _, m := range members {
		m.mu.Lock()
		longest = max(longest, m.longest)
		if len(m.felt) > 0 {
			s.t.Errorf("a client of node %s felt it %d times, first: %v", m.node.name, len(m.felt), m.felt[0])
		}
		m.mu.Unlock()
	}
	s.t.Logf("%d clients had every reply, the slowest after %v", len(members), longest.Round(time.Millisecond))
}
