// Package tidy holds the house rules of the project as tests: which package may import which, how long a function may
// be, where benchmarks live, and that every configuration key is explained. It has no code of its own.
package tidy
