//go:build race

package cluster

// This file says that the race detector is on: it makes everything slow.

const raceEnabled = true
