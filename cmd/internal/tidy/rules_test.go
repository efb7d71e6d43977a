package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This file owns the house rules about Go files. A rule is a row of rules, and TestRulesCanFail has an example of each.

// rule is a house rule about Go files. check returns a sentence for each place where it is broken.
type rule struct {
	name, text string
	check      func([]*source) []string
}

// rules are the house rules.
var rules = []rule{
	{"OwnImports", "a package imports only those of ours that ownImports lists for it", checkOwnImports},
	{"OtherImports", "what is listed in homes is imported only there", checkOtherImports},
	{"Leaves", "leaves neither log nor read the clock: time and options are arguments", checkLeaves},
	{"FunctionLength", fmt.Sprintf("a function has at most %d lines besides rows of tables", maxLines), checkLength},
	{"FileLength", fmt.Sprintf("a file of the product has at most %d lines", maxFileLines), checkFileLength},
	{"Benchmarks", "benchmarks live in files named _timing_test.go, and nothing else does", checkBenchmarks},
	{"NoSkips", "a test passes or fails, it is never skipped", checkSkips},
	{"CallDirection", "in a room of the shard only the files in the table mutual call each other", checkCallDirection},
	{"Owners", "only the packages that the comment above a field of conn.Conn names write to it", checkOwners},
	{"Fields", fmt.Sprintf("shard.Shard has at most %d fields: it conducts", maxFields), checkFields},
	{"EndPrefix", "in the files in which connections end, the names of functions begin with end", checkEndPrefix},
	{"NoLeftovers", "what is left to do is done or written down elsewhere", checkLeftovers},
}

const (
	module       = "millrace/"
	maxLines     = 70
	maxRowCode   = 15 // lines of a function literal in a row of a table
	maxFileLines = 400
)

// leaves are the packages that work on data and know nothing of each other.
var leaves = []string{"ring", "tlsconn", "wsproto", "swarm", "config"}

// inner are packages inside cmd that keep the rules of the leaves too.
var inner = []string{"cmd/internal/guard", "cmd/internal/mailbox", "cmd/internal/stats", "cmd/internal/trace", clusterDir, clusterDir + "/record", clusterDir + "/pack"}

// shardDir is where the event loop lives.
const shardDir = "cmd/internal/shard"

// clusterDir is where the nodes of a cluster speak with each other.
const clusterDir = "cmd/internal/cluster"

