#!/usr/bin/env bash
# Runs the cases of the Autobahn test suite against an echo with the tracker's reader of frames and its compression. The suite runs on
# Python 2.7 only: python2.7 -m virtualenv DIR && DIR/bin/pip install autobahntestsuite==0.8.2, and WSTEST=DIR/bin/wstest.
# CASES says which cases ("*"), REPORT where the report goes (bin/autobahn).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wstest=${WSTEST:-wstest}
report=$(realpath -m "${REPORT:-bin/autobahn}")
address=127.0.0.1:${PORT:-9001}
command -v "$wstest" >/dev/null || { echo "cannot find $wstest, the Autobahn test suite: the first lines of bench/autobahn.sh tell how to get it" >&2; exit 1; }

go build -trimpath -ldflags=-checklinkname=0 -o bin/millrace-echo ./cmd/internal/echo
bin/millrace-echo -address "$address" &
echo_pid=$!
spec=$(mktemp)
trap 'kill "$echo_pid" 2>/dev/null; rm -f "$spec"' EXIT

mkdir -p "$report"
cat >"$spec" <<EOF
{"outdir": "$report", "servers": [{"agent": "millrace", "url": "ws://$address"}], "cases": ["${CASES:-*}"], "exclude-cases": [], "exclude-agent-cases": {}}
EOF
(cd "$report" && "$wstest" -m fuzzingclient -s "$spec") | tail -n 3
python3 - "$report/index.json" <<'EOF'
import collections, json, sys
cases = json.load(open(sys.argv[1]))["millrace"]
count = collections.Counter(c["behavior"] for c in cases.values())
print("%d cases: %s" % (len(cases), ", ".join("%d %s" % (n, what) for what, n in sorted(count.items()))))
bad = sorted(name for name, c in cases.items() if c["behavior"] not in ("OK", "INFORMATIONAL", "NON-STRICT") or c["behaviorClose"] not in ("OK", "INFORMATIONAL"))
for name in bad:
    print("case", name, cases[name])
sys.exit(bool(bad) or not cases)
EOF
