# millrace: `make help` lists the targets.

# giouring v0.0.0-20230826085535 refers to syscall.munmap by name, which Go's linker refuses since 1.23. The flag allows
# it. It is stated here once: whoever calls `go build` or `go test` by hand on package ring, or on what imports it, has to
# repeat it. An explicit -ldflags replaces one in GOFLAGS, so the two are not combined.
LINKFLAGS := -checklinkname=0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SBOM := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags='$(LINKFLAGS) -s -w -X main.version=$(VERSION)'
# The packages are tested one after the other: what a user may lock is counted over all of its processes.
TEST := go test -ldflags=$(LINKFLAGS)

# bench/e2e is not among them: it is a module of its own, with the programs and packages that it installs.
PACKAGES := ./...

.PHONY: help build run test check simulate fuzz bench benchcmp e2e acme autobahn kernels arm64 idle compare abuse upgrade upgrade-test cluster report release package unit trypackage clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/millrace, the load tester bin/millrace-load and the floor bin/millrace-floor
	$(BUILD) -o bin/millrace ./cmd/millrace
	$(BUILD) -o bin/millrace-load ./cmd/millrace-load
	$(BUILD) -o bin/millrace-floor ./bench/floor/millrace-floor

run: build ## build the tracker and run it with its defaults on port 3000
	./bin/millrace

test: ## run all tests that need nothing but Go
	$(TEST) -p 1 $(PACKAGES)

# These have one goroutine and no unsafe pointer: the race detector finds nothing in them, and takes minutes for it.
RACELESS := millrace/swarm millrace/cmd/internal/shard/deflate millrace/cmd/internal/simulation

check: ## vet, gofmt, staticcheck, and the tests under the race detector where goroutines meet
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "run gofmt -w on $$unformatted" >&2; exit 1; }
	go vet $(PACKAGES)
	go run $(STATICCHECK) $(PACKAGES)
	$(TEST) -race -p 1 $(filter-out $(RACELESS),$(shell go list $(PACKAGES)))

MINUTES ?= 1
simulate: ## simulate whole shards under faults, with new random seeds, for MINUTES (1); SEED= replays one seed; CLUSTER=1: whole clusters
	$(BUILD) -o bin/millrace-simulate ./cmd/internal/simulation/millrace-simulate
	bin/millrace-simulate $(if $(CLUSTER),-cluster) $(if $(SEED),-seed $(SEED),-minutes $(MINUTES))

e2e: build ## move real files between real clients (installs npm packages, Chromium, Firefox, nginx and HAProxy where they are missing)
	bench/e2e/run.sh
	$(TEST) -tags interop ./tlsconn

acme: build ## show how the tracker gets a certificate, from an ACME server for tests
	bench/e2e/acme.sh

kernels: build ## run the tracker on the kernels of older Debian releases, in qemu
	bench/kernels/run.sh

arm64: ## run the tracker and its black-box tests on a 64-bit ARM processor, in qemu
	bench/kernels/run.sh arm64

autobahn: ## run the Autobahn test suite against the reader of frames and the compression (WSTEST=its wstest, see bench/autobahn.sh)
	bench/autobahn.sh

idle: build ## hold CONNECTIONS idle connections (250000) in qemu, for machines that allow too few descriptors
	bench/kernels/run.sh idle

FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME
	@for p in $$(go list $(PACKAGES)); do \
		for f in $$($(TEST) -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "== $$p $$f"; $(TEST) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 2 $$p || exit 1; \
		done; done

bench: ## run the benchmarks of every package
	$(TEST) -run '^$$' -bench . -benchmem $(PACKAGES)

BASE ?= HEAD
PKG ?= $(PACKAGES)
BENCH ?= .
COUNT ?= 20
BENCHTIME ?= 0.1s
benchcmp: ## compare the Go benchmarks of revision BASE and of the working tree (PKG=, BENCH=, COUNT=, BENCHTIME=)
	LINKFLAGS='$(LINKFLAGS)' BENCHSTAT='$(BENCHSTAT)' bench/benchcmp.sh '$(BASE)' '$(PKG)' '$(BENCH)' '$(COUNT)' '$(BENCHTIME)'

compare: ## run trackers side by side, or a commit and the working tree (ARGS=-h lists the options)
	$(BUILD) -o bin/millrace-compare ./bench/compare
	bin/millrace-compare $(ARGS)

abuse: build ## attack the tracker beside honest clients, and say what those felt (ARGS=-h lists options and attacks)
	$(BUILD) -o bin/millrace-abuse ./bench/abuse
	bin/millrace-abuse $(ARGS)

CONNECTIONS ?= 2000
upgrade: build ## replace the tracker under load, again and again, with CONNECTIONS clients (2000; ARGS=-h lists the options)
	$(BUILD) -o bin/millrace-upgrade ./bench/upgrade
	$(BUILD) -o bin/millrace-fakeheir ./cmd/internal/handover/fakeheir
	bin/millrace-upgrade -connections $(CONNECTIONS) $(ARGS)

NODES ?= 3
PORT ?= 3000
cluster: build ## run a NATS server, NODES nodes (3) and HAProxy on this machine, from PORT (3000) on, until Ctrl-C
	bench/cluster.sh $(NODES) $(PORT)

upgrade-test: build ## hand over from the tracker of commit BASE to the working tree's and back, under load
	$(BUILD) -o bin/millrace-upgrade ./bench/upgrade
	LINKFLAGS='$(LINKFLAGS)' bench/upgradetest.sh '$(BASE)' $(ARGS)

release: ## build the archives, SBOMs and checksums of a release into dist, for amd64 and arm64
	LINKFLAGS='$(LINKFLAGS)' SBOM='$(SBOM)' config/deploy/release.sh

package: ## build .deb and .rpm packages into dist, for amd64 and arm64
	LINKFLAGS='$(LINKFLAGS)' NFPM='$(NFPM)' config/deploy/package.sh

unit: build ## run the tracker under the restrictions of its systemd unit, as root, without systemd
	config/deploy/try-unit.sh

trypackage: package ## install the package on a fresh Debian in a folder, as root, run it there, and remove it
	config/deploy/package/try.sh

RESULTS ?= $(lastword $(sort $(wildcard bench/results/*.jsonl)))
report: ## make tables and plots of RESULTS (default: the latest comparison) for README.md and bench/results/README.md
	$(BUILD) -o bin/millrace-compare ./bench/compare
	bin/millrace-compare report $(RESULTS)

clean: ## remove what was built
	rm -rf bin dist