// ownImports lists, for each directory that may import packages of ours, which. All others may import none.
var ownImports = map[string][]string{
	// The parts of a shard, from the bottom up: data flows down, and no part calls the shard.
	shardDir + "/paced":    {},
	shardDir + "/queue":    {},
	shardDir + "/tlstest":  {"tlsconn"},
	shardDir + "/conn":     {"cmd/internal/guard", "ring", "tlsconn", "wsproto", "swarm", "cmd/internal/trace"},
	shardDir + "/inbox":    {"cmd/internal/guard", "ring", shardDir + "/conn"},
	shardDir + "/outbox":   {"cmd/internal/guard", "ring", "tlsconn", "swarm", "cmd/internal/trace", shardDir + "/conn", shardDir + "/deflate", shardDir + "/inbox"},
	shardDir + "/door":     {"cmd/internal/guard", "ring", "tlsconn", "wsproto", "cmd/internal/trace", shardDir + "/conn"},
	shardDir + "/post":     {"cmd/internal/guard", "ring", "wsproto", "swarm", "cmd/internal/mailbox", shardDir + "/conn", shardDir + "/queue", clusterDir + "/record"},
	shardDir + "/loans":    {"swarm", shardDir + "/paced"},
	shardDir + "/torrents": {"swarm", shardDir + "/conn", shardDir + "/loans", shardDir + "/paced", shardDir + "/queue"},
	shardDir + "/meter":    {"ring", "cmd/internal/trace", shardDir + "/conn"},
	shardDir + "/deflate":  {"ring", "wsproto", shardDir + "/conn"},
	shardDir + "/mover": {
		"cmd/internal/guard", "ring", "tlsconn", "swarm", "cmd/internal/trace", shardDir + "/conn", shardDir + "/deflate", shardDir + "/door", shardDir + "/inbox",
		shardDir + "/outbox", shardDir + "/post",
	},
	shardDir: {
		"cmd/internal/guard", shardDir + "/meter", "ring", "tlsconn", "wsproto", "swarm", "cmd/internal/stats", "cmd/internal/trace", shardDir + "/conn", shardDir + "/deflate", shardDir + "/door",
		shardDir + "/inbox", shardDir + "/loans", shardDir + "/mover", shardDir + "/outbox", shardDir + "/paced", shardDir + "/post",
		shardDir + "/torrents", "cmd/internal/handover", clusterDir + "/record",
	},
	"cmd/internal/server": append([]string{
		shardDir, shardDir + "/conn", shardDir + "/outbox", shardDir + "/torrents", "cmd/internal/mailbox",
		"cmd/internal/stats", "cmd/internal/trace", "cmd/internal/guard", "cmd/internal/acme", "cmd/internal/page",
		"cmd/internal/ctl", "cmd/internal/control", "cmd/internal/human", "cmd/internal/handover", shardDir + "/mover",
		shardDir + "/post", clusterDir, clusterDir + "/record", clusterDir + "/natsbus",
	}, leaves...),
	"cmd/internal/ctl":     {"cmd/internal/human"},
	clusterDir:             {clusterDir + "/record", clusterDir + "/pack", "swarm", "cmd/internal/stats"},
	clusterDir + "/record": {"swarm", "wsproto"},
	"cmd/internal/page":    {"cmd/internal/human"},
	"cmd/internal/control": {"cmd/internal/ctl", "cmd/internal/guard", shardDir, shardDir + "/conn", "cmd/internal/trace", "swarm"},
	"cmd/internal/simulation": {
		"ring", "wsproto", "swarm", "cmd/internal/guard", "cmd/internal/handover", shardDir, shardDir + "/conn", shardDir + "/deflate",
		shardDir + "/outbox", shardDir + "/post", "cmd/internal/stats", "cmd/internal/trace", "cmd/internal/mailbox",
		clusterDir, clusterDir + "/record", clusterDir + "/bustest",
	},
	"cmd/internal/echo":                         {shardDir + "/conn", shardDir + "/deflate", "ring", "wsproto"},
	"cmd/internal/simulation/millrace-simulate": {"cmd/internal/simulation", shardDir},
	"cmd/millrace":                              {"cmd/internal/server", "cmd/internal/cli", "cmd/internal/ctl", "cmd/internal/convert", "cmd/internal/logqueue", "cmd/internal/notify", "cmd/internal/handover", "config", "ring"},
	"cmd/internal/convert":                      {"config"},
	"cmd/internal/handover/fakeheir":            {"cmd/internal/handover"},
	"cmd/millrace-load":                         {"wsproto", "ring", "bench", "cmd/internal/cli"},
	"bench":                                     {"wsproto", "ring"},
}

func checkOwnImports(sources []*source) (problems []string) {
	for _, s := range sources {
		for _, imported := range s.imports() {
			if own, isOwn := strings.CutPrefix(imported, module); isOwn && !mayImport(s, own) {
				problems = append(problems, fmt.Sprintf("%s imports %s: pass what it needs as data, or move it up",
					s.name, own))
			}
		}
	}
	return problems
}

// mayImport reports whether the file may import the package of ours that lives in dir.
func mayImport(s *source, dir string) bool {
	if s.isTest() && (dir == s.dir() || dir == "ring/ringtest" || dir == shardDir+"/tlstest" || dir == clusterDir+"/bustest") {
		return true // a test from outside the package, on the kernel of plain memory, or with TLS
	}
	if top := topOf(s.dir()); top == topOf(dir) {
		return true // a folder inside a leaf belongs to the leaf
	}
	return slices.Contains(ownImports[topOf(s.dir())], topOf(dir))
}

