//go:build !race

package simulation

// This file is compiled without the race detector.

// raceEnabled says that the race detector watches, which makes everything several times slower.
const raceEnabled = false
