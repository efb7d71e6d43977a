// Command millrace is a WebTorrent tracker for Linux. Its main owns what belongs to a process: arguments, exit code,
// signals and the log's format.
package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"millrace/cmd/internal/cli"
	"millrace/cmd/internal/convert"
	"millrace/cmd/internal/handover"
	"millrace/cmd/internal/logqueue"
	"millrace/cmd/internal/notify"
	"millrace/cmd/internal/server"
	"millrace/config"
	"millrace/ring/host"
)

// version is set by the Makefile; a build without it takes the module's.
var version = ""

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run meets the request of the command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	environment := os.Environ() // before anything is taken out
	predecessor, err := handover.FromEnvironment()
	if err != nil {
		fmt.Fprintln(stderr, "millrace:", err)
		return cli.ExitError
	}
	inherited := host.CloseInherited()
	if len(args) > 0 && args[0] == "ctl" {
		return runCtl(args[1:], stdout, stderr)
	}
	cmd, err := cli.Parse(args)
	if err != nil {
		fmt.Fprintln(stderr, "millrace:", err)
		return cli.ExitUsage
	}
	switch cmd.Mode {
	case cli.Help:
		fmt.Fprint(stdout, cli.Usage)
		return cli.ExitOK
	case cli.Version:
		fmt.Fprintf(stdout, "millrace %s (%s)\n", cli.Build(version), runtime.Version())
		return cli.ExitOK
	case cli.PrintConfig:
		stdout.Write(config.DefaultTOML())
		return cli.ExitOK
	}
	if cmd.Mode == cli.Convert {
		return convertFile(cmd.ConfigFile, stdout, stderr)
	}
	cfg, err := load(cmd.ConfigFile)
	if err != nil {
		fmt.Fprintln(stderr, err)
		predecessor.Fail(err)
		return cli.ExitError
	}
	if cmd.Mode == cli.PrintParsed {
		stdout.Write(cfg.AppendTOML(nil))
		return cli.ExitOK
	}
	if cmd.Mode == cli.Test {
		return test(cfg, cmp.Or(cmd.ConfigFile, "of the defaults"), stdout, stderr)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that goes away does not take the tracker with it
	lines := logqueue.New(stderr, logqueue.Size)
	defer lines.Close(lastWords)
	process := newProcess(cfg, cmd.ConfigFile, lines)
	process.Predecessor, process.Successor = predecessor, successor(args, environment)
	return serve(cfg, process, lines, inherited)
}

// lastWords is how long the end of the tracker waits for the reader of the log.
const lastWords = time.Second

// load reads the configuration file, or returns the defaults where none is named.
func load(file string) (*config.Config, error) {
	if file == "" {
		return config.Default(), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("millrace: cannot read the configuration file: %w", err)
	}
	return config.Load(file, data)
}

// convertFile prints a configuration made from that of another tracker.
func convertFile(name string, stdout, stderr io.Writer) int {
	text, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(stderr, "millrace: cannot read the file to convert:", err)
		return cli.ExitError
	}
	made, err := convert.Read(name, text)
	if err != nil {
		fmt.Fprintln(stderr, "millrace: cannot convert:", err)
		return cli.ExitError
	}
	stdout.Write(made.Append(nil, name))
	return cli.ExitOK
}

// test says whether a tracker of the configuration could start here, and all reasons why not.
func test(cfg *config.Config, name string, stdout, stderr io.Writer) int {
	findings := server.Check(cfg, newLogger(slog.LevelWarn, stderr))
	for _, err := range findings {
		fmt.Fprintln(stderr, "millrace:", err)
	}
	if len(findings) > 0 {
		return cli.ExitError
	}
	fmt.Fprintf(stdout, "the configuration %s is good\n", name)
	return cli.ExitOK
}