// topOf returns the directory whose rules hold for dir: the leaf, or bench, that it lies in, else itself.
func topOf(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	if first == "cmd" {
		return dir
	}
	return first
}

// homes lists packages of others, and the kernel of plain memory, and the only directories that may import them. The
// tests of all may use that kernel, and gobwas/ws as a client.
var homes = []struct {
	prefix    string
	dirs      []string
	alsoTests bool
}{
	{"github.com/pawelgaczynski/giouring", []string{"ring"}, false},
	{"golang.org/x/sys/unix", []string{"ring"}, false},
	{"unsafe", []string{"ring"}, false},
	{"github.com/gobwas/ws", []string{"wsproto"}, true},
	{module + "ring/ringtest", []string{"ring/ringtest", "cmd/internal/simulation"}, true},
	{"github.com/pelletier/go-toml", []string{"config", "bench/load"}, false},
	{"github.com/HdrHistogram/hdrhistogram-go", []string{"bench/load"}, false},
	{"github.com/klauspost/compress", []string{shardDir + "/deflate", clusterDir + "/pack"}, false},
	{"github.com/nats-io/nats.go", []string{"cmd/internal/cluster/natsbus"}, false},
	{"github.com/caddyserver/certmagic", []string{"cmd/internal/acme"}, false},
	{"github.com/VictoriaMetrics/metrics", []string{"cmd/internal/server"}, false},
}

func checkOtherImports(sources []*source) (problems []string) {
	for _, s := range sources {
		for _, imported := range s.imports() {
			for _, h := range homes {
				isIt := imported == h.prefix || strings.HasPrefix(imported, h.prefix+"/")
				atHome := slices.ContainsFunc(h.dirs, func(dir string) bool {
					return s.dir() == dir || strings.HasPrefix(s.dir(), dir+"/")
				})
				if isIt && !atHome && !(h.alsoTests && s.isTest()) {
					problems = append(problems, fmt.Sprintf("%s imports %s: only %s may, use what that offers",
						s.name, imported, strings.Join(h.dirs, " and ")))
				}
			}
		}
	}
	return problems
}

// clock are the functions of package time that ask what time it is, now or later.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func checkLeaves(sources []*source) (problems []string) {
	for _, s := range sources {
		leaf, _, _ := strings.Cut(s.dir(), "/")
		if s.isTest() || !slices.Contains(leaves, leaf) && !slices.Contains(inner, s.dir()) {
			continue
		}
		for _, imported := range s.imports() {
			if imported == "log" || imported == "log/slog" {
				problems = append(problems, fmt.Sprintf("%s imports %s: return what there is to say", s.name, imported))
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, call.Sel.Name) {
				problems = append(problems, fmt.Sprintf("%s:%d: time.%s: take the time as an argument",
					s.name, s.line(call.Pos()), call.Sel.Name))
			}
			return true
		})
	}
	return problems
}

func checkLength(sources []*source) (problems []string) {
	for _, s := range sources {
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := s.line(f.End()) - s.line(f.Pos()) + 1 - len(tableLines(s, f)); lines > maxLines {
				problems = append(problems, fmt.Sprintf("%s:%d: %s has %d lines: divide it",
					s.name, s.line(f.Pos()), f.Name.Name, lines))
			}
		}
	}
	return problems
}

