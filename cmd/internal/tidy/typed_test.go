package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// This file owns the rules that need the meaning of names: which files call each other, and which packages write to a
// field. The product code is type-checked for them. Packages of others are empty then, so that none has to be there;
// the errors that follow from that are of no concern.

// typed is the product code of the module with the objects that its names stand for.
type typed struct {
	files map[string][]*source // by directory
	done  map[string]*types.Package
	info  *types.Info
}

// check type-checks the packages in the directories that match.
func check(sources []*source, matches func(dir string) bool) *typed {
	c := &typed{
		files: make(map[string][]*source), done: make(map[string]*types.Package),
		info: &types.Info{
			Types: make(map[ast.Expr]types.TypeAndValue), Uses: make(map[*ast.Ident]types.Object),
			Selections: make(map[*ast.SelectorExpr]*types.Selection),
		},
	}
	for _, s := range sources {
		if !s.isTest() {
			c.files[s.dir()] = append(c.files[s.dir()], s)
		}
	}
	for dir := range c.files {
		if matches(dir) {
			c.Import(module + dir)
		}
	}
	return c
}

// Import returns a package of ours with all that is in it, and one of others empty.
func (c *typed) Import(imported string) (*types.Package, error) {
	if p := c.done[imported]; p != nil {
		return p, nil
	}
	var files []*ast.File
	for _, s := range c.files[strings.TrimPrefix(imported, module)] {
		files = append(files, s.file)
	}
	if len(files) == 0 || !strings.HasPrefix(imported, module) {
		empty := types.NewPackage(imported, path.Base(imported))
		empty.MarkComplete()
		c.done[imported] = empty
		return empty, nil
	}
	config := types.Config{Importer: c, Error: func(error) {}}
	p, _ := config.Check(imported, fset, files, c.info)
	c.done[imported] = p
	return p, nil
}

// isRoom reports whether the directory is that of the shard or of one of its parts.
func isRoom(dir string) bool { return dir == shardDir || strings.HasPrefix(dir, shardDir+"/") }

// mutual are the only pairs of files in the rooms of the shard that call each other, with the reason. Data flows down;
// a pair is a place where a call goes up.
var mutual = []struct{ dir, a, b, why string }{
	{shardDir, "end.go", "receive.go", "a client that ends while it moves stays, and its kept bytes are read first"},
	{shardDir, "receive.go", "tls.go", "TLS lies between the bytes of the ring and those of the client"},
	{shardDir + "/outbox", "outbox.go", "seal.go", "a flight is sealed in the one file and sent in the other"},
}

// maxMutual is how many such pairs there may be.
const maxMutual = 5

func checkCallDirection(sources []*source) (problems []string) {
	c := check(sources, isRoom)
	calls := make(map[[2]string]token.Pos) // from one file to another one: where first
	for dir, files := range c.files {
		for _, s := range files {
			if !isRoom(dir) {
				continue
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				name, ok := n.(*ast.Ident)
				if !ok {
					return true
				}
				if f, isFunc := c.info.Uses[name].(*types.Func); isFunc && f.Pkg() == c.done[module+dir] {
					if to := fset.Position(f.Pos()).Filename; to != s.name && calls[[2]string{s.name, to}] == 0 {
						calls[[2]string{s.name, to}] = name.Pos()
					}
				}
				return true
			})
		}
	}
	listed := make(map[[2]string]bool)
	for _, row := range mutual {
		pair := [2]string{row.dir + "/" + row.a, row.dir + "/" + row.b}
		listed[pair] = true
		there := func(name string) bool {
			return slices.ContainsFunc(sources, func(s *source) bool { return s.name == name })
		}
		both := calls[pair] != 0 && calls[[2]string{pair[1], pair[0]}] != 0
		if there(pair[0]) && there(pair[1]) && !both {
			problems = append(problems, fmt.Sprintf("%s and %s do not call each other: remove the row", pair[0], row.b))
		}
	}
	byName := func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }
	for _, pair := range slices.SortedFunc(maps.Keys(calls), byName) {
		back := calls[[2]string{pair[1], pair[0]}]
		if back != 0 && pair[0] < pair[1] && !listed[pair] {
			problems = append(problems, fmt.Sprintf("%s and %s call each other, in line %d and in line %d: pass it down, "+
				"or name the pair in the table mutual", pair[0], path.Base(pair[1]), fset.Position(calls[pair]).Line,
				fset.Position(back).Line))
		}
	}
	if len(mutual) > maxMutual {
		problems = append(problems, fmt.Sprintf("the table mutual has %d pairs, %d are allowed", len(mutual), maxMutual))
	}
	return problems
}

