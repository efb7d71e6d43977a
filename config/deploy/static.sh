# Sourced by release.sh and package.sh: build_static ARCH FOLDER VERSION builds the tracker and the load tester for an
# architecture, as static programs whose bytes follow from the commit and the version of Go alone. LINKFLAGS is the Makefile's.
build_static() {
	local program
	for program in millrace millrace-load; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false \
			-ldflags="$LINKFLAGS -s -w -buildid= -X main.version=$3" -o "$2/$program" "./cmd/$program"
	done
}
