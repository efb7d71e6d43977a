package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	"millrace/cmd/internal/cluster"
	"millrace/cmd/internal/cluster/natsbus"
	"millrace/cmd/internal/cluster/record"
	"millrace/cmd/internal/ctl"
	"millrace/cmd/internal/stats"
)

// This file shows an operator the cluster: in the log, in health checks, in the metrics and in the state of the tracker.

// bridgeState is what the rest of the process sees of a bridge: a copy, at most a second old.
type bridgeState struct {
	core  cluster.Stats
	bus   natsbus.Stats
	nodes []cluster.Node
}

// show copies the state for the rest of the process, and logs the news.
func (b *bridge) show() {
	connections, torrents := b.load()
	b.core.Load(uint32(connections), uint32(torrents))
	state := &bridgeState{core: b.core.Stats(), nodes: b.core.Nodes()}
	if b.bus != nil {
		state.bus = b.bus.Stats()
	}
	b.shown.Store(state)
	for _, n := range b.core.News() {
		level := slog.LevelInfo
		if n.Event != cluster.NodeJoined && n.Event != cluster.NodeBye {
			level = slog.LevelWarn
		}
		b.log.Log(context.Background(), level, "cluster: a node "+n.Event.String(), "node", n.Node, "address", n.Address)
	}
}

// describe says how the cluster is, for health checks.
func (b *bridge) describe() string {
	if b == nil {
		return ""
	}
	state := b.shown.Load()
	if state == nil || state.core.Connected == 0 {
		return "cluster: no connection to NATS, this node is alone\n"
	}
	return fmt.Sprintf("cluster: %d other nodes\n", len(state.nodes))
}

// status returns the state for commands; nil: the tracker is no node of a cluster.
func (b *bridge) status() *ctl.Cluster {
	if b == nil {
		return nil
	}
	state := b.shown.Load()
	out := &ctl.Cluster{Nodes: []ctl.Node{}}
	if state == nil {
		return out
	}
	out.Connected = state.core.Connected != 0
	for _, n := range state.nodes {
		out.Nodes = append(out.Nodes, ctl.Node{Name: n.ID, Address: n.Address, Clients: int(n.Connections)})
	}
	return out
}

// clusterFigures are those of a node.
type clusterFigures struct {
	Core cluster.Stats
	Bus  natsbus.Stats
}

func clusterTables() stats.Tables {
	return stats.Tables{"record": record.KindNames[:], "mail": record.MailNames[:], "flaw": cluster.FlawNames[:]}
}

// write writes the figures for Prometheus.
func (b *bridge) write(to *bytes.Buffer) {
	state := b.shown.Load()
	writeSeries(to, clusterSeries, []*clusterFigures{{state.core, state.bus}}, []string{""})
}
