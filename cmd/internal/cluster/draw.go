package cluster

import (
	"math/rand/v2"

	"millrace/cmd/internal/cluster/record"
)

// This file draws the nodes that get the offers of a torrent's first peer here. Each peer elsewhere is as likely as any other one of its
// class, and gets one offer at most; the classes are those of package swarm: for a leecher the fresh peers, then the quiet ones; for a
// seeder the fresh leechers, then the fresh seeders, then the quiet ones.

// lots are the peers of a node that are left to draw.
type lots struct {
	node uint16
	left [3]int // by class, the first to be drawn first
}

// lotsOf returns the classes of a node's peers as the sender sees them.
func lotsOf(seeder bool, o *record.Other) lots {
	leechers, seeders := int(o.FreshLeechers), int(o.FreshSeeders)
	quiet := o.Peers() - leechers - seeders
	if seeder {
		return lots{o.Node, [3]int{leechers, seeders, quiet}}
	}
	return lots{o.Node, [3]int{leechers + seeders, 0, quiet}}
}

// draw returns a node for each of at most n offers.
func draw(rng *rand.Rand, seeder bool, others []record.Other, n int) (nodes []uint16) {
	all := make([]lots, len(others))
	var left [3]int
	for k := range others {
		all[k] = lotsOf(seeder, &others[k])
		for class, n := range all[k].left {
			left[class] += n
		}
	}
	for class := range left {
		for ; left[class] > 0 && len(nodes) < n; left[class]-- {
			at := rng.IntN(left[class])
			for k := range all {
				if at -= all[k].left[class]; at < 0 {
					all[k].left[class]--
					nodes = append(nodes, all[k].node)
					break
				}
			}
		}
	}
	return nodes
}
