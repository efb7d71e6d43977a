package main

// This file builds or installs trackers, each once.

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// installer makes trackers ready in a folder that outlives the comparison, so that each is built once.
type installer struct {
	root    string    // of the tree of millrace
	dir     string    // where the other trackers are kept
	offline bool      // use installed programs, fetch nothing
	log     io.Writer // for progress
}

// errOffline is the reason for a missing tracker when nothing may be fetched.
var errOffline = errors.New("it is not installed, and -offline forbids to fetch it")

// maxOutput bounds how much of a failed command's output its error repeats.
const maxOutput = 400

// run executes a command in a folder and returns its standard output. env is added to the environment.
func (in *installer) run(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if len(said) > maxOutput {
			said = "…" + said[len(said)-maxOutput:]
		}
		return "", fmt.Errorf("%q failed: %w: %s", strings.Join(argv, " "), err, said)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// address matches the address of a server or a registry in the messages of a package manager.
var address = regexp.MustCompile(`[a-z+]+://[^\s"'` + "`" + `]+`)

// reason returns the text of an error for the results, without folders and addresses of this machine.
func (in *installer) reason(err error) string {
	text := strings.NewReplacer(in.dir, "TRACKERS_DIR", in.root, ".", os.TempDir(), "TMPDIR").Replace(err.Error())
	return address.ReplaceAllString(text, "(address)")
}

// built returns the path of a program that makeBuild leaves.
func (in *installer) built(name string) string { return filepath.Join(in.root, "bin", name) }

// makeBuild builds the tree.
func (in *installer) makeBuild(ctx context.Context) error {
	fmt.Fprintln(in.log, "building millrace")
	_, err := in.run(ctx, in.root, nil, "make", "build")
	return err
}

// installMillrace takes the program that makeBuild has left.
func installMillrace(ctx context.Context, in *installer) (program, error) {
	path := in.built("millrace")
	version, err := in.run(ctx, in.root, nil, path, "-v")
	return program{strings.TrimPrefix(version, "millrace "), "make build", []string{path}}, err
}

// installFloor takes the program that makeBuild has left. It has the tree's version.
func installFloor(ctx context.Context, in *installer) (program, error) {
	path := in.built("millrace-floor")
	if _, err := os.Stat(path); err != nil {
		return program{}, errors.New("make build has not built bin/millrace-floor")
	}
	version, err := in.run(ctx, in.root, nil, "git", "describe", "--tags", "--always", "--dirty")
	return program{version, "make build", []string{path}}, err
}

// installBase builds millrace as it was at a commit, from a copy of that commit's files.
func installBase(revision string) func(context.Context, *installer) (program, error) {
	return func(ctx context.Context, in *installer) (program, error) {
		version, err := in.run(ctx, in.root, nil, "git", "rev-parse", "--short", revision+"^{commit}")
		if err != nil {
			return program{}, fmt.Errorf("-base %s: %w", revision, err)
		}
		dir := filepath.Join(in.dir, "millrace-"+version)
		built := program{version, "make build", []string{filepath.Join(dir, "millrace")}}
		if _, err := os.Stat(built.argv[0]); err == nil {
			return built, nil
		}
		fmt.Fprintln(in.log, "building millrace at", version)
		source, err := os.MkdirTemp("", "millrace-base")
		if err != nil {
			return program{}, err
		}
		defer os.RemoveAll(source)
		archive := filepath.Join(source, "tree.tar")
		steps := [][]string{
			{"git", "archive", "-o", archive, version},
			{"tar", "-C", source, "-xf", archive},
			{"make", "-C", source, "build", "VERSION=" + version},
			{"mkdir", "-p", dir},
			{"cp", filepath.Join(source, "bin", "millrace"), dir},
		}
		for _, argv := range steps {
			if _, err := in.run(ctx, in.root, nil, argv...); err != nil {
				return program{}, err
			}
		}
		return built, nil
	}
}

// aquaticBuild is how the crates of aquatic are built: for this CPU, as its documentation advises, and with link-time
// optimisation, which its own workspace sets and which a crate from the registry does not bring along.
var aquaticBuild = []string{"RUSTFLAGS=-C target-cpu=native", "CARGO_PROFILE_RELEASE_LTO=thin"}

// installCrate installs a version of a crate with cargo, once. variant tells builds with other options apart.
func (in *installer) installCrate(ctx context.Context, crate, version, variant string, options ...string) (
	program, error,
) {
	dir := filepath.Join(in.dir, crate+"-"+version+variant)
	argv := append([]string{"cargo", "install", "--version", "=" + version}, options...)
	built := program{version, strings.Join(slices.Concat(aquaticBuild, argv, []string{crate}), " "),
		[]string{filepath.Join(dir, "bin", crate)}}
	if _, err := os.Stat(built.argv[0]); err == nil {
		return built, nil
	}
	if in.offline {
		return program{}, errOffline
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		return program{}, errors.New("cargo is not installed")
	}
	fmt.Fprintln(in.log, "building", crate, version, strings.Join(options, " "), "(this takes some minutes)")
	_, err := in.run(ctx, in.root, aquaticBuild, append(argv, "--root", dir, crate)...)
	return built, err
}

// installAquatic installs a version of aquatic_ws, with its metrics feature or without.
func installAquatic(version string, metrics bool) func(context.Context, *installer) (program, error) {
	return func(ctx context.Context, in *installer) (program, error) {
		if metrics {
			return in.installCrate(ctx, "aquatic_ws", version, "")
		}
		return in.installCrate(ctx, "aquatic_ws", version, "-without-metrics", "--no-default-features", "--features=mimalloc")
	}
}

// installAquaticLatest installs the latest aquatic_ws, unless that version is compared anyway.
func installAquaticLatest(ctx context.Context, in *installer) (program, error) {
	if in.offline {
		return program{}, errors.New("-offline forbids to ask for the latest version")
	}
	if _, err := exec.LookPath("cargo"); err != nil {
		return program{}, errors.New("cargo is not installed")
	}
	about, err := in.run(ctx, os.TempDir(), nil, "cargo", "info", "aquatic_ws")
	if err != nil {
		return program{}, err
	}
	version, err := latestVersion(about)
	if err != nil {
		return program{}, err
	}
	if version == "0.9.0" {
		return program{}, errors.New("0.9.0 is the latest version in the registry")
	}
	return in.installCrate(ctx, "aquatic_ws", version, "")
}

// latestVersion finds the version in the output of `cargo info`: "version: 0.9.0 (latest 0.9.1)". The second one is
// there only if a local lock file holds the crate back.
func latestVersion(about string) (string, error) {
	for line := range strings.Lines(about) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "version:"); ok {
			version = strings.TrimSpace(version)
			if _, latest, ok := strings.Cut(version, "(latest "); ok {
				return strings.TrimSuffix(latest, ")"), nil
			}
			return version, nil
		}
	}
	return "", errors.New("cargo info does not name a version")
}

