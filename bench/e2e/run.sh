#!/usr/bin/env bash
# Installs the missing programs and packages of the end-to-end tests, then runs
# them. Arguments go to "go test", e.g. run.sh -v -run TestGoToGo
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PATH=$PATH:/usr/sbin # where Debian has nginx and HAProxy
have() { command -v "$1" >/dev/null; }

# Programs, from Debian's packages.
packages=()
have node || packages+=(nodejs)
have npm || packages+=(npm)
have openssl || packages+=(openssl) # for the interop tests of tlsconn
if [[ -z ${CHROMIUM:-} ]] && ! have chromium && ! have chromium-browser &&
	! have google-chrome-stable && ! have google-chrome; then
	packages+=(chromium)
fi
if [[ -z ${FIREFOX:-} ]] && ! have firefox-esr && ! have firefox; then
	packages+=(firefox-esr)
fi
have nginx || packages+=(nginx)
[[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] || packages+=(libnginx-mod-stream)
have haproxy || packages+=(haproxy)
have promtool || packages+=(prometheus)
if ((${#packages[@]} > 0)); then
	if ! have apt-get || [[ $(id -u) != 0 ]]; then
		echo "The end-to-end tests need these programs: ${packages[*]}. Install them, or run this as root on Debian." >&2
		exit 1
	fi
	echo "Installing ${packages[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# npm packages: npm writes the hidden lock file last, so an installation is
# complete if that file is newer than ours.
if ! [[ node_modules/.package-lock.json -nt package-lock.json ]]; then
	echo "Installing npm packages"
	npm ci
fi

go vet ./...
exec go test -count=1 -timeout 20m "$@" ./...
