//go:build !race

package cluster

// This file says that the race detector is off.

const raceEnabled = false
