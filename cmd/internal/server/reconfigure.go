package server

import (
	"errors"
	"slices"
	"strings"

	"millrace/cmd/internal/acme"
	"millrace/config"
	"millrace/swarm"
	"millrace/wsproto"
)

// This file owns the change to another configuration while the tracker runs. All that can fail is tried before anything
// changes, so a configuration is taken as a whole or not at all. It belongs to the goroutine of watch.

// staged is a configuration that is ready to be taken: what was read and opened for it.
type staged struct {
	config *config.Config
	pages  *wsproto.Origins
	memory uint64        // limit of resident memory in bytes; 0: none
	rule   *swarm.Access // the torrents to serve, if newRule; nil: all
	admin  *adminServer  // the listener for metrics, if newAdmin; nil: none

	listening         listenTable
	acme              *acme.Manager // gets certificates; nil: none
	ports             acme.Ports
	ownPage           []byte       // the operator's own; nil: the tracker's
	control           *adminServer // the listener for commands, if newControl; nil: none
	newRule, newAdmin bool
	newControl        bool
}

// reconfigure reads the configuration again and puts it in force, or says in the log why not.
func (s *Server) reconfigure() {
	switch {
	case s.process.File == "":
		s.log.Info("there is no configuration file to read again")
		return
	case !s.checkFile():
		return
	}
	next, err := s.process.Reread()
	var kept []string
	if err == nil {
		kept, err = s.changeTo(next)
	}
	outcome := s.reloadCounts.done(reloadConfiguration, "configuration", err)
	if len(kept) > 0 && err == nil {
		outcome.Note = ", but for keys that change with a restart only: " + strings.Join(kept, ", ")
	}
	s.outcomes = append(s.outcomes, outcome)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			s.log.Error("the new configuration is not good, keeping the one in force", "error", strings.TrimSuffix(line, "\n"))
		}
	}
}

// checkFile reports whether the configuration can be read from the root directory that the process has changed to, and warns
// where it cannot.
func (s *Server) checkFile() bool {
	if s.process.File == "" {
		return true
	}
	err := s.user.checkReadable("the configuration", s.process.File)
	if err != nil {
		s.log.Warn(err.Error())
	}
	return err == nil
}

// changeTo puts a configuration in force, but for the keys that change with a restart only, and returns those of them that are
// other ones.
func (s *Server) changeTo(next *config.Config) (kept []string, err error) {
	merged, changed, kept, err := s.config.Load().Next(next)
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		s.log.Warn("these keys change with a restart only: they keep their values", "keys", strings.Join(kept, ","))
	}
	stage, err := s.stage(merged, changed)
	if err != nil {
		return nil, err
	}
	s.take(stage)
	s.log.Info("configuration read again", "changed", strings.Join(changed, ","))
	return kept, nil
}

// stage reads and opens what a configuration needs beyond the one in force. changed are the names of its new keys.
func (s *Server) stage(cfg *config.Config, changed []string) (g staged, err error) {
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(changed, key) })
	}
	g.config = cfg
	if g.pages, err = origins(&cfg.Network); err != nil {
		return g, err
	}
	if g.newRule = has("access_list.mode", "access_list.path"); g.newRule {
		if g.rule, err = s.readAccess(cfg.AccessList); err != nil {
			return g, err
		}
	}
	if files := cfg.NeedsTLS() && len(cfg.TLS.ACMEDomains) == 0; s.tls != nil && files &&
		has("network.tls_certificate_path", "network.tls_private_key_path", "tls.acme_domains") {
		if _, err = loadCertificate(cfg, s.log); err != nil {
			return g, err
		}
	}
	if path := cfg.Network.TLSTicketKeysPath; s.tls != nil && has("network.tls_ticket_keys_path") && path != "" {
		keys := s.tls.certificates.TicketKeys()
		err = writeTicketKeys(path, keys)
		if clear(keys); err != nil {
			return g, err
		}
	}
	g.memory = memoryLimit(cfg.Limits.MemoryLimit, s.setup.machine)
	if err = s.memory.checkLimit(g.memory); err != nil {
		return g, err
	}
	if s.tls == nil && cfg.NeedsTLS() {
		return g, errors.New("cannot begin to speak TLS: the tracker was started without; restart it")
	}
	if g.ownPage, err = readPage(cfg.HTTP.PagePath); err != nil {
		return g, err
	}
	if g.listening, err = s.listening.next(cfg, s.setup.shards, s.process.Passed); err != nil {
		return g, err
	}
	defer func() {
		if err != nil {
			g.listening.closeFresh()
			g.admin.close()
		}
	}()
	if s.tls != nil {
		g.ports = acmePorts(&g.listening, cfg.TLS.ACMEHTTPPort)
		if g.acme, err = s.stageACME(cfg, g.ports); err != nil {
			return g, err
		}
	}
	on := cfg.Metrics.RunPrometheusEndpoint
	g.newAdmin = has("metrics.run_prometheus_endpoint") || on && has("metrics.prometheus_endpoint_address")
	if g.newAdmin && on {
		if g.admin, err = s.openAdmin(&cfg.Metrics); err != nil {
			return g, err
		}
	}
	if g.newControl = has("control.listen"); g.newControl {
		g.control, err = s.openControl(&cfg.Control)
	}
	return g, err
}

// take puts a configuration in force. Nothing of it can fail.
func (s *Server) take(g staged) {
	cfg := g.config
	s.config.Store(cfg)
	if s.process.Level != nil {
		s.process.Level(cfg.LogLevel)
	}
	s.traces = s.traces.follow(s.log, s.controls)
	s.memory.limit.Store(g.memory)
	limits := guardLimits(&cfg.Limits)
	limits.Change(s.addresses)
	for id, c := range s.controls {
		c.Change(s.shardOptions(cfg, id, secrets{}, g.pages, &g.listening))
		if g.newRule {
			c.SetAccess(g.rule)
		}
	}
	if s.tls != nil {
		s.tls.keysFile = cfg.Network.TLSTicketKeysPath
	}
	if g.newAdmin {
		s.admin.close()
		s.admin = g.admin
		s.admin.serve(s.log)
		s.admin.logStart(s.log)
	}
	if g.newControl {
		s.control.closeGently()
		s.control = g.control
		s.control.serve(s.log)
		s.control.logStart(s.log)
	}
	if g.newRule {
		s.rule = g.rule
	}
	s.watchFiles(cfg, s.rule)
	s.listen(&g.listening)
	s.pages.own = g.ownPage
	s.makePages()
	if s.tls != nil {
		s.takeACME(g.acme, g.ports)
	}
}
