//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The samples of documents are programs that each language's tests run as they stand.
func TestSamplesAreWhatTestsRun(t *testing.T) {
	samples := map[string]struct{ program, fence, page string }{
		"go":     {"examples/sample/main.go", "go", ""},
		"python": {"bindings/python/examples/sample.py", "python", "docs/python.md"},
		"js":     {"bindings/js/examples/sample.mjs", "js", "docs/javascript.md"},
		"java":   {"bindings/java/src/test/java/Sample.java", "java", "docs/java.md"},
		"csharp": {"bindings/dotnet/Sample/Program.cs", "csharp", "docs/csharp.md"},
		"ruby":   {"bindings/ruby/examples/sample.rb", "ruby", "docs/ruby.md"},
		"c":      {"bindings/c/examples/sample.c", "c", "docs/c.md"},
		"cpp":    {"bindings/cpp/examples/sample.cpp", "cpp", "docs/cpp.md"},
	}
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, l := range all {
		s, ok := samples[l.name]
		if !ok {
			t.Errorf("%s has no sample", l.title)
			continue
		}
		block := bytes.Join([][]byte{[]byte("\n```" + s.fence + "\n"), read(s.program), []byte("```\n")}, nil)
		for _, page := range []string{"docs/languages.md", s.page} {
			if page != "" && !bytes.Contains(read(page), block) {
				t.Errorf("%s does not show %s as it is: bring its sample up to date", page, s.program)
			}
		}
	}
}