// serve runs the tracker until a signal stops it. If it cannot start, the first line says why and how to fix it. inherited
// is the number of descriptors that were closed at first.
func serve(cfg *config.Config, process server.Process, lines *logqueue.Queue, inherited int) int {
	log := process.Log
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
	manager, err := notify.Open()
	if err != nil {
		log.Warn(err.Error())
	}
	listenFor(&process, manager)
	process.Passed, err = host.PassedSockets()
	var srv *server.Server
	if err == nil {
		srv, err = server.Start(cfg, process)
	}
	if err != nil {
		fmt.Fprintln(lines, "millrace:", err)
		return cli.ExitError
	}
	srv.LogStart()
	if inherited > 0 {
		log.Info("closed descriptors that the parent process had left open", "count", inherited)
	}
	if cfg.IsSet("swarm_workers") {
		log.Info("swarm_workers has no effect: every shard (socket_workers) keeps its own swarms")
	}
	manager.Tell(notify.Ready, status(srv))
	words, silence := manager.Ticker()
	defer silence()
	var stopping time.Time       // when the first signal came
	var reloaded <-chan struct{} // a reload that the manager has been told of
	for {
		select {
		case <-words:
			if srv.Turning() {
				manager.Tell(notify.Alive, status(srv))
			}
		case <-reloaded:
			reloaded = nil
			manager.Tell(notify.Ready)
		case <-srv.Done():
			if srv.HandedOver() {
				forward(srv, signals)
			}
			if err := srv.Err(); err != nil {
				log.Error(err.Error())
				return cli.ExitError
			}
			srv.LogEnd()
			return cli.ExitOK
		case sig := <-signals:
			switch {
			case sig == syscall.SIGUSR2:
				go srv.Upgrade() // it says what comes of it
			case sig == syscall.SIGUSR1, sig == syscall.SIGHUP:
				manager.Tell(notify.Reloading(host.Monotonic())...)
				reloaded = srv.Reload()
			case !stopping.IsZero() && time.Since(stopping) < sameSignal: // the same wish again
			case !stopping.IsZero():
				log.Warn("second signal: stopped without waiting for clients", "signal", sig.String())
				srv.Abandon()
				return cli.ExitError
			default:
				stopping = time.Now()
				srv.Stop("signal", sig.String())
			}
		}
	}
}

// forward stops the process that has taken over, where this one was told to stop and has not looked before its end.
func forward(srv *server.Server, signals <-chan os.Signal) {
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				srv.Stop("signal", sig.String())
				return
			}
		default:
			return
		}
	}
}

// listenFor has a service manager told what the tracker tells of itself.
func listenFor(process *server.Process, manager *notify.Manager) {
	process.Stopping = func() { manager.Tell(notify.Stopping) }
	process.HandingOver = func(pid int) {
		switch pid {
		case 0:
			manager.Tell(notify.Reloading(host.Monotonic())...)
		case os.Getpid():
			manager.Tell(notify.Ready)
		default: // the manager may not hear the other process before it knows its number, so this one says that it is ready
			manager.Tell(notify.MainPID(pid), notify.Ready)
		}
	}
	process.Progress = func(text string) { manager.Tell(notify.Status("%s", text)) }
}

// status returns the line that a service manager shows.
func status(srv *server.Server) string {
	connections, peers := srv.Clients()
	return notify.Status("%d connections, %d peers", connections, peers)
}

// sameSignal is the time in which several signals to stop count as one. coreutils' timeout and npm send two at once, and
// a terminal sends one to the whole group of processes that a script passes on.
const sameSignal = time.Second

// newProcess returns what the tracker uses of this process. file is the configuration's, if there is one.
func newProcess(cfg *config.Config, file string, lines *logqueue.Queue) server.Process {
	level := new(slog.LevelVar)
	level.Set(levels[cfg.LogLevel])
	p := server.Process{
		Log:   newLogger(level, lines),
		Level: func(l config.LogLevel) { level.Set(levels[l]) },
		Lost:  lines.Dropped,

		Version: cli.Build(version),

		File:   file,
		Reread: func() (*config.Config, error) { return load(file) },
	}
	return p
}

// levels are slog's names for the levels of the configuration. The level below debug is package server's, and slog has no
// name for it.
var levels = map[config.LogLevel]slog.Level{
	config.LogOff:   slog.LevelError + 100,
	config.LogError: slog.LevelError,
	config.LogWarn:  slog.LevelWarn,
	config.LogInfo:  slog.LevelInfo,
	config.LogDebug: slog.LevelDebug,
	config.LogTrace: server.LevelTrace,
}

// newLogger returns a logger of text lines.
func newLogger(level slog.Leveler, w io.Writer) *slog.Logger {
	nameTrace := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey && a.Value.Any() == server.LevelTrace {
			a.Value = slog.StringValue("TRACE")
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: nameTrace}))
}
