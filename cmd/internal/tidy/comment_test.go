package tidy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// This file owns the rules about comments.

// TestPackageComments proves that every package says in a comment what it is for.
func TestPackageComments(t *testing.T) {
	for _, problem := range checkPackageComment(readTree(t)) {
		t.Error(problem)
	}
	f := func(name, text string, want ...string) {
		t.Helper()
		if got := checkPackageComment([]*source{parse(t, name, text)}); !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("the rule itself is wrong: got %q, want %q", got, want)
		}
	}
	f("a/a.go", "package a", "a has no package comment")
	f("a/a.go", "// Package a is.\npackage a")
	f("cmd/a/a.go", "// Command a is.\npackage main")
	f("cmd/a/a.go", "// Package main is.\npackage main", `must begin with "Command a"`, "cmd/a has no")
}

// checkPackageComment returns a sentence for each package without a comment, and for each comment above a clause
// "package" that is not about the package.
func checkPackageComment(sources []*source) (problems []string) {
	commented := make(map[string]bool)
	for _, s := range sources {
		word := "Package " + s.file.Name.Name
		if s.file.Name.Name == "main" {
			word = "Command " + path.Base(s.dir())
		}
		doc := s.file.Doc.Text()
		starts := strings.HasPrefix(doc, word+" ") && !s.isTest()
		commented[s.dir()] = commented[s.dir()] || starts
		if doc != "" && !starts {
			problems = append(problems, fmt.Sprintf("%s: the comment above the package clause must begin with %q",
				s.name, word))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(commented)) {
		if !commented[dir] {
			problems = append(problems, fmt.Sprintf("%s has no package comment: say what it is for", dir))
		}
	}
	return problems
}