// nodeTracker starts the trackers of npm.
//
//go:embed node-tracker.mjs
var nodeTracker []byte

// nodeVersions are the versions of the packages of npm.
var nodeVersions = map[string]string{
	"bittorrent-tracker":                  "11.2.3",
	"@peertube/bittorrent-tracker-server": "11.1.2",
}

// installNode installs a tracker of npm with its optional native helpers for frames. Install scripts are not run: they
// build parts that only clients need.
func installNode(name string) func(context.Context, *installer) (program, error) {
	return func(ctx context.Context, in *installer) (program, error) {
		for _, need := range []string{"node", "npm"} {
			if _, err := exec.LookPath(need); err != nil {
				return program{}, fmt.Errorf("%s is not installed", need)
			}
		}
		version := nodeVersions[name]
		dir := filepath.Join(in.dir, strings.NewReplacer("@", "", "/", "-").Replace(name)+"-"+version)
		about := filepath.Join(dir, "node_modules", filepath.FromSlash(name), "package.json")
		if installedVersion(about) != version {
			if in.offline {
				return program{}, errOffline
			}
			fmt.Fprintln(in.log, "installing", name, version)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return program{}, err
			}
			if _, err := in.run(ctx, dir, nil, "npm", "install", "--prefix", ".", "--no-save", "--no-fund", "--no-audit",
				"--ignore-scripts", name+"@"+version); err != nil {
				return program{}, err
			}
		}
		script := filepath.Join(dir, "node-tracker.mjs")
		if err := os.WriteFile(script, nodeTracker, 0o644); err != nil {
			return program{}, err
		}
		node, err := in.run(ctx, dir, nil, "node", "--version")
		return program{version + ", node " + node, "npm install --ignore-scripts", []string{"node", script, name}}, err
	}
}

// installedVersion reads the version in a package.json: "" where there is none.
func installedVersion(name string) string {
	var about struct{ Version string }
	text, err := os.ReadFile(name)
	if err != nil || json.Unmarshal(text, &about) != nil {
		return ""
	}
	return about.Version
}
