#!/usr/bin/env bash
# Runs the tracker on kernels of older Debian releases, each in a virtual
# machine of its own: 5.10 (suite bullseye) and 6.1 (suite bookworm).
#
# Debian's kernel starts with an initial file system of four files: the
# tracker, the load tester, the tests of package ring, and the program in
# guest/, which is process 1. That program runs the tracker as an ordinary user
# with several limits of locked memory and in several configurations. It plays
# the clients over the loopback interface (guest/check.go), runs the tests of
# package ring, prints the results, and ends with one line:
# "millrace-kernel-test: PASS <release>" or FAIL with the reason.
#
# It needs Debian and Go. As root it installs qemu and cpio if they are missing.
# The kernels come from the mirror that this machine's apt is configured with,
# are checked by Debian's archive keyring, and are not installed. They stay in
# .cache, which may be removed at any time. The processor is emulated in
# software: that works in any container and takes some minutes.
#
# run.sh arm64 runs the same on a 64-bit ARM processor with the kernel of
# bookworm, and there also the tests that take the tracker as its operators do
# (cmd/millrace), but for those that need a shell.
#
# Arguments are the suites to test, e.g. run.sh bullseye; without any, both.
# TIMEOUT is the longest run of one machine in seconds. ACCEL=kvm is faster
# where it works; the presence of /dev/kvm does not prove that it does.
#
# run.sh idle is another test: in one machine with kernel 6.1 the load tester
# holds CONNECTIONS idle connections (250000) to one shard of the tracker, and
# their memory is printed (guest/idle.go). It is for machines that do not allow
# a process so many descriptors. MEMORY is the machine's memory in MiB. RAMP is
# the time in seconds over which the connections open. SETTINGS are further
# settings of the load tester, key=value with commas between; by default
# messages are short, since emulated processors need minutes to write long ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

