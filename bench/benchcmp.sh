#!/bin/sh
# Compares the Go benchmarks of a revision with those of the working tree. Both are built first, and then run in turns,
# so that other work of the machine disturbs both alike. Many short runs make better medians than few long ones on a
# shared machine. Trust a difference only if benchstat calls it significant and a second run confirms it.
#
#	bench/benchcmp.sh BASE [PKG [BENCH [COUNT [TIME]]]]
#
# BASE is a revision, PKG packages as `go list` takes them, BENCH the expression for -test.bench, COUNT the number of
# runs of each side, TIME the length of a benchmark's run (-test.benchtime). LINKFLAGS and BENCHSTAT come from the
# Makefile.
set -eu

base=${1:?'usage: bench/benchcmp.sh BASE [PKG [BENCH [COUNT [TIME]]]]'}
packages=${2:-./...} bench=${3:-.} count=${4:-20} time=${5:-0.1s}
cd "$(dirname "$0")/.."
: "${LINKFLAGS:?run it by make benchcmp}" "${BENCHSTAT:?run it by make benchcmp}"

git rev-parse --quiet --verify "$base^{commit}" >/dev/null || {
	echo "benchcmp: '$base' is no revision of this repository: give one by BASE=" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/base" "$work/bin"
git archive "$base" | tar -x -C "$work/base"

# build SIDE DIR builds the test binary of $package from the sources in DIR, for run. BASE may not have the package.
build() {
	[ -d "$2/$package" ] || return 0
	(cd "$2" && go test -ldflags="$LINKFLAGS" -c -o "$work/bin/$1" "./$package")
}

# run SIDE DIR runs its benchmarks once, in the folder of the package, as `go test` does.
run() {
	[ -x "$work/bin/$1" ] || return 0
	(cd "$2/$package" && "$work/bin/$1" -test.run '^$' -test.bench "$bench" -test.benchmem -test.benchtime "$time") \
		>>"$work/$1.txt" || {
		echo "benchcmp: the benchmarks of $package failed in the $1:" >&2
		tail -n 20 "$work/$1.txt" >&2
		exit 1
	}
}

: >"$work/base.txt"
: >"$work/tree.txt"
module=$(go list -m)
list=$(go list $packages) # unquoted, since there may be several
for package in $list; do
	package=.${package#"$module"}
	grep -lqs '^func Benchmark' "$package"/*_timing_test.go || continue
	rm -f "$work/bin/base" "$work/bin/tree"
	build base "$work/base"
	build tree .
	round=0
	while [ $((round += 1)) -le "$count" ]; do
		echo "$package: round $round of $count" >&2
		run base "$work/base"
		run tree .
	done
done
cd "$work"
go run "$BENCHSTAT" "$base=base.txt" "working tree=tree.txt"
