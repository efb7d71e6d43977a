//go:build race

package floor

// This file holds the slowdown of the load tester under the race detector.

const slowdown = 10
