#!/usr/bin/env bash
# Builds the files of a release into dist: for each architecture an archive with static binaries, the annotated
# configuration, the unit and the texts; an SBOM of each tracker; and the checksums of all. The same commit and the same Go
# give the same bytes anywhere: paths, times, users and the host are not in them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${LINKFLAGS:?} ${SBOM:?}" # of the Makefile
. config/deploy/static.sh

version=$(git describe --tags --always --dirty)
case $version in
*-dirty) [ -n "${DIRTY:-}" ] || { echo "release: the working tree has changes: commit them, or set DIRTY=1 for a trial" >&2; exit 1; } ;;
esac
when=$(git log -1 --format=%ct)
rm -rf dist
mkdir dist

# build makes the archive of one architecture.
build() {
	local arch=$1 name=millrace-$version-linux-$1
	local into=dist/$name
	mkdir "$into"
	build_static "$arch" "$into" "$version"
	cp LICENSE README.md config/OPERATING.md config/METRICS.md config/default.toml config/deploy/millrace.{service,socket,1} \
		config/deploy/90-millrace.conf "$into"
	cp -r config/deploy/completion "$into"
	tar --create --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$when" -C dist "$name" |
		gzip --no-name --best >"dist/$name.tar.gz"
	CGO_ENABLED=0 go run -trimpath "$SBOM" bin -json -noserial -version "$version" "$into/millrace" 2>/dev/null |
		sed "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$(date --utc --date="@$when" +%FT%TZ)\"/" >"dist/$name.sbom.json"
	rm -r "$into"
}

for arch in amd64 arm64; do
	build "$arch"
done
(cd dist && sha256sum -- *.tar.gz *.sbom.json >SHA256SUMS && cat SHA256SUMS)
