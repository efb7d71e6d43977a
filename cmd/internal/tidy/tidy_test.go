package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// This file reads the Go files of the module for the rules, and keeps the order of the tree and of default.toml.

// root is the top of the project, seen from here.
const root = "../../.."

// source is one Go file of the module.
type source struct {
	name string // path from the top of the project, with slashes
	file *ast.File
}

// fset knows the lines of all sources.
var fset = token.NewFileSet()

// dir returns the directory of the file, from the top of the project.
func (s *source) dir() string { return path.Dir(s.name) }

// isTest reports whether the file is compiled for tests only.
func (s *source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// imports returns the paths that the file imports.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// line returns the line of a position in the file.
func (s *source) line(pos token.Pos) int { return fset.Position(pos).Line }

// parse reads one Go file.
func parse(t *testing.T, name string, text any) *source {
	t.Helper()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return &source{filepath.ToSlash(name), file}
}

// readTree reads all Go files of the module. Directories that are modules of their own are not part of it.
func readTree(t *testing.T) []*source {
	t.Helper()
	var sources []*source
	err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, noModule := os.Stat(filepath.Join(name, "go.mod"))
			hidden := strings.HasPrefix(entry.Name(), ".") && name != root
			if rel != "." && (noModule == nil || hidden) || entry.Name() == "testdata" || rel == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil {
			sources = append(sources, parse(t, rel, text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("there are no Go files")
	}
	return sources
}

// readFile reads a file of the project.
func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestHouseRules proves that every Go file of the module keeps the rules of rules_test.go.
func TestHouseRules(t *testing.T) {
	sources := readTree(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, problem := range rule.check(sources) {
				t.Errorf("%s\n\tThe rule: %s.", problem, rule.text)
			}
		})
	}
}

// TestTopLevel proves that the top of the project has only the entries that were agreed on, so that somebody who opens
// it sees what there is.
func TestTopLevel(t *testing.T) {
	agreed := []string{
		"LICENSE", "Makefile", "README.md", "bench", "cmd", "config", "go.mod", "go.sum", "ring", "swarm", "tlsconn",
		"wsproto",
		"bin", "dist", // what make builds
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		byproduct := slices.Contains([]string{".test", ".prof", ".out"}, path.Ext(name))
		if !strings.HasPrefix(name, ".") && !byproduct && !slices.Contains(agreed, name) {
			t.Errorf("%s is at the top of the project: put it into the folder that it belongs to", name)
		}
	}
}

// TestKeysAreExplained proves that each key of the annotated configuration file has a comment above it.
func TestKeysAreExplained(t *testing.T) {
	for _, key := range unexplained(readFile(t, "config/default.toml")) {
		t.Errorf("%s has no comment in config/default.toml: say above it what it does", key)
	}
	if got := unexplained("# a\na = 1\n\n[s]\nb = 2\n# c\nc = 3\nd = 4\n"); !slices.Equal(got, []string{"s.b", "s.d"}) {
		t.Errorf("the rule itself is wrong: %q", got)
	}
}

// keysOf returns the names of the keys in a TOML file with one key a line, and for each the line before it.
func keysOf(file string) (keys, before []string) {
	section, last := "", ""
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]") + "."
		} else if name, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
			keys, before = append(keys, section+name), append(before, last)
		}
		last = line
	}
	return keys, before
}

// unexplained returns the keys of a TOML file that have no comment in the line above them.
func unexplained(file string) (missing []string) {
	keys, before := keysOf(file)
	for i, key := range keys {
		if !strings.HasPrefix(before[i], "#") {
			missing = append(missing, key)
		}
	}
	return missing
}