// ownersOf returns for each field of conn.Conn the packages that its comment names, and a sentence for each field that
// has none.
func ownersOf(fields *ast.FieldList) (owners map[string][]string, problems []string) {
	owners = make(map[string][]string)
	var now []string
	for _, field := range fields.List {
		for line := range strings.Lines(field.Doc.Text()) {
			if list, ok := strings.CutPrefix(strings.TrimSpace(line), "owner: "); ok {
				now = strings.Split(list, ", ")
			}
		}
		for _, name := range field.Names {
			if owners[name.Name] = now; now == nil {
				problems = append(problems, fmt.Sprintf("the field Conn.%s has no owner: name it in a comment above", name.Name))
			}
		}
	}
	return owners, problems
}

func checkOwners(sources []*source) (problems []string) {
	fields := structOf(sources, shardDir+"/conn", "Conn")
	if fields == nil {
		return nil
	}
	owners, problems := ownersOf(fields)
	owners[""] = []string{"conn"} // all of it
	c := check(sources, isRoom)
	w := &writes{typed: c, whole: c.done[module+shardDir+"/conn"].Scope().Lookup("Conn").Type()}
	for dir, files := range c.files {
		for _, s := range files {
			if !isRoom(dir) {
				continue
			}
			w.report = func(field string, pos token.Pos) {
				if field != "Flags" && !slices.Contains(owners[field], path.Base(dir)) {
					problems = append(problems, fmt.Sprintf("%s:%d: %s is written to, and belongs to %s: ask its owner to",
						s.name, s.line(pos), strings.TrimSuffix("Conn."+field, "."), strings.Join(owners[field], ", ")))
				}
			}
			ast.Inspect(s.file, w.visit)
		}
	}
	slices.Sort(problems)
	return problems
}

// writes finds the places where fields of conn.Conn are written to, or their addresses taken. A write to a whole Conn
// is one to a field without a name.
type writes struct {
	*typed
	whole  types.Type // conn.Conn
	report func(field string, pos token.Pos)
}

func (w *writes) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, to := range n.Lhs {
			w.to(to)
		}
	case *ast.IncDecStmt:
		w.to(n.X)
	case *ast.RangeStmt:
		w.to(n.Key)
		w.to(n.Value)
	case *ast.SliceExpr:
		w.field(n.X)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			w.field(n.X)
		}
	case *ast.CallExpr: // of a method that takes a pointer
		if method, ok := n.Fun.(*ast.SelectorExpr); ok && w.takesAddress(method) {
			w.field(method.X)
		}
	}
	return true
}

// to handles an expression that is assigned to.
func (w *writes) to(e ast.Expr) {
	if e == nil {
		return
	}
	if name, isName := e.(*ast.Ident); !isName || w.info.Uses[name] != nil {
		if t := w.info.Types[e].Type; t != nil && types.Identical(t, w.whole) {
			w.report("", e.Pos())
		}
	}
	w.field(e)
}

// field handles an expression whose memory is or may be changed: it may be a field, or an element of one.
func (w *writes) field(e ast.Expr) {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			if s := w.info.Selections[x]; s != nil && s.Kind() == types.FieldVal && w.isConn(s.Recv()) {
				w.report(x.Sel.Name, x.Pos())
				return
			}
			e = x.X
		default:
			return
		}
	}
}

// isConn reports whether a type is conn.Conn or a pointer to one.
func (w *writes) isConn(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	return types.Identical(t, w.whole)
}

// takesAddress reports whether the call of a method takes the address of the value before it.
func (w *writes) takesAddress(method *ast.SelectorExpr) bool {
	s := w.info.Selections[method]
	if s == nil || s.Kind() != types.MethodVal {
		return false
	}
	_, byPointer := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
	_, isPointer := s.Recv().(*types.Pointer)
	return byPointer && !isPointer
}

