// Command bindgen writes what all languages share of the bridge protocol out of
// bindings/protocol.json: its numbers, and the options and errors with their
// documentation, as each language spells them. A language is a file of this
// folder and a line in the table below.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:generate go run . ../..

// source is the one place where names and numbers are written by hand.
const source = "bindings/protocol.json"

// languages are all that is written.
var languages = []language{
	golang,
	python,
	javascript,
	java,
	csharp,
	ruby,
	plainC,
	cpp,
	documentation,
}

// language is how one spells the protocol.
type language struct {
	// spell makes names, types and values of the language; its templates call
	// these, and those of common.
	spell template.FuncMap
	// named spells the names of options in documentation, and words those that they
	// take; nil: as the protocol does.
	named, words func(name string) string
	files        []file
}

// file is one that is generated, wholly or between marks.
type file struct {
	path string // from the root of the repository
	text string // a template over spec
	// finish may take the text in hand, given what the file has now.
	finish func(fresh, have []byte) ([]byte, error)
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := write(root); err != nil {
		fmt.Fprintln(os.Stderr, "bindgen:", err)
		os.Exit(1)
	}
}

// write brings the files of a repository up to date.
func write(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for path, fresh := range files {
		name := filepath.Join(root, filepath.FromSlash(path))
		if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, fresh) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, fresh, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate gives each generated file's content by its path.
func generate(root string) (map[string][]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(source)))
	if err != nil {
		return nil, err
	}
	s, err := readSpec(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	files := map[string][]byte{}
	for _, l := range languages {
		s := s.spelled(l.named, l.words)
		for _, f := range l.files {
			have, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.path)))
			if err != nil && !os.IsNotExist(err) {
				return nil, err
			}
			if files[f.path], err = f.render(s, l.spell, have); err != nil {
				return nil, fmt.Errorf("write %s: %w", f.path, err)
			}
		}
	}
	return files, nil
}

func (f file) render(s *spec, spell template.FuncMap, have []byte) ([]byte, error) {
	t, err := template.New(f.path).Funcs(common).Funcs(spell).Parse(f.text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, err
	}
	if f.finish == nil {
		return b.Bytes(), nil
	}
	return f.finish(b.Bytes(), have)
}