// tableLines returns the lines of a function that are rows of a table: the elements of a composite literal and, in
// tests, the calls of a closure that the function itself declares. A row may hold a little code; a function literal of
// more than maxRowCode lines is no row, but a table inside it is one again.
func tableLines(s *source, f *ast.FuncDecl) map[int]bool {
	rows, closures := make(map[int]bool), make(map[string]bool)
	mark := func(from, to int, isRow bool) {
		for line := from; line <= to; line++ {
			rows[line] = isRow
		}
	}
	// The outer node is visited before the inner one, which therefore has the last word about its lines.
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			name, isName := n.Lhs[0].(*ast.Ident)
			if _, isFunc := n.Rhs[0].(*ast.FuncLit); isFunc && isName && n.Tok == token.DEFINE && s.isTest() {
				closures[name.Name] = true
			}
		case *ast.ExprStmt:
			if call, ok := n.X.(*ast.CallExpr); ok {
				if name, ok := call.Fun.(*ast.Ident); ok && closures[name.Name] {
					mark(s.line(n.Pos()), s.line(n.End()), true)
				}
			}
		case *ast.CompositeLit:
			mark(s.line(n.Lbrace)+1, s.line(n.Rbrace)-1, true)
		case *ast.FuncLit:
			if from, to := s.line(n.Pos()), s.line(n.End()); to-from >= maxRowCode {
				mark(from, to, false)
			}
		}
		return true
	})
	maps.DeleteFunc(rows, func(_ int, isRow bool) bool { return !isRow })
	return rows
}

func checkFileLength(sources []*source) (problems []string) {
	for _, s := range sources {
		if lines := s.line(s.file.FileEnd - 1); lines > maxFileLines && !s.isTest() {
			problems = append(problems, fmt.Sprintf("%s has %d lines: divide it", s.name, lines))
		}
	}
	return problems
}

func checkBenchmarks(sources []*source) (problems []string) {
	for _, s := range sources {
		timing := strings.HasSuffix(s.name, "_timing_test.go")
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !s.isTest() {
				continue
			}
			isBenchmark := strings.HasPrefix(f.Name.Name, "Benchmark")
			isTest := strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz") ||
				strings.HasPrefix(f.Name.Name, "Example")
			if timing && isTest || !timing && isBenchmark {
				problems = append(problems, fmt.Sprintf("%s:%d: %s does not belong here: move it to a file of its kind",
					s.name, s.line(f.Pos()), f.Name.Name))
			}
		}
	}
	return problems
}

func checkSkips(sources []*source) (problems []string) {
	for _, s := range sources {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if ok && s.isTest() && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, call.Sel.Name) {
				problems = append(problems, fmt.Sprintf("%s:%d: %s: make the test able to run, or leave it out",
					s.name, s.line(call.Pos()), call.Sel.Name))
			}
			return true
		})
	}
	return problems
}

// leftover matches the words that mark unfinished work. They are put together so as not to match here.
var leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func checkLeftovers(sources []*source) (problems []string) {
	for _, s := range sources {
		for _, group := range s.file.Comments {
			for _, comment := range group.List {
				if word := leftover.FindString(comment.Text); word != "" {
					problems = append(problems, fmt.Sprintf("%s:%d: %s: finish it", s.name, s.line(comment.Pos()), word))
				}
			}
		}
	}
	return problems
}

