package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// longestFile is how many lines a Go file may have without saying why.
const longestFile = 600

// length reports files that are probably two nouns.
func length(r *repo) []problem {
	var found []problem
	for _, f := range r.goes {
		lines := bytes.Count(f.source, []byte("\n"))
		if lines <= longestFile || f.isGenerated() || f.excused("tidy:long") {
			continue
		}
		found = append(found, problem{file: f.name, text: fmt.Sprintf(
			"%d lines, more than %d: split it by nouns, or say //tidy:long and why it reads better whole", lines, longestFile)})
	}
	return sorted(found)
}

// excused tells whether a comment excuses the file from a rule, with a reason.
func (f *goFile) excused(mark string) bool {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, "//"+mark+" "); ok && strings.TrimSpace(reason) != "" {
				return true
			}
		}
	}
	return false
}

// formatted reports files that gofmt would change.
func formatted(r *repo) []problem {
	var found []problem
	for _, f := range r.goes {
		want, err := format.Source(f.source)
		if err == nil && !bytes.Equal(want, f.source) {
			found = append(found, problem{file: f.name, text: "not formatted: run gofmt -w"})
		}
	}
	return sorted(found)
}

// packageComments reports packages that do not say what they are for.
func packageComments(r *repo) []problem {
	first := map[string]string{}
	commented := map[string]bool{}
	for _, f := range r.goes {
		if f.isTest() {
			continue
		}
		dir := f.dir()
		if first[dir] == "" {
			first[dir] = f.name
		}
		if f.syntax.Doc != nil {
			commented[dir] = true
		}
	}
	var found []problem
	for dir, name := range first {
		if !commented[dir] {
			found = append(found, problem{file: name, text: "package " + dir + " has no comment that says what it is for"})
		}
	}
	return sorted(found)
}

// longestFace is how many identifiers the root package may export: what fits on
// two screens is read in one sitting.
const longestFace = 48

// face reports a root package whose exported surface has grown too wide.
func face(r *repo) []problem {
	var names []string
	for _, f := range r.goes {
		if f.dir() != "." || f.isTest() {
			continue
		}
		for _, decl := range f.syntax.Decls {
			names = append(names, exported(decl)...)
		}
	}
	if len(names) <= longestFace {
		return nil
	}
	return []problem{{file: ".", text: fmt.Sprintf(
		"the root package exports %d identifiers, more than %d: %s", len(names), longestFace, strings.Join(names, " "))}}
}

// exported are the names that a declaration adds to its package, without methods.
func exported(decl ast.Decl) []string {
	var names []string
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			add(decl.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				add(spec.Name)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					add(id)
				}
			}
		}
	}
	return names
}

// unpublished is text that means something only where a file was written. The
// patterns are built so that this file does not hold them.
var unpublished = regexp.MustCompile(`\.\./` + `shared\b|(^|[^\w.])/` + `work/|\bDESIGN` + `\.md\b|(?i:\bdecisions? \[?)\d+\b`)

// unpublishedNames reports what readers of the repository cannot follow.
func unpublishedNames(r *repo) []problem {
	var found []problem
	for _, name := range r.files {
		data, err := fs.ReadFile(r.fsys, name)
		if err != nil || !utf8.Valid(data) {
			continue
		}
		number := 0
		for line := range bytes.Lines(data) {
			number++
			if match := unpublished.Find(line); match != nil {
				found = append(found, problem{name, number, fmt.Sprintf(
					"names %q, which readers of the repository do not have: say the reason itself", bytes.TrimSpace(match))})
			}
		}
	}
	return sorted(found)
}

// changelogHeading is where changes collect until a release moves them.
var changelogHeading = regexp.MustCompile(`(?m)^## \[?Unreleased\]?[ \t]*$`)

// changelog reports a changelog that the next release could not move on.
func changelog(r *repo) []problem {
	const name = "CHANGELOG.md"
	data, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return []problem{{file: name, text: "missing"}}
	}
	if !changelogHeading.Match(data) {
		return []problem{{file: name, text: "has no heading \"## Unreleased\""}}
	}
	return nil
}

// hasFile tells whether a path names a file or folder of the repository.
func (r *repo) hasFile(name string) bool {
	name = path.Clean(name)
	if r.dirs[name] {
		return true
	}
	info, err := fs.Stat(r.fsys, name)
	return err == nil && !info.IsDir()
}
