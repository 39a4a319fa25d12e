package tidy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// rules are those that only read.
var rules = map[string]func(*repo) []problem{
	"layers":      layers,
	"purity":      purity,
	"sleeps":      sleeps,
	"length":      length,
	"formatted":   formatted,
	"comments":    packageComments,
	"face":        face,
	"unpublished": unpublishedNames,
	"changelog":   changelog,
	"links":       links,
	"entries":     entries,
}

// repository is this one, by the folder of the tests.
func repository(t *testing.T) *repo {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "cmd", "vegas", "go.mod")); err != nil {
		t.Skip("not a checkout: modules that were downloaded come without those below them")
	}
	r, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRepository holds this repository to every rule.
func TestRepository(t *testing.T) {
	if testing.Short() {
		t.Skip("reads every file, which -race makes slow and finds nothing in")
	}
	r := repository(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, p := range rule(r) {
				t.Error(p)
			}
		})
	}
	t.Run("generated", func(t *testing.T) {
		found, err := generated(t.Context(), r, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			t.Error(p)
		}
	})
}

// planted makes a repository of files and their content.
func planted(t *testing.T, files map[string]string) *repo {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	r, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantProblem wants exactly one problem that holds the text, or none for "".
func wantProblem(t *testing.T, found []problem, want string) {
	t.Helper()
	if want == "" {
		for _, p := range found {
			t.Errorf("a false alarm: %v", p)
		}
		return
	}
	if len(found) != 1 || !strings.Contains(found[0].String(), want) {
		t.Errorf("found %v, want one problem with %q", found, want)
	}
}
