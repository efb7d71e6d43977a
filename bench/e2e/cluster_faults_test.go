package e2e

// This file plays what can fail in a cluster for real, under a load of small clients. They shall feel nothing but offers that find nobody.

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestClusterFaults shows for each fault that clients of the nodes which work have a reply to each announce and keep their connections, and
// that all counts are true at the end, with offers and answers between all peers. It logs how long that took.
func TestClusterFaults(t *testing.T) {
	for name, play := range map[string]func(*testing.T){
		"a node is killed, and comes back":          faultNodeKilled,
		"a node stands still for ten seconds":       faultNodeFrozen,
		"NATS is killed, and comes back":            faultNATSKilled,
		"NATS and a node are killed, and come back": faultBothKilled,
		"NATS stands still":                         faultNATSFrozen,
		"NATS is slow":                              faultNATSSlow,
		"NATS is not there at the start":            faultNATSAbsent,
		"a node is stopped, and comes back":         faultNodeStopped,
		"a node hands over to another process":      faultNodeHandsOver,
		"two nodes have one name":                   faultSameName,
		"a node has another secret":                 faultOtherSecret,
		"a client comes to another node, unnoticed": faultClientElsewhere,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t)
		})
	}
}

func faultNodeKilled(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	bystanders, victims := s.on(c.nodes[:2]...), s.on(c.nodes[2])
	c.nodes[2].kill(t)
	s.move(victims[:len(victims)/2], c.nodes[0]) // with the same ids
	s.settle("the counts of the others are true without the killed node", c.nodes[:2], c.nodes[:2])
	c.nodes[2].start(t)
	s.settle("all counts are true after its restart", c.nodes, c.nodes)
	s.meet()
	s.unharmed(bystanders)
}

