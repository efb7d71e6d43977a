package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// This file owns the names of keys and sections, and the advice about a name that is not one of them.

// names returns the names of all keys in alphabetical order.
func (l *loader) names() []string {
	return slices.Sorted(maps.Keys(l.fields))
}

// sections returns the names of all sections in alphabetical order.
func (l *loader) sections() []string {
	var sections []string
	for name := range l.fields {
		if section, _, ok := strings.Cut(name, "."); ok && !strings.HasPrefix(section, listenSection+"[") {
			sections = append(sections, section)
		}
	}
	slices.Sort(sections)
	return slices.Compact(sections)
}

// didYouMean returns the end of the sentence about an unknown name: the nearest known name, written by format, or the
// advice to print all keys.
func didYouMean(name string, known []string, format string) string {
	if nearest := nearestName(name, known); nearest != "" {
		return ": did you mean " + fmt.Sprintf(format, nearest) + "?"
	}
	return ": no known name is similar, -p prints them all"
}

// nearestName returns the known name that is most similar to name: the one with the fewest different letters, at most a
// third of its own. The same key in another section counts as one letter. It returns "" when none is similar.
func nearestName(name string, known []string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	best, nearest := math.MaxInt, ""
	for _, k := range known {
		lastOfK := k[strings.LastIndexByte(k, '.')+1:]
		d := min(distance(name, k), distance(last, lastOfK)+1)
		if d < best && d <= max(2, len(lastOfK)/3) {
			best, nearest = d, k
		}
	}
	return nearest
}

// distance returns the number of bytes to insert, delete or replace to turn a into b (the Levenshtein distance). It is
// maxDistance for names whose lengths differ by more: a name in a file may be very long.
func distance(a, b string) int {
	const maxDistance = 32
	if len(a)-len(b) > maxDistance || len(b)-len(a) > maxDistance {
		return maxDistance
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
