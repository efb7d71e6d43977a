//go:build race

package simulation

// This file is compiled with the race detector.

const raceEnabled = true
