// Package tidy holds the rules of the house that no linter knows: which package
// may import which, that tests do not sleep, that generated files and links are
// not stale. Its tests hold this repository to them.
//
// A rule is a function from a repository to its problems, in a file of its own,
// with a test that plants a violation. Rules read files and run nothing, save
// the one for generated files.
//
// Two comments excuse from a rule, each with its reason on the same line:
//
//	//tidy:bubble WHY   this time.Sleep, or those of this function, run in a
//	                    synctest bubble, where time is fake
//	//tidy:long WHY     this file may be longer than the rest
package tidy

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// modulePath is the core's module path, with which those of all others start.
const modulePath = "github.com/libvegas/vegas"

// problem is one violation of a rule.
type problem struct {
	file string
	line int // 0 for the whole file
	text string
}

func (p problem) String() string {
	if p.line == 0 {
		return p.file + ": " + p.text
	}
	return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text)
}

// repo is a repository as the rules see it: its files, the Go ones parsed.
type repo struct {
	fsys  fs.FS
	files []string // all, slash-separated, without what tools leave behind
	goes  []*goFile
	dirs  map[string]bool // every folder that holds a file
	fset  *token.FileSet
}

// goFile is a parsed Go file.
type goFile struct {
	name    string
	source  []byte
	syntax  *ast.File
	imports map[string]string // local name to path
}

// skipped are folders that tools fill and git ignores.
var skipped = []string{".git", ".cache", "node_modules", "__pycache__", ".venv", "target"}

func load(fsys fs.FS) (*repo, error) {
	r := &repo{fsys: fsys, dirs: map[string]bool{".": true}, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		r.files = append(r.files, name)
		for dir := path.Dir(name); !r.dirs[dir]; dir = path.Dir(dir) {
			r.dirs[dir] = true
		}
		if strings.HasSuffix(name, ".go") && !inTestdata(name) {
			return r.parse(name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load repository: %w", err)
	}
	return r, nil
}

func (r *repo) parse(name string) error {
	source, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(r.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &goFile{name: name, source: source, syntax: syntax, imports: map[string]string{}}
	for _, spec := range syntax.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		local := path.Base(imported)
		if local == "v2" {
			local = path.Base(path.Dir(imported)) // math/rand/v2
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports[local] = imported
	}
	r.goes = append(r.goes, f)
	return nil
}

func inTestdata(name string) bool { return strings.Contains("/"+name, "/testdata/") }

func (f *goFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// dir is the file's package by its folder, "." for the root's.
func (f *goFile) dir() string { return path.Dir(f.name) }

func (f *goFile) isGenerated() bool { return ast.IsGenerated(f.syntax) }

func (r *repo) line(pos token.Pos) int { return r.fset.Position(pos).Line }

// callee names a call of a package's function, as its import path and its name.
func (f *goFile) callee(call *ast.CallExpr) (pkg, name string) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := selector.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return f.imports[x.Name], selector.Sel.Name
}

func sorted(problems []problem) []problem {
	slices.SortFunc(problems, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), strings.Compare(a.text, b.text))
	})
	return problems
}
