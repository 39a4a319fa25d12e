package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

const bubbleMark = "tidy:bubble"

// sleeps reports time.Sleep in tests outside a synctest bubble: it makes a test
// slow when the machine is fast and wrong when it is slow.
func sleeps(r *repo) []problem {
	type pkg struct{ dir, name string } // a folder may hold two: x and x_test
	packages := map[pkg][]*goFile{}
	for _, f := range r.goes {
		at := pkg{f.dir(), f.syntax.Name.Name}
		packages[at] = append(packages[at], f)
	}
	var found []problem
	for at, files := range packages {
		kit := strings.HasSuffix(at.dir, "test") || at.dir == "internal/simulate"
		bubbles := r.bubbles(files)
		for _, f := range files {
			if !f.isTest() && !kit {
				continue
			}
			f.calls(func(call *ast.CallExpr) {
				pkg, name := f.callee(call)
				if pkg == "time" && name == "Sleep" && !bubbles[f].hold(r.line(call.Pos())) {
					found = append(found, problem{f.name, r.line(call.Pos()),
						"a test sleeps: wait for a channel, or run in synctest.Test; in a function that only runs in a bubble say //" + bubbleMark + " and why"})
				}
			})
		}
	}
	return sorted(found)
}

func (f *goFile) calls(visit func(*ast.CallExpr)) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			visit(call)
		}
		return true
	})
}

// lineRanges are ranges of lines, ends included.
type lineRanges [][2]int

func (l lineRanges) hold(line int) bool {
	for _, span := range l {
		if span[0] <= line && line <= span[1] {
			return true
		}
	}
	return false
}

// bubbles are the lines of a package's files that run in a synctest bubble:
//   - what is written in a call of synctest.Test,
//   - or in a call of a function that takes a function and calls synctest.Test,
//   - functions whose name is used in such places only,
//   - what is marked so.
//
// It goes by names alone, without types. A name that also means something else
// is taken for used outside, so what it gets wrong is a false alarm.
func (r *repo) bubbles(files []*goFile) map[*goFile]lineRanges {
	spans := map[*goFile]lineRanges{}
	add := func(f *goFile, from, to token.Pos) {
		spans[f] = append(spans[f], [2]int{r.line(from), r.line(to)})
	}
	functions := map[*ast.FuncDecl]*goFile{} // not yet known to be in a bubble
	makers := map[string]bool{}
	for _, f := range files {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				functions[fn] = f
				makers[fn.Name.Name] = makers[fn.Name.Name] || f.makesBubbles(fn)
			}
		}
		spans[f] = r.marked(f)
	}
	for _, f := range files {
		f.calls(func(call *ast.CallExpr) {
			if id, ok := call.Fun.(*ast.Ident); f.isBubble(call) || ok && makers[id.Name] {
				add(f, call.Pos(), call.End())
			}
		})
	}
	uses := usesOf(files, functions)
	for changed := true; changed; {
		changed = false
		for fn, f := range functions {
			inside, outside := 0, 0
			for _, use := range uses[nameOf(fn)] {
				switch {
				case use.file == f && fn.Pos() <= use.pos && use.pos < fn.End():
					// its own name and its recursion
				case spans[use.file].hold(r.line(use.pos)):
					inside++
				default:
					outside++
				}
			}
			if inside > 0 && outside == 0 {
				add(f, fn.Pos(), fn.End())
				delete(functions, fn)
				changed = true
			}
		}
	}
	return spans
}

// isBubble tells calls of synctest.Test.
func (f *goFile) isBubble(call *ast.CallExpr) bool {
	pkg, name := f.callee(call)
	return pkg == "testing/synctest" && name == "Test"
}

// makesBubbles tells functions that take a function and call synctest.Test.
func (f *goFile) makesBubbles(fn *ast.FuncDecl) bool {
	takes, makes := false, false
	for _, param := range fn.Type.Params.List {
		if _, ok := param.Type.(*ast.FuncType); ok {
			takes = true
		}
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && f.isBubble(call) {
			makes = true
		}
		return true
	})
	return takes && makes
}

// marked are the lines that a comment with a reason puts into a bubble: its own
// and the next, or the function that it documents.
func (r *repo) marked(f *goFile) lineRanges {
	var lines lineRanges
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, "//"+bubbleMark); ok && strings.TrimSpace(reason) != "" {
				lines = append(lines, [2]int{r.line(c.Pos()), r.line(c.Pos()) + 1})
			}
		}
	}
	all := lines
	for _, decl := range f.syntax.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Doc == nil {
			continue
		}
		for line := r.line(fn.Doc.Pos()); line <= r.line(fn.Doc.End()); line++ {
			if lines.hold(line) {
				all = append(all, [2]int{r.line(fn.Pos()), r.line(fn.End())})
				break
			}
		}
	}
	return all
}

// use is one place where a name stands.
type use struct {
	file *goFile
	pos  token.Pos
}

// nameOf is a function's name as it is used, with a dot before a method's.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv != nil {
		return "." + fn.Name.Name
	}
	return fn.Name.Name
}

// usesOf are the places where the functions' names stand, other than as the
// name of a declaration.
func usesOf(files []*goFile, functions map[*ast.FuncDecl]*goFile) map[string][]use {
	declared := map[*ast.Ident]bool{}
	for fn := range functions {
		declared[fn.Name] = true
	}
	uses := map[string][]use{}
	for _, f := range files {
		selected := map[*ast.Ident]bool{}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				selected[n.Sel] = true
			case *ast.Ident:
				name := n.Name
				if selected[n] {
					name = "." + name
				}
				if !declared[n] {
					uses[name] = append(uses[name], use{f, n.Pos()})
				}
			}
			return true
		})
	}
	return uses
}
