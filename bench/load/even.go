package load

// This file checks where offers go if a tracker has several nodes: each peer of a swarm must be as likely a receiver as any
// other, whichever node it is at. So the share of offers between nodes follows from the membership of the swarm.

import (
	"fmt"
	"math"
	"time"
)

// membership is the number of peers that each torrent has on each node.
type membership struct {
	nodes int
	table []uint32
}

// newMembership counts the clients of a placement.
func newMembership(places *placement, homes []uint8, nodes int) *membership {
	m := &membership{nodes, make([]uint32, places.torrents*nodes)}
	for c, home := range homes {
		mine := places.of(uint32(c))
		for k, torrent := range mine {
			isAgain := false // it may have the torrent twice
			for _, before := range mine[:k] {
				isAgain = isAgain || before == torrent
			}
			if !isAgain {
				m.table[int(torrent)*nodes+int(home)]++
			}
		}
	}
	return m
}

// of returns the peers of a torrent: all, and those on one node.
func (m *membership) of(torrent uint32, node uint8) (all, there int) {
	for _, n := range m.table[int(torrent)*m.nodes:][:m.nodes] {
		all += int(n)
	}
	return all, int(m.table[int(torrent)*m.nodes+int(node)])
}

// share returns the probability that an offer of a peer at a node goes to another node, and what it adds to the variance
// of the number of such offers, if the receivers of the offers of an announce are drawn evenly and without replacement.
func (m *membership) share(torrent uint32, node uint8, offers int) (share, variance float64) {
	all, there := m.of(torrent, node)
	others := all - 1
	if others < 1 {
		return 0, 0
	}
	share = float64(all-there) / float64(others)
	if others > 1 {
		drawn := min(offers, others)
		variance = share * (1 - share) * float64(others-drawn) / float64(others-1)
	}
	return share, variance
}

// nodeTally counts offers by the nodes of sender and receiver.
type nodeTally struct {
	offers, other  uint64 // all; from another node
	even, variance float64
}

// add counts an offer, given its share and variance.
func (n *nodeTally) add(isOther bool, share, variance float64) {
	n.offers++
	if isOther {
		n.other++
	}
	n.even += share
	n.variance += variance
}

// merge adds the counts of another worker.
func (n *nodeTally) merge(o *nodeTally) {
	n.offers += o.offers
	n.other += o.other
	n.even += o.even
	n.variance += o.variance
}

// isWhole reports whether all nodes must have known the whole swarm when an announce was due. Where peers come and go each
// comes back at once, so that the swarm is taken as whole when the ramp is over.
func (l *ledger) isWhole(torrent uint32, due time.Duration) bool {
	if l.sizes == nil {
		return int64(due-clusterLag) >= l.steady.Load()
	}
	all, _ := l.members.of(torrent, 0)
	return int(l.sizes[torrent].known.Load()) == all && l.isSettled(torrent, due) && l.left[torrent].Load() == math.MinInt64
}

// countNodes counts an offer that has come to a client. Those of seeders are left out: trackers may prefer leechers as
// their receivers.
func (w *worker) countNodes(connection uint32, x *relayed) {
	l, from := w.books, x.offer.connection
	if l.members == nil || x.record == nil || w.isSeeder(from) || !l.isWhole(x.torrent, time.Duration(x.record.due.Load())) {
		return
	}
	share, variance := l.members.share(x.torrent, l.homes[from], l.offers)
	w.between.add(l.homes[from] != l.homes[connection], share, variance)
}

// figures returns the counts as a part of the result.
func (n *nodeTally) figures(nodes int) Cluster {
	return Cluster{Nodes: nodes, Offers: n.offers, Other: n.other, Even: n.even, Deviation: math.Sqrt(n.variance)}
}

// Bounds of a fair spread. A tracker without bias is never beyond all of them, and one with a bias of 5 % always, if so many
// offers were counted that mostDeviations are within mostBias.
const (
	mostDeviations = 5
	mostBias       = 0.025
)

// judge returns a sentence if offers between nodes are more or fewer than those of an even spread, and one if too few
// offers were counted to see a small bias.
func (c *Cluster) judge() (problem, remark string) {
	chance, bias := mostDeviations*c.Deviation, mostBias*c.Even
	switch off := math.Abs(float64(c.Other) - c.Even); {
	case off > max(chance, bias):
		return fmt.Sprintf("offers from other nodes: %s: the tracker prefers some nodes' peers as receivers", c.Share()), ""
	case c.Offers == 0 || chance > bias:
		return "", fmt.Sprintf("%s offers are too few to see a bias of 5 %% in their spread over the nodes: a longer run has more",
			count(float64(c.Offers)))
	}
	return "", ""
}

// Share says for people how many offers came from other nodes.
func (c *Cluster) Share() string {
	if c.Offers == 0 {
		return "unknown"
	}
	percent := func(n float64) float64 { return 100 * n / float64(c.Offers) }
	return fmt.Sprintf("%.1f %% (%.1f %% for an even spread)", percent(float64(c.Other)), percent(c.Even))
}
