//go:build race

package floor

const slowdown = 10
