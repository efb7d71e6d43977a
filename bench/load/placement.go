package load

// This file decides which torrents each connection is in.

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// placement says which torrents each connection is interested in: a table of perConnection numbers for each.
type placement struct {
	perConnection int
	torrents      int
	table         []uint32
}

// of returns the torrents of a connection.
func (p *placement) of(connection uint32) []uint32 {
	at := int(connection) * p.perConnection
	return p.table[at : at+p.perConnection]
}

// torrent returns the torrent of the announce seq of a connection: its torrents come in turn.
func (p *placement) torrent(connection, seq uint32) uint32 {
	return p.table[int(connection)*p.perConnection+int(seq)%p.perConnection]
}

// has reports whether a connection is interested in a torrent.
func (p *placement) has(connection, torrent uint32) bool {
	return slices.Contains(p.of(connection), torrent)
}

// newPlacement places the connections of a load. The same seed gives the same table.
func newPlacement(c *Config) *placement {
	p := &placement{perConnection: max(c.PerConnection, 1), torrents: max(c.Torrents, 1)}
	places := c.Connections * p.perConnection
	random := rand.New(rand.NewPCG(c.Seed, 0x706c616365))
	p.table = make([]uint32, places)
	switch c.Placement {
	case "tail":
		p.torrents = fillTail(p.table, c.MeanPeers, c.Connections, random)
		p.part(random)
	case "gamma":
		for i := range p.table {
			p.table[i] = gammaTorrent(p.torrents, random)
		}
		p.part(random)
	default:
		for i := range p.table {
			p.table[i] = uint32(i % p.torrents)
		}
	}
	return p
}

// part gives connections that got a torrent twice another one in exchange, where a few tries find one.
func (p *placement) part(random *rand.Rand) {
	if p.perConnection == 1 {
		return
	}
	const tries = 8
	for i := range p.table {
		for range tries {
			mine := p.of(uint32(i / p.perConnection))
			at := i % p.perConnection
			if !slices.Contains(mine[:at], mine[at]) {
				break
			}
			j := random.IntN(len(p.table))
			p.table[i], p.table[j] = p.table[j], p.table[i]
		}
	}
}

// maxSwarmShare bounds the largest swarm of a tail: one in so many of all places.
const maxSwarmShare = 10

// fillTail fills a table with torrents in swarms whose sizes follow a power law, as those of a public tracker do: most
// peers are alone, a few swarms are large. Sizes are the quantiles of the law and not drawn, so that every run has the
// mean that was asked for. It returns the number of torrents.
func fillTail(table []uint32, mean float64, connections int, random *rand.Rand) (torrents int) {
	largest := max(min(connections, len(table)/maxSwarmShare), 1)
	cumulated := powerLaw(mean, largest)
	count := max(int(math.Round(float64(len(table))/mean)), 1)
	at := 0
	for t := range count {
		u := (float64(t) + 0.5) / float64(count)
		size := sort.SearchFloat64s(cumulated, u) + 1
		for range min(size, len(table)-at) {
			table[at] = uint32(t)
			at++
		}
	}
	// Rounding leaves a few places over: their peers are alone.
	for torrents = count; at < len(table); at++ {
		table[at] = uint32(torrents)
		torrents++
	}
	random.Shuffle(len(table), func(i, j int) { table[i], table[j] = table[j], table[i] })
	return torrents
}

// powerLaw returns the cumulated probabilities of sizes from 1 to largest, in proportion to size^-a, where a is chosen
// so that the mean is as given.
func powerLaw(mean float64, largest int) []float64 {
	moments := func(a float64) (sum, weighted float64) {
		for k := 1; k <= largest; k++ {
			p := math.Pow(float64(k), -a)
			sum += p
			weighted += p * float64(k)
		}
		return sum, weighted
	}
	low, high := 0.0, 50.0 // the mean falls as a rises
	for range 60 {
		a := (low + high) / 2
		if sum, weighted := moments(a); weighted/sum > mean {
			low = a
		} else {
			high = a
		}
	}
	sum, _ := moments(low)
	cumulated := make([]float64, largest)
	total := 0.0
	for k := range cumulated {
		total += math.Pow(float64(k+1), -low) / sum
		cumulated[k] = total
	}
	return cumulated
}

// aquatic_ws_load_test 0.9 draws torrents with a gamma distribution of this shape and scale.
const (
	gammaShape = 0.2
	gammaScale = 100
)

// gammaTorrent draws a torrent as aquatic_ws_load_test does: a number below 1 means torrent 0.
func gammaTorrent(torrents int, random *rand.Rand) uint32 {
	p := (min(gamma(gammaShape, random)*gammaScale, 101) - 1) / 100
	return uint32(max(p, 0) * float64(torrents-1))
}

// gamma draws from a gamma distribution of scale 1 by the method of Marsaglia and Tsang (2000); section 6 of it has the
// rule for shapes below 1.
func gamma(shape float64, random *rand.Rand) float64 {
	if shape < 1 {
		return gamma(shape+1, random) * math.Pow(random.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := random.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if u := random.Float64(); math.Log(u) < 0.5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
