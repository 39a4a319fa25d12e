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
	for _, f := range r.goes {
		if !f.isTest() && !strings.HasSuffix(f.dir(), "test") && !strings.HasPrefix(f.dir(), "internal/simulate") {
			continue
		}
		bubbles := f.bubbles(r)
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

// bubbles are the lines of a file that run in a synctest bubble: function
// literals given to synctest.Test, and what is marked so.
func (f *goFile) bubbles(r *repo) lineRanges {
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
			if pkg, name := f.callee(n); pkg == "testing/synctest" && name == "Test" {
				add(n.Pos(), n.End())
			}
		}
		return true
	})
	return spans
}