// TestTypedRulesCanFail proves that each of these rules finds the mistakes in an example, and no others. The files of
// the examples are given one after the other, each as its name and its text.
func TestTypedRulesCanFail(t *testing.T) {
	f := func(check func([]*source) []string, files []string, want ...string) {
		t.Helper()
		var sources []*source
		for i := 0; i < len(files); i += 2 {
			sources = append(sources, parse(t, shardDir+"/"+files[i], files[i+1]))
		}
		if got := check(sources); !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	two := func(a, b string) []string {
		return []string{"a.go", "package shard; import \"fmt\"; type x struct{}\n" + a, "b.go", "package shard\n" + b}
	}
	f(checkCallDirection, two("func (x) a() { fmt.Sprint(); x{}.b() }", "func (x) b() {}"))
	f(checkCallDirection, two("func (x) a() { x{}.b() }", "func (x) b() { x{}.c() }; func (x) c() {}"))
	f(checkCallDirection, two("func (x) a() { x{}.b() }", "func (v x) b() { v.a() }"),
		shardDir+"/a.go and b.go call each other, in line 2 and in line 2")
	f(checkCallDirection, two("func a() { b() }; func c() {}", "var d = c; func b() {}"), "a.go and b.go call each other")
	f(checkCallDirection, two("func a() { _ = fmt.Sprint(b()) }", "func b() int { return c.Missing(a) }"), "a.go and b.go")
	f(checkCallDirection, append(two("func a() { b() }; func c() {}", "func b() {}"),
		"a_test.go", "package shard; func t() { a() }", "conn/b.go", "package conn; func b() { a() }; func a() {}"))
	f(checkCallDirection, []string{"end.go", "package shard", "receive.go", "package shard; func a() {}"},
		shardDir+"/end.go and receive.go do not call each other: remove the row")

	table := "package conn; type Conn struct {\n// owner: door\nA [4]byte\nB R\n\n// C is.\n" +
		"// owner: shard, door\nC int\nFlags int\n}\ntype R int; func (R) Get() {}; func (*R) Set() {}\n"
	uses := func(part, code string) []string {
		name := part + "/a.go"
		if part == "shard" {
			name = "a.go"
		}
		return []string{"conn/conn.go", table, name, "package " + part + "; import \"millrace/" + shardDir + "/conn\"\n" +
			"func a(c *conn.Conn, all []conn.Conn, b []byte, p *int) {\n" + code + "\n}"}
	}
	f(checkOwners, uses("shard", "c.C = 1; c.C++; p = &c.C; c.Flags |= 1; b[c.C] = c.A[0]; c.B.Get(); all[c.C].C--"))
	f(checkOwners, uses("door", "c.C = 1; c.A[1] = 2; c.B.Set(); c = &all[0]; copy(c.A[:], b)"))
	f(checkOwners, uses("inbox", "c.C = 1"), "inbox/a.go:3: Conn.C is written to, and belongs to shard, door")
	f(checkOwners, uses("inbox", "all[0].C += 1"), "Conn.C is written to")
	f(checkOwners, uses("inbox", "c.C--"), "Conn.C is written to")
	f(checkOwners, uses("inbox", "p = &c.C"), "Conn.C is written to")
	f(checkOwners, uses("inbox", "*(&c.C) = 1"), "Conn.C is written to")
	f(checkOwners, uses("inbox", "for c.C = range 3 {}"), "Conn.C is written to")
	f(checkOwners, uses("inbox", "c.A[1], *p = 2, 3"), "Conn.A is written to, and belongs to door")
	f(checkOwners, uses("inbox", "copy(c.A[:], b)"), "Conn.A is written to")
	f(checkOwners, uses("shard", "c.B.Set()"), "Conn.B is written to")
	f(checkOwners, uses("shard", "*c = conn.Conn{}"), "shard/a.go:3: Conn is written to")
	f(checkOwners, uses("shard", "all[2] = *c"), "Conn is written to")
	f(checkOwners, []string{"conn/conn.go", "package conn; type Conn struct {\nA int\n// owner: conn\nB int\n}"},
		"Conn.A has no owner")
}
