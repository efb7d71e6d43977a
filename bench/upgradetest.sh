#!/usr/bin/env bash
# Hands over from the tracker of a commit to that of the working tree and back,
# under load: upgradetest.sh COMMIT [options of millrace-upgrade]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
base=${1:?name a commit}
shift
commit=$(git rev-parse --verify --quiet "$base^{commit}") || {
	echo "upgradetest.sh: there is no commit $base" >&2
	exit 2
}
if ! git cat-file -e "$commit:cmd/internal/server/upgrade.go" 2>/dev/null; then
	echo "upgradetest.sh: the tracker of $base cannot hand over to another process: name a later commit" >&2
	exit 2
fi

dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree" 2>/dev/null || true; rm -rf "$dir"' EXIT
git worktree add --quiet --detach "$dir/tree" "$commit"
(cd "$dir/tree" && CGO_ENABLED=0 go build -trimpath -ldflags="${LINKFLAGS:-} -s -w -X main.version=$base" -o "$dir/base" ./cmd/millrace)
bin/millrace-upgrade -binary "$dir/base" -other bin/millrace -handovers 4 -failures '' -ramp 5s -settle 5s "$@"