func faultNodeFrozen(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	began := time.Now()
	thaw := c.nodes[1].server.freeze(t)
	others := []*clusterNode{c.nodes[0], c.nodes[2]}
	s.settle("the counts of the others are true without the node that stands still", others, others)
	await(t, "the node has stood still for long enough", func() bool { return time.Since(began) > 10*time.Second })
	thaw()
	s.settle("all counts are true after it goes on", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

// settleAlone waits until each node counts its own members alone.
func (s *clusterSwarm) settleAlone(nodes []*clusterNode) {
	s.t.Helper()
	for _, n := range nodes {
		n.isAlone(s.t)
		if status, text := n.health(); status != 200 || !strings.Contains(text, "no connection to NATS") {
			s.t.Errorf("a health check of node %s without NATS: %d %q", n.name, status, text)
		}
		s.settle("node "+n.name+" counts its own clients alone", []*clusterNode{n}, []*clusterNode{n})
	}
}

func faultNATSKilled(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	c.nats.kill(t)
	s.settleAlone(c.nodes)
	c.nats.start(t)
	s.settle("all counts are true after NATS is back", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

func faultBothKilled(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	bystanders := s.on(c.nodes[:2]...)
	c.nodes[2].kill(t)
	c.nats.kill(t)
	s.settleAlone(c.nodes[:2])
	c.nats.start(t)
	c.nodes[2].start(t)
	s.settle("all counts are true after both are back", c.nodes, c.nodes)
	s.meet()
	s.unharmed(bystanders)
}

func faultNATSFrozen(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	thaw := c.nats.server.freeze(t)
	s.settleAlone(c.nodes)
	thaw()
	s.settle("all counts are true after NATS goes on", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

// NATS stands still for most of the time, but never for long.
func faultNATSSlow(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	s.steady()
	turn := time.NewTicker(200 * time.Millisecond)
	defer turn.Stop()
	for range 10 {
		thaw := c.nats.server.freeze(t)
		<-turn.C
		<-turn.C
		thaw()
		<-turn.C
	}
	s.meet()
	s.settle("all counts are true", c.nodes, c.nodes)
	s.unharmed(s.members)
	for _, n := range c.nodes {
		if left, again := n.figure(t, "nodes_left_total"), n.figure(t, "reconnects_total"); left != 0 || again != 0 {
			t.Errorf("node %s lost %v others and %v connections to NATS", n.name, left, again)
		}
	}
}

func faultNATSAbsent(t *testing.T) {
	c := newCluster(t)
	for _, n := range c.nodes {
		n.start(t)
	}
	s := newSwarm(t, c)
	s.settleAlone(c.nodes)
	c.nats.start(t)
	s.settle("all counts are true after NATS is there", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

func faultNodeStopped(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	bystanders, victims := s.on(c.nodes[1:]...), s.on(c.nodes[0])
	s.move(victims, c.nodes[1])
	c.nodes[0].server.signal(t, syscall.SIGTERM)
	<-c.nodes[0].server.exited
	s.settle("the counts of the others are true, with the clients of the stopped node", c.nodes[1:], c.nodes[1:])
	for _, n := range c.nodes[1:] {
		await(t, "node "+n.name+" says that another one has left", func() bool { return n.says(`msg="cluster: a node has left" node=node1`) })
	}
	s.move(victims, c.nodes[0])
	c.nodes[0].start(t)
	for _, m := range victims {
		m.hangUp()
	}
	s.settle("all counts are true after its restart", c.nodes, c.nodes)
	s.meet()
	s.unharmed(bystanders)
}

func faultNodeHandsOver(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	c.nodes[1].handOver(t)
	s.settle("all counts are true in the new process", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

func faultSameName(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	second := newNode(t, clusterSetting{name: c.nodes[0].name, shards: 1, nats: "nats://" + c.nats.address})
	second.launch(t)
	second.expected = append(second.expected, second.pid)
	select {
	case <-second.server.exited:
	case <-time.After(patience):
		t.Fatal("the second node of one name goes on")
	}
	if code := second.server.cmd.ProcessState.ExitCode(); code != 1 || !second.says("give each node a name of its own (cluster.node)") {
		t.Errorf("the second node of one name ended with %d; its log says why", code)
	}
	for _, n := range c.nodes {
		n.sees(t, 2)
	}
	s.settle("all counts are true", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

func faultOtherSecret(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	s.steady()
	secret := t.TempDir() + "/secret"
	writeSecret(t, secret, 'x')
	stranger := newNode(t, clusterSetting{name: "node4", shards: 1, nats: "nats://" + c.nats.address, secret: secret})
	stranger.start(t)
	o := &clusterSwarm{t: t, cluster: c, hashes: s.hashes, observers: make(map[*clusterNode]*websocket.Conn),
		members: []*member{newMember(0, s.hashes[0], 0, stranger)}}
	o.run(t)
	for _, n := range append(c.nodes, stranger) {
		await(t, "node "+n.name+" refuses messages", func() bool { return n.figure(t, `messages_refused_total{reason="secret"}`) > 2 })
	}
	for _, n := range c.nodes {
		n.sees(t, 2)
	}
	if status, text := stranger.health(); status != 200 || !strings.Contains(text, "cluster: 0 other nodes") {
		t.Errorf("a health check of the node with another secret: %d %q", status, text)
	}
	alone := []*clusterNode{stranger}
	o.settle("the node with another secret counts its own client alone", alone, alone)
	s.settle("all counts are true without it", c.nodes, c.nodes)
	s.meet()
	s.unharmed(s.members)
}

// The old connection stays open and answers no more, as that of a client whose network has changed.
func faultClientElsewhere(t *testing.T) {
	c := startCluster(t)
	s := startSwarm(t, c)
	mover := s.on(c.nodes[0])[0]
	bystanders := slices.DeleteFunc(s.on(c.nodes...), func(m *member) bool { return m == mover })
	mover.fallSilent()
	s.move([]*member{mover}, c.nodes[2])
	took := await(t, "the old connection has not answered", func() bool { return c.nodes[0].figure(t, "rivals_gone_total") > 0 })
	t.Logf("%.1f s until its old peer is gone", took.Seconds())
	s.settle("all nodes count the client once", c.nodes, c.nodes)
	s.meet()
	s.unharmed(bystanders)
}
