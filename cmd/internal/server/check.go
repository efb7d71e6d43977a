package server

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"

	"millrace/cmd/internal/acme"
	"millrace/config"
)

// This file owns the test of a configuration on this machine, beside a tracker that may be running.

// Check returns all that would keep a tracker of this configuration from starting, each as one sentence that names the
// remedy. It opens what a start would open and closes it again. An address that somebody listens on is no finding but a
// warning in the log: it may be the running tracker, whose next configuration this is.
func Check(cfg *config.Config, log *slog.Logger) (findings []error) {
	add := func(err error) {
		if err != nil {
			findings = append(findings, err)
		}
	}
	user, err := lookUpPrivileges(cfg.Privileges)
	add(err)
	set, err := prepare(cfg, log)
	add(err)
	_, err = readAccess(cfg.AccessList, nil)
	add(err)
	_, err = origins(&cfg.Network)
	add(err)
	_, err = readPage(cfg.HTTP.PagePath)
	add(err)
	secure, err := openTLS(cfg, user, log)
	add(err)
	if secure != nil && len(cfg.TLS.ACMEDomains) > 0 && !user.active { // else the folder is another user's
		add(acme.CheckStorage(cfg.TLS.ACMEStorage))
	}
	_, err = readBridge(&cfg.Cluster)
	add(err)
	memory, err := openPressure(set.memory, log)
	add(err)
	if memory != nil {
		memory.close()
	}
	for _, err := range listenOnce(cfg) {
		if errors.Is(err, syscall.EADDRINUSE) {
			log.Warn(err.Error())
			continue
		}
		add(err)
	}
	return findings
}

// listenOnce listens on the addresses of the configuration and stops at once. It returns an error for each that failed, alone
// or beside the others.
func listenOnce(cfg *config.Config) (errs []error) {
	alone := make(map[string]bool)
	for _, l := range cfg.Listeners() {
		opened, err := openListening(l, cfg.Network.TCPBacklog, 1, nil, true)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		alone[l.Address] = true
		opened.close()
	}
	for _, l := range cfg.Listeners() {
		opened, err := openListening(l, cfg.Network.TCPBacklog, 1, nil, true)
		if err == nil {
			defer opened.close()
		} else if alone[l.Address] {
			errs = append(errs, fmt.Errorf("cannot listen on %s: another address of the configuration overlaps it", l.Address))
		}
	}
	if cfg.Control.Listen != "" {
		if socket, l, err := listenControl(&cfg.Control, nil); err != nil {
			errs = append(errs, err)
		} else {
			defer socket.Remove()
			defer l.Close()
		}
	}
	if !cfg.Metrics.RunPrometheusEndpoint {
		return errs
	}
	l, err := listenAdmin(&cfg.Metrics, nil)
	if err != nil {
		return append(errs, err)
	}
	l.Close()
	return errs
}
