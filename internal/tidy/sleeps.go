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
	var found []problem
	makers := bubbleMakers(r)
	for _, f := range r.goes {
		if !f.isTest() && !strings.HasSuffix(f.dir(), "test") && !strings.HasPrefix(f.dir(), "internal/simulate") {
			continue
		}
		bubbles := f.bubbles(r, makers[f.dir()])
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if pkg, name := f.callee(call); pkg != "time" || name != "Sleep" {
				return true
			}
			if !bubbles.hold(r.line(call.Pos())) {
				found = append(found, problem{f.name, r.line(call.Pos()),
					"a test sleeps: wait for a channel, or run in synctest.Test; in a function that only runs in a bubble say //" + bubbleMark + " and why"})
			}
			return true
		})
	}
	return sorted(found)
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

// makesBubble tells calls of synctest.Test.
func (f *goFile) makesBubble(call *ast.CallExpr) bool {
	pkg, name := f.callee(call)
	return pkg == "testing/synctest" && name == "Test"
}

// bubbleMakers are, by folder, the functions that take a function and call
// synctest.Test: a literal given to one of them runs in a bubble.
func bubbleMakers(r *repo) map[string]map[string]bool {
	makers := map[string]map[string]bool{}
	for _, f := range r.goes {
		for _, decl := range f.syntax.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || fn.Body == nil || !takesFunction(fn) {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && f.makesBubble(call) {
					if makers[f.dir()] == nil {
						makers[f.dir()] = map[string]bool{}
					}
					makers[f.dir()][fn.Name.Name] = true
				}
				return true
			})
		}
	}
	return makers
}

func takesFunction(fn *ast.FuncDecl) bool {
	for _, param := range fn.Type.Params.List {
		if _, ok := param.Type.(*ast.FuncType); ok {
			return true
		}
	}
	return false
}

// bubbles are the lines of a file that run in a synctest bubble: function
// literals given to synctest.Test or one of the makers, and what is marked so.
func (f *goFile) bubbles(r *repo, makers map[string]bool) lineRanges {
	var spans lineRanges
	add := func(from, to token.Pos) { spans = append(spans, [2]int{r.line(from), r.line(to)}) }
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, "//"+bubbleMark); ok && strings.TrimSpace(reason) != "" {
				line := r.line(c.Pos())
				spans = append(spans, [2]int{line, line + 1})
			}
		}
	}
	marks := append(lineRanges(nil), spans...)
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Doc != nil {
				for line := r.line(n.Doc.Pos()); line <= r.line(n.Doc.End()); line++ {
					if marks.hold(line) {
						add(n.Pos(), n.End())
						break
					}
				}
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); f.makesBubble(n) || ok && makers[id.Name] {
				add(n.Pos(), n.End())
			}
		}
		return true
	})
	return spans
}