// TestRulesCanFail proves that each rule finds what it forbids, and nothing in the same file without it.
func TestRulesCanFail(t *testing.T) {
	long := strings.Repeat("\tx()\n", maxLines)
	rows := "\tf := func(int) {}\n" + strings.Repeat("\tf(1)\n", maxLines) + "\t_ = []int{\n" +
		strings.Repeat("\t\t1,\n", maxLines) + "\t}\n"
	f := func(ruleName, name, text string, want ...string) {
		t.Helper()
		i := slices.IndexFunc(rules, func(r rule) bool { return r.name == ruleName })
		got := rules[i].check([]*source{parse(t, name, text)})
		if !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("%s: got %q, want %q", ruleName, got, want)
		}
	}
	f("OwnImports", "swarm/a.go", `package a; import "millrace/ring"`, "swarm/a.go imports ring")
	f("OwnImports", "swarm/a_test.go", `package a_test; import "millrace/swarm"`)
	f("OwnImports", "ring/ringtest/a.go", `package a; import "millrace/ring"`)
	f("OwnImports", "ring/ringtest/a.go", `package a; import "millrace/swarm"`, "imports swarm")
	f("OwnImports", "cmd/internal/shard/a.go", `package a; import ("millrace/ring"; "millrace/config")`, "imports config")
	f("OwnImports", "cmd/internal/shard/a_test.go", `package a; import "millrace/ring/ringtest"`)
	f("OwnImports", "cmd/internal/mailbox/a.go", `package a; import "millrace/ring"`, "imports ring")
	f("OwnImports", "cmd/internal/stats/a.go", `package a; import "millrace/ring"`, "imports ring")
	f("OwnImports", "swarm/a.go", `package a; import "millrace/cmd/internal/stats"`, "imports cmd/internal/stats")
	f("OwnImports", "cmd/millrace/a.go", `package a; import ("millrace/config"; "millrace/swarm")`, "imports swarm")
	f("OwnImports", "bench/load/a.go", `package a; import ("millrace/ring"; "millrace/bench/stats"; "millrace/swarm")`,
		"imports swarm")
	f("OtherImports", "swarm/a_test.go", `package a; import "unsafe"`, "imports unsafe")
	f("OtherImports", "ring/a.go", `package a; import "unsafe"`)
	f("OtherImports", "cmd/internal/server/a.go", `package a; import "millrace/ring/ringtest"`, "imports millrace/ring")
	f("OtherImports", "cmd/internal/simulation/a.go", `package a; import "millrace/ring/ringtest"`)
	f("OtherImports", "swarm/a.go", `package a; import "github.com/gobwas/ws/wsutil"`, "imports github.com/gobwas/ws")
	f("OtherImports", "swarm/a_test.go", `package a; import "github.com/gobwas/ws"`)
	f("Leaves", "ring/a.go", `package a; import ("log/slog"; "time"); var _ = time.Now`, "imports log/slog", "time.Now")
	f("Leaves", "ring/a.go", `package a; import "time"; const a = time.Second`)
	f("Leaves", "cmd/internal/trace/a.go", `package a; import "time"; var _ = time.Now`, "time.Now")
	f("Leaves", "cmd/internal/server/a.go", `package a; import ("log/slog"; "time"); var _ = time.Now`)
	f("FunctionLength", "a/a.go", "package a\nfunc a() {\n"+long+"}", "a/a.go:2: a has 72 lines")
	f("FunctionLength", "a/a.go", "package a\nfunc a() {\n"+long[10:]+"}")
	f("FunctionLength", "a/a_test.go", "package a\nfunc a() {\n"+rows+"}")
	f("FunctionLength", "a/a.go", "package a\nfunc a() {\n"+rows+"}", "a has 75 lines")
	f("FunctionLength", "a/a_test.go", "package a\nfunc a() {\n\tf(b{func() {\n"+long+"\t}})\n}", "a has 74 lines")
	f("FunctionLength", "a/a_test.go", "package a\nfunc a() {\n\tf := func(func()) {}\n"+
		strings.Repeat("\tf(func() {\n\t\tx()\n\t})\n", maxLines)+"}")
	f("FileLength", "a/a.go", "package a\n"+strings.Repeat("// a\n", maxFileLines), "a/a.go has 401 lines")
	f("FileLength", "a/a.go", "package a\n"+strings.Repeat("// a\n", maxFileLines-1))
	f("FileLength", "a/a_test.go", "package a\n"+strings.Repeat("// a\n", maxFileLines))
	f("Benchmarks", "a/a_test.go", "package a; func BenchmarkA(){}; func TestA(){}", "BenchmarkA does not belong")
	f("Benchmarks", "a/a_timing_test.go", "package a; func BenchmarkA(){}; func TestA(){}", "TestA does not belong")
	f("NoSkips", "a/a_test.go", "package a; func TestA(t *T){ t.Skip() }", "a/a_test.go:1: Skip")
	f("NoLeftovers", "a/a.go", "package a\n// TO"+"DO: more", "a/a.go:2: TO"+"DO")
}
