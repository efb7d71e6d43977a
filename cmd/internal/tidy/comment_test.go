package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
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

// TestFileComments proves that every Go file begins with a comment about its purpose: the package comment, or one that
// begins "This file" and stands before the first declaration.
func TestFileComments(t *testing.T) {
	for _, problem := range checkFileComments(readTree(t)) {
		t.Error(problem)
	}
	f := func(text string, want ...string) {
		t.Helper()
		if got := checkFileComments([]*source{parse(t, "a/a.go", text)}); !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("the rule itself is wrong: got %q, want %q", got, want)
		}
	}
	f("// Package a is.\npackage a")
	f("package a\n\n// This file is.\n\nimport \"b\"\n\n// c is.\nvar c = b.C")
	f("package a\n\nimport \"b\"\n\n// This file is.\n\n// c is.\nvar c = b.C")
	f("package a\n\nimport \"b\"\n\n// c is.\nvar c = b.C", "a/a.go has no comment")
	f("package a\n\nvar c = 1\n\n// This file is late.\n", "a/a.go has no comment")
}

// checkFileComments returns a sentence for each file without a comment about its purpose.
func checkFileComments(sources []*source) (problems []string) {
	for _, s := range sources {
		first := s.file.FileEnd
		for _, decl := range s.file.Decls {
			if d, ok := decl.(*ast.GenDecl); !ok || d.Tok != token.IMPORT {
				first = decl.Pos()
				break
			}
		}
		says := s.file.Doc != nil && !s.isTest()
		for _, group := range s.file.Comments {
			says = says || group.Pos() < first && strings.HasPrefix(group.Text(), "This file ")
		}
		if !says {
			problems = append(problems, fmt.Sprintf("%s has no comment about its purpose: begin one with \"This file\", "+
				"before the first declaration", s.name))
		}
	}
	return problems
}
