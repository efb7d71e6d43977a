//go:build !race

package floor

// slowdown is by how much the race detector slows the load tester down: there are fewer messages then.
const slowdown = 1
