package cli

import "runtime/debug"

// Build returns the name of a program's version: the one that the Makefile set, else what the build knows of its source.
func Build(set string) string {
	if set != "" {
		return set
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
