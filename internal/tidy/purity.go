package tidy

import (
	"fmt"
	"go/ast"
	"slices"
)

// clockCalls are functions of package time that look at the machine's clock.
var clockCalls = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// seededCalls are functions of math/rand that make a source of one's own; the
// others draw from the process's.
var seededCalls = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "NewSource"}

// purity reports decisions that look at a clock, draw from a shared source of
// randomness or start goroutines: a simulation could not replay them.
func purity(r *repo) []problem {
	var found []problem
	for _, f := range r.goes {
		if on := floorOf(f.dir()); on == nil || !on.pure || f.isTest() {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if spec.Path.Value == `"crypto/rand"` {
				found = append(found, problem{f.name, r.line(spec.Pos()),
					"a decision imports crypto/rand, so it cannot be replayed: take randomness as an argument"})
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				found = append(found, problem{f.name, r.line(n.Pos()),
					"a decision starts a goroutine, so it cannot be replayed: leave that to its runner"})
			case *ast.SelectorExpr:
				// Also without a call: now := time.Now.
				if what := impure(f, n); what != "" {
					found = append(found, problem{f.name, r.line(n.Pos()), fmt.Sprintf(
						"a decision uses %s, so it cannot be replayed: take time and randomness as arguments", what)})
				}
			}
			return true
		})
	}
	return sorted(found)
}

func impure(f *goFile, selector *ast.SelectorExpr) string {
	x, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	name := selector.Sel.Name
	switch f.imports[x.Name] {
	case "time":
		if slices.Contains(clockCalls, name) {
			return "time." + name
		}
	case "math/rand", "math/rand/v2":
		if isFunction(name) && !slices.Contains(seededCalls, name) {
			return "the process's own rand." + name
		}
	}
	return ""
}

// isFunction tells the functions of math/rand from its types.
func isFunction(name string) bool {
	return !slices.Contains([]string{"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}, name)
}
