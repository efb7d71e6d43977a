package cli

import "runtime/debug"

// This file owns the version that programs print.

// Build returns the name of a program's version: the one that the Makefile has set, else that of the module in the
// build.
func Build(set string) string {
	if set != "" {
		return set
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
