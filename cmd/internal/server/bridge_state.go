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
	apart string // see bridge
}

// trouble returns what is wrong for as long as it lasts; empty: nothing.
func (st *bridgeState) trouble() string {
	switch {
	case st.apart != "":
		return "this node has left the cluster, and its clients find no peers on others: " + st.apart
	case st.core.Connected == 0:
		return "there is no connection to NATS, and clients of this node find no peers on others: the log says why"
	case st.core.Unheard != 0:
		return "NATS does not bring this node its own greetings: its user must have the right to publish and to subscribe to millrace.>"
	case st.core.Unlike != 0:
		return "another node has another value of protocol.share_swarms_across_ip_versions, so its clients do not meet those of this one: set it alike on all nodes"
	case st.core.Strange:
		return "somebody has the name of this cluster and another secret: all nodes need the same cluster.secret_file"
	}
	return ""
}

// show copies the state for the rest of the process, and logs the news.
func (b *bridge) show() {
	connections, torrents := b.load()
	b.core.Load(uint32(connections), uint32(torrents))
	state := &bridgeState{core: b.core.Stats(), nodes: b.core.Nodes(), apart: b.apart}
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
	switch {
	case state != nil && state.apart != "":
		return "cluster: another node has the name of this one, which is alone\n"
	case state == nil || state.core.Connected == 0:
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
	out.Connected, out.Problem = state.core.Connected != 0, state.trouble()
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
