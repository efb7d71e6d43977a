package tidy

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// This file owns the rules about the shape of the shard and of the files in which connections end.

// structOf returns the fields of a struct that a file of the product in the directory declares, nil if none does.
func structOf(sources []*source, dir, name string) (fields *ast.FieldList) {
	for _, s := range sources {
		if s.dir() != dir || s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == name {
				if t, ok := spec.Type.(*ast.StructType); ok {
					fields = t.Fields
				}
			}
			return fields == nil
		})
	}
	return fields
}

// maxFields is how many fields the shard may have.
const maxFields = 14

func checkFields(sources []*source) (problems []string) {
	fields, n := structOf(sources, shardDir, "Shard"), 0
	if fields == nil {
		return nil
	}
	for _, field := range fields.List {
		n += max(1, len(field.Names))
	}
	if n > maxFields {
		problems = append(problems, fmt.Sprintf("shard.Shard has %d fields: give a part of its state to a part", n))
	}
	return problems
}

// endFiles are the files in which connections end, each with the functions of another name that it may have. A file
// that is listed here need not be there.
var endFiles = map[string][]string{
	shardDir + "/end.go": {},
	"ring/end.go":        {},
	"tlsconn/end.go":     {"Close", "CloseNotify", "step"}, // for callers; step is where the state changes
}

func checkEndPrefix(sources []*source) (problems []string) {
	for _, s := range sources {
		others, isEnd := endFiles[s.name]
		if !isEnd {
			continue
		}
		simple := simpleTypes(s.file)
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || strings.HasPrefix(f.Name.Name, "end") || slices.Contains(others, f.Name.Name) {
				continue
			}
			if f.Recv != nil {
				if t, ok := f.Recv.List[0].Type.(*ast.Ident); ok && simple[t.Name] {
					continue // it says something about a state or an event
				}
			}
			problems = append(problems, fmt.Sprintf("%s:%d: %s: begin the name with end, or move it to another file",
				s.name, s.line(f.Pos()), f.Name.Name))
		}
	}
	return problems
}

// simpleTypes returns the types that a file declares and that are not structs.
func simpleTypes(file *ast.File) map[string]bool {
	simple := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			_, isStruct := spec.Type.(*ast.StructType)
			simple[spec.Name.Name] = !isStruct
		}
		return true
	})
	return simple
}

// TestShapeRulesCanFail proves that each of these rules finds the mistakes in an example, and no others.
func TestShapeRulesCanFail(t *testing.T) {
	f := func(check func([]*source) []string, name, text string, want ...string) {
		t.Helper()
		if got := check([]*source{parse(t, name, text)}); !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	fields := "package shard; type Shard struct {\nOther\n" + strings.Repeat("a, b int\n", maxFields/2-1)
	f(checkFields, shardDir+"/a.go", fields+"}")
	f(checkFields, shardDir+"/a.go", fields+"c int }")
	f(checkFields, shardDir+"/a.go", fields+"c, d int }", "shard.Shard has 15 fields")
	f(checkFields, shardDir+"/a_test.go", fields+"c, d int }")
	f(checkFields, shardDir+"/a.go", strings.Replace(fields, "Shard", "Loop", 1)+"c, d int }")

	state := "package a; type state int; func (state) reads() bool; type conn struct{}; func (c *conn) endIt() {}; " +
		"func end() {}\n"
	for name := range endFiles {
		f(checkEndPrefix, name, state)
		f(checkEndPrefix, name, state+"func (c *conn) drop() {}", name+":2: drop: begin the name with end")
		f(checkEndPrefix, name, state+"func (c conn) drop() {}", "drop: begin")
		f(checkEndPrefix, name, state+"func reads() {}", "reads: begin")
		f(checkEndPrefix, name, state+"func (s *state) leave() {}", "leave: begin")
	}
	f(checkEndPrefix, "tlsconn/end.go", "package a; func Close() {}")
	f(checkEndPrefix, "ring/end.go", "package a; func Close() {}", "Close: begin")
	f(checkEndPrefix, "ring/ring.go", state+"func drop() {}")
}