cache=$PWD/.cache
tracker=$PWD/../../bin/millrace
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
timeout=${TIMEOUT:-1200}
accel=${ACCEL:-tcg,thread=multi}
load=$PWD/../../bin/millrace-load
memory=1024
parameters=()
suites=("$@")
((${#suites[@]})) || suites=(bullseye bookworm)
arch=amd64
if [[ ${suites[*]} == arm64 ]]; then
	suites=(bookworm)
	arch=arm64
	memory=3072
	timeout=${TIMEOUT:-3600}
	parameters=("blackbox=1")
	cache=$cache/arm64
fi
if [[ ${suites[*]} == idle ]]; then
	suites=(bookworm)
	memory=${MEMORY:-9216}
	parameters=("idle_connections=${CONNECTIONS:-250000}" "idle_ramp=${RAMP:-540}"
		"idle_settings=${SETTINGS-offers=3,sdp_bytes=200,drain=60}")
fi

die() {
	echo "$1" >&2
	exit 1
}

have() { command -v "$1" >/dev/null; }

# install_programs installs missing programs.
install_programs() {
	local packages=()
	if [[ $arch == arm64 ]]; then
		have qemu-system-aarch64 || packages+=(qemu-system-arm)
	else
		have qemu-system-x86_64 || packages+=(qemu-system-x86)
	fi
	have cpio || packages+=(cpio)
	[[ -e $keyring ]] || packages+=(debian-archive-keyring)
	((${#packages[@]})) || return 0
	if ! have apt-get || [[ $(id -u) != 0 ]]; then
		die "The kernel tests need these packages: ${packages[*]}. Install them, or run this as root on Debian."
	fi
	echo "Installing ${packages[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

# mirror LABEL prints the address from which this machine's apt gets the archive of that label.
mirror() {
	# shellcheck disable=SC2016 # apt-get replaces the names, not the shell
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
		awk -v label="$1" '$1 == label { print $2; exit }'
}

# fetch_kernel SUITE puts the suite's kernel at .cache/SUITE/vmlinuz.
fetch_kernel() {
	local suite=$1 dir=$cache/$1 package
	[[ -e $dir/vmlinuz ]] && return
	local main security
	main=$(mirror Debian) security=$(mirror Debian-Security)
	[[ $main ]] || die "The kernel tests get Debian's kernels by apt, which has no Debian mirror configured."
	echo "Fetching the kernel of $suite"
	mkdir -p "$dir/lists/partial"
	echo "deb [arch=$arch signed-by=$keyring] $main $suite main" >"$dir/sources.list"
	[[ -z $security ]] ||
		echo "deb [arch=$arch signed-by=$keyring] $security $suite-security main" >>"$dir/sources.list"
	local apt=(-q -o "APT::Architecture=$arch" -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache=$dir" -o APT::Sandbox::User=root -o Acquire::Languages=none)
	apt-get "${apt[@]}" update
	package=$(apt-cache "${apt[@]}" depends --important "linux-image-$arch:$arch" |
		sed -n 's/.*Depends: *\(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
	[[ $package ]] || die "The suite $suite has no package linux-image-$arch."
	(cd "$dir" && apt-get "${apt[@]}" download "$package:$arch")
	dpkg-deb --fsys-tarfile "$dir"/linux-image-*.deb | tar -xO --wildcards './boot/vmlinuz-*' >"$dir/vmlinuz.part"
	mv "$dir/vmlinuz.part" "$dir/vmlinuz"
	rm -rf "$dir"/lists "$dir"/*.deb "$dir"/*.bin
}

# build_initrd makes the initial file system of the machines. giouring needs the linker flag: see the Makefile.
build_initrd() {
	local root=$cache/root
	rm -rf "$root"
	mkdir -p "$root"
	export CGO_ENABLED=0 GOARCH=$arch
	go build -trimpath -o "$root/init" ./guest
	go test -c -trimpath -ldflags=-checklinkname=0 -o "$root/ring.test" ../../ring
	if [[ $arch == amd64 ]]; then
		install -m 755 "$tracker" "$root/millrace"
		install -m 755 "$load" "$root/millrace-load"
	else
		go build -trimpath -ldflags=-checklinkname=0 -o "$root/" ../../cmd/millrace ../../cmd/millrace-load
		go test -c -trimpath -ldflags=-checklinkname=0 -o "$root/millrace.test" ../../cmd/millrace
	fi
	(cd "$root" && find . | cpio --quiet -o -H newc) >"$cache/initrd"
}

# boot SUITE runs the machine until it turns itself off, prints its console, and succeeds if the test passed.
boot() {
	local console=$cache/$1/console
	local begin=$SECONDS
	echo "== $1"
	# -no-reboot: a panic ends the machine, since panic=-1 asks for a restart.
	local machine=(qemu-system-x86_64 -cpu max) serial=ttyS0
	[[ $arch == amd64 ]] || machine=(qemu-system-aarch64 -M virt -cpu cortex-a72) serial=ttyAMA0
	timeout --kill-after=10 "$timeout" "${machine[@]}" -accel "$accel" -smp 2 -m "$memory" \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio -kernel "$cache/$1/vmlinuz" \
		-initrd "$cache/initrd" -append "console=$serial quiet loglevel=4 panic=-1 random.trust_cpu=on ${parameters[*]}" \
		</dev/null 2>&1 | sed -u 's,\r,,g' | tee "$console" || true
	echo "== $1 took $((SECONDS - begin)) s"
	grep -q '^millrace-kernel-test: PASS ' "$console"
}

[[ $arch == arm64 || -x $tracker && -x $load ]] || die "There is no $tracker or no $load: build them with make build."
install_programs
mkdir -p "$cache"
build_initrd
failed=()
for suite in "${suites[@]}"; do
	fetch_kernel "$suite"
	boot "$suite" || failed+=("$suite")
done
((${#failed[@]} == 0)) || die "The tracker does not pass on the kernel of: ${failed[*]}"
