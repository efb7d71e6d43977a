//go:build !race

package floor

// This file holds the slowdown of the load tester where the race detector is off.

// slowdown is by how much the race detector slows the load tester down: there are fewer messages then.
const slowdown = 1
