#!/usr/bin/env bash
# Builds the packages into dist: a .deb and a .rpm for each architecture, with static binaries, the unit and its user, a man
# page and shell completion. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${LINKFLAGS:?} ${NFPM:?}" # of the Makefile
. config/deploy/static.sh

described=$(git describe --tags --always --dirty)
when=$(git log -1 --format=%ct)
# Packages sort versions by their digits: a commit without a tag comes before the first one.
case $described in
v[0-9]*) VERSION=${described#v} ;;
*) VERSION=0.0.0~$(date --utc --date="@$when" +%Y%m%d%H%M%S).$described ;;
esac
VERSION=${VERSION//-/.}
MTIME=$(date --utc --date="@$when" +%FT%TZ)
mkdir -p dist
rm -f dist/millrace*.deb dist/millrace*.rpm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
GOBIN=$work go install "$NFPM"
for ARCH in amd64 arm64; do
	BIN=$work/$ARCH
	mkdir "$BIN"
	build_static "$ARCH" "$BIN" "$described"
	gzip --no-name --best <config/deploy/millrace.1 >"$BIN/millrace.1.gz"
	for name in VERSION MTIME ARCH BIN; do # nfpm itself replaces variables in some places only
		echo "s|\${$name}|${!name}|g"
	done >"$work/variables.sed"
	sed -f "$work/variables.sed" config/deploy/package/nfpm.yaml >"$work/nfpm.yaml"
	for kind in deb rpm; do
		"$work/nfpm" package --config "$work/nfpm.yaml" --packager "$kind" --target dist
	done
done
ls -l dist/*.deb dist/*.rpm
