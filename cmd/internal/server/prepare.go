package server

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"

	"millrace/config"
	"millrace/ring"
	"millrace/ring/host"
)

// This file owns the decisions that are made before anything is opened: shards, CPUs, connections, kernel features and
// locked memory, by what the machine allows.

// setup holds the decisions.
type setup struct {
	shards        int
	cpus          []int // by shard; nil: not pinned
	connsPerShard int
	plan          ring.Plan
	ideal         ring.Plan // the same on a kernel that has every feature
	kernel        string    // its release
	memlock       uint64    // soft limit in bytes
	memlockFree   bool      // there is none
	locked        uint64    // bytes that the rings have locked, once they are open
	files         uint64    // limit of file descriptors
	machine       uint64    // memory that the process may use, in bytes; 0: it is not known
	memory        uint64    // limit of resident memory in bytes; 0: none is known
}

// descriptorsKept is the number of file descriptors that are not left to connections: standard streams, the runtime's
// poller, files, the connections of operators, and for each shard its ring, its eventfd, one to spare and its listeners.
func descriptorsKept(shards, listeners int) int { return 32 + adminConns + (3+listeners)*shards }

// prepare finds the limits of this machine and decides how the tracker will run on it.
func prepare(cfg *config.Config, log *slog.Logger) (setup, error) {
	var s setup
	s.kernel = kernelRelease()
	features := ring.Probe()
	if features.IOUring.Outcome != ring.Available {
		return s, errors.New(features.IOUring.Reason)
	}
	allowed, err := host.AllowedCPUs()
	if err != nil {
		return s, fmt.Errorf("cannot get the CPUs that the process may use: %w", err)
	}
	if len(allowed) == 0 {
		return s, errors.New("the process may run on no CPU; allow it one, for example with taskset")
	}
	s.shards = cfg.SocketWorkers
	if s.shards == 0 {
		s.shards = shardsFor(len(allowed), cpuQuota(os.DirFS("/")), log)
	}
	s.machine = machineMemory(os.DirFS("/"))
	s.memory = memoryLimit(cfg.Limits.MemoryLimit, s.machine)
	s.cpus = assignCPUs(cfg.CPUPinning, s.shards, allowed)
	s.files = host.RaiseFileLimit()
	s.connsPerShard = connections(cfg.Network.MaxConnections, s.shards, len(cfg.Listeners()), s.files, log)
	options := ringOptions(cfg, s.connsPerShard)
	if s.plan, err = ring.Choose(features, options); err != nil {
		return s, err
	}
	if s.ideal, err = ring.Choose(ring.Features{}, options); err != nil {
		return s, err
	}
	if err := s.fitMemory(log); err != nil {
		return s, err
	}
	s.warnShards(len(allowed), log)
	return s, nil
}

// warnShards says before the rings are made, which may take seconds, that there are more of them than CPUs.
func (s *setup) warnShards(cpus int, log *slog.Logger) {
	if s.shards > cpus {
		log.Warn("there are more shards than CPUs: they take memory, wait for each other, and are not pinned; "+
			"socket_workers = 0 takes one for each CPU", "shards", s.shards, "cpus", cpus,
			"locked_bytes", s.plan.LockedBytes()*uint64(s.shards))
	}
}

// shardsFor returns the number of shards for so many CPUs and so much time of them; quota 0: all of it. A shard more than
// the quota is worth would only make all of them stand still for the rest of each period.
func shardsFor(cpus int, quota float64, log *slog.Logger) int {
	if quota == 0 || quota > float64(cpus-1) {
		return cpus
	}
	shards := max(1, int(math.Ceil(quota)))
	log.Info("there are fewer shards than CPUs, because the cgroup has a CPU quota; socket_workers can set another number",
		"shards", shards, "cpus", cpus, "quota_cpus", quota)
	return shards
}

// fitMemory makes the plan fit the limit of locked memory, and warns where it becomes smaller.
func (s *setup) fitMemory(log *slog.Logger) error {
	s.memlock, s.memlockFree = host.MemlockLimit()
	if s.memlockFree {
		return nil
	}
	wanted := s.plan.LockedBytes() * uint64(s.shards)
	fitted, shrunk, err := ring.FitProcess(s.plan, s.memlock, s.shards)
	if err != nil {
		return err
	}
	if shrunk {
		log.Warn("the limit of locked memory is too small for the configured buffers: running with smaller ones; "+
			"raise it with LimitMEMLOCK= in the systemd unit, or memlock in limits.conf",
			"needed_bytes", wanted, "limit_bytes", s.memlock,
			"receive_buffers", fitted.ReceiveBuffers, "send_memory", fitted.SendMemory)
	}
	s.plan = fitted
	return nil
}

// noteLocked adds up the memory that the rings have locked, and warns where it is less than planned.
func (s *Server) noteLocked(rings []*ring.Ring) {
	set := &s.setup
	for _, r := range rings {
		set.locked += r.Plan().LockedBytes()
	}
	if planned := set.plan.LockedBytes() * uint64(len(rings)); set.locked < planned {
		s.log.Warn("other processes of this user hold locked memory, and the limit counts them together: running with smaller "+
			"buffers; raise it with LimitMEMLOCK= in the systemd unit, or memlock in limits.conf",
			"needed_bytes", planned, "locked_bytes", set.locked, "limit_bytes", set.memlock)
	}
}

// assignCPUs gives each shard a CPU of its own out of those that the process may use. It gives none where pinning is
// switched off or there are fewer CPUs than shards: two loops pinned to one CPU would only get in each other's way.
func assignCPUs(p config.CPUPinning, shards int, allowed []int) []int {
	if !p.Active || shards > len(allowed) {
		return nil
	}
	cpus := make([]int, shards)
	for k := range cpus {
		cpus[k] = allowed[(p.Offset+k)%len(allowed)]
	}
	return cpus
}

// fewConnections are fewer than an operator expects, unless the configuration asks for so few.
const fewConnections = 1000

// connections returns how many connections a shard may hold. The kernel spreads clients evenly over the shards'
// listeners, so each gets an equal part of the total.
func connections(wanted, shards, listeners int, fileLimit uint64, log *slog.Logger) int {
	possible := int(min(fileLimit, maxConnections)) - descriptorsKept(shards, listeners)
	possible = max(possible, shards)
	total := wanted
	if total == 0 {
		total = possible
	}
	if total > possible {
		log.Warn("network.max_connections is more than the limit of file descriptors allows: raise it with "+
			"LimitNOFILE= in the systemd unit, or nofile in limits.conf",
			"max_connections", wanted, "running_with", possible, "file_limit", fileLimit)
		total = possible
	}
	if total < fewConnections && total < cmp.Or(wanted, fewConnections) {
		log.Warn("the limit of file descriptors leaves room for few clients: raise it with LimitNOFILE= in the systemd unit, or "+
			"nofile in limits.conf", "max_connections", total, "file_limit", fileLimit)
	}
	return share(total, shards)
}

// maxConnections bounds the connection tables where the descriptor limit does not. The ring's table is written at the
// start; the shard's, which is larger, takes memory only when connections come.
const maxConnections = 2 << 20
