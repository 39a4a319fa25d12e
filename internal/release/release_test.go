package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newTree makes a small repository: a core, a library and a command.
func newTree(t *testing.T, edit map[string]string) *tree {
	t.Helper()
	files := map[string]string{
		"LICENSE":      "a license\n",
		"CHANGELOG.md": "# Changes\n\n## Unreleased\n\n- all of it\n",
		"go.mod":       "module example.org/v\n\ngo 1.26.0\n",
		"v.go":         "package v\n",
		"lib/go.mod":   "module example.org/v/lib\n\ngo 1.26.0\n\nrequire example.org/v v0.0.0\n\nreplace example.org/v => ..\n",
		"lib/lib.go":   "package lib\n\nimport _ \"example.org/v\"\n",
		"cmd/c/go.mod": "module example.org/v/cmd/c\n\ngo 1.26.0\n\nrequire (\n\texample.org/v v0.0.0\n\texample.org/v/lib v0.0.0\n)\n",
		"cmd/c/c.go":   "package main\n\nimport _ \"example.org/v/lib\"\n\nfunc main() {}\n",
		"go.work":      "go 1.26.0\n\nuse (\n\t.\n\t./lib\n\t./cmd/c\n)\n\nreplace example.org/v v0.0.0 => ./\n\nreplace example.org/v/lib v0.0.0 => ./lib\n",
	}
	maps.Copy(files, edit)
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"config", "user.name", "a tester"},
		{"config", "user.email", "tester@example.org"},
		{"add", "."},
		{"commit", "--quiet", "--message", "Start"},
	} {
		if _, err := command(t.Context(), root, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	return mustOpen(t, root)
}

func mustOpen(t *testing.T, root string) *tree {
	t.Helper()
	tr, err := open(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestModulesFit holds this repository's own modules to the rules.
func TestModulesFit(t *testing.T) {
	top, err := command(t.Context(), ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Skip("not in a git checkout")
	}
	for _, problem := range mustOpen(t, strings.TrimSpace(top)).problems() {
		t.Error(problem)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name string
		edit map[string]string
		want string // a part of one problem; empty for none
	}{
		{name: "modules that fit"},
		{
			name: "a command with a replacement",
			edit: map[string]string{"cmd/c/go.mod": "module example.org/v/cmd/c\n\ngo 1.26.0\n\nrequire example.org/v v0.0.0\n\nreplace example.org/v => ../..\n"},
			want: "cmd/c/go.mod: has a replacement",
		},
		{
			name: "a library without its replacement",
			edit: map[string]string{"lib/go.mod": "module example.org/v/lib\n\ngo 1.26.0\n\nrequire example.org/v v0.0.0\n"},
			want: "lib/go.mod: wants `replace example.org/v => ..`",
		},
		{
			name: "a module whose tests do not run",
			edit: map[string]string{"go.work": "go 1.26.0\n\nuse (\n\t.\n\t./cmd/c\n)\n"},
			want: "go.work: does not use ./lib",
		},
		{
			name: "a command's requirement that nothing replaces",
			edit: map[string]string{"go.work": "go 1.26.0\n\nuse (\n\t.\n\t./lib\n\t./cmd/c\n)\n\nreplace example.org/v v0.0.0 => ./\n"},
			want: "go.work: wants `replace example.org/v/lib v0.0.0 => ./lib`",
		},
		{
			name: "versions apart",
			edit: map[string]string{"lib/go.mod": "module example.org/v/lib\n\ngo 1.26.0\n\nrequire example.org/v v0.1.0\n\nreplace example.org/v => ..\n"},
			want: "different versions",
		},
		{
			name: "a module under a wrong name",
			edit: map[string]string{"lib/go.mod": "module example.org/lib\n\ngo 1.26.0\n"},
			want: "lib/go.mod: module is example.org/lib, want example.org/v/lib",
		},
		{
			name: "another Go version",
			edit: map[string]string{"lib/go.mod": "module example.org/v/lib\n\ngo 1.25.0\n\nrequire example.org/v v0.0.0\n\nreplace example.org/v => ..\n"},
			want: "lib/go.mod: says go 1.25.0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := newTree(t, c.edit).problems()
			if c.want == "" && len(problems) > 0 {
				t.Errorf("problems where none are: %q", problems)
			}
			if c.want != "" && !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, c.want) }) {
				t.Errorf("problems %q, want one with %q", problems, c.want)
			}
		})
	}
}

func TestTag(t *testing.T) {
	tr := newTree(t, nil)
	var said strings.Builder
	if err := tag(t.Context(), tr, "v0.1.0", true, &said); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+## v0.1.0", "would tag:\ncmd/c/v0.1.0\nlib/v0.1.0\nv0.1.0\n"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("dry run says\n%s\nwithout %q", said.String(), want)
		}
	}
	if tags := mustGit(t, tr, "tag", "--list"); tags != "" {
		t.Fatalf("dry run left tags %s", tags)
	}

	if err := tag(t.Context(), tr, "v0.1.0", false, &said); err != nil {
		t.Fatal(err)
	}
	if tags := mustGit(t, tr, "tag", "--points-at", "HEAD"); tags != "cmd/c/v0.1.0\nlib/v0.1.0\nv0.1.0\n" {
		t.Errorf("tags %q", tags)
	}
	released := mustOpen(t, tr.root)
	if problems := released.problems(); len(problems) > 0 {
		t.Errorf("the released modules do not fit: %q", problems)
	}
	for _, m := range released.modules {
		for required, version := range released.requirements(m) {
			if version != "v0.1.0" {
				t.Errorf("%s requires %s %s", m.Dir, required, version)
			}
		}
	}
	// The workspace still builds: its replacements follow the versions.
	if _, err := command(t.Context(), tr.root, []string{"GOFLAGS=-mod=readonly", "GOPROXY=off"}, "go", "build", "-o", os.DevNull, "./cmd/c"); err != nil {
		t.Error(err)
	}

	if err := tag(t.Context(), released, "v0.1.0", false, &said); err == nil || !strings.Contains(err.Error(), "already tagged") {
		t.Errorf("tagging twice: %v", err)
	}
}

func TestTagRefuses(t *testing.T) {
	tr := newTree(t, nil)
	for _, version := range []string{"", "0.1.0", "v0.1", "v2.0.0", "v0.01.0", "latest"} {
		if err := tag(t.Context(), tr, version, true, os.Stdout); err == nil || !strings.Contains(err.Error(), "not a version") {
			t.Errorf("version %q: %v", version, err)
		}
	}
	if err := os.WriteFile(tr.path("new.go"), []byte("package v\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tag(t.Context(), tr, "v0.1.0", false, os.Stdout); err == nil || !strings.Contains(err.Error(), "new.go") {
		t.Errorf("a dirty tree: %v", err)
	}
}

// TestProxy installs from the proxy as rehearse does, offline.
func TestProxy(t *testing.T) {
	tr := newTree(t, nil)
	dir := t.TempDir()
	if err := writeProxy(t.Context(), tr, dir, []string{rehearsed}, rehearsed); err != nil {
		t.Fatal(err)
	}
	env, err := proxyEnv(t.Context(), tr, dir)
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "GOPROXY="+fileURL(proxyDir(dir)), "GONOSUMDB=*")
	if _, err := useLibrary(t.Context(), tr.modules[2], dir, env); err != nil {
		t.Error(err)
	}
	if _, err := command(t.Context(), dir, env, "go", "install", "example.org/v/cmd/c@"+rehearsed); err != nil {
		t.Error(err)
	}
	// The library's module zip carries the license of the whole.
	listed, err := command(t.Context(), dir, env, "go", "mod", "download", "-json", "example.org/v/lib@"+rehearsed)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(listed, `"Dir": "`)
	unpacked, _, _ := strings.Cut(after, `"`)
	if _, err := os.Stat(filepath.Join(filepath.FromSlash(unpacked), "LICENSE")); err != nil {
		t.Error(err)
	}
}

func TestChangelog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "CHANGELOG.md")
	if err := os.WriteFile(file, []byte("# Changes\n\n## [Unreleased]\n\n- one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeChangelog(file, "v0.1.0", time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Changes\n\n## [Unreleased]\n\n## v0.1.0 (2026-02-03)\n\n- one\n"; string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(file, []byte("# Changes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeChangelog(file, "v0.1.0", time.Now()); err == nil {
		t.Error("a changelog without Unreleased was released")
	}
}

func TestCheckTidy(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	if err := checkTidy(t.Context(), newTree(t, nil)); err == nil || !strings.Contains(err.Error(), "cmd/c/go.mod") {
		// Its requirement of the core is an indirect one, and not marked so.
		t.Errorf("a requirement without its mark: %v", err)
	}
	tidied := newTree(t, map[string]string{
		"cmd/c/go.mod": "module example.org/v/cmd/c\n\ngo 1.26.0\n\nrequire example.org/v/lib v0.0.0\n\nrequire example.org/v v0.0.0 // indirect\n",
	})
	if err := checkTidy(t.Context(), tidied); err != nil {
		t.Error(err)
	}
}

func TestForgetSums(t *testing.T) {
	tr := newTree(t, nil)
	file := filepath.Join(t.TempDir(), "go.sum")
	if err := os.WriteFile(file, []byte("example.org/v v0.0.0 h1:x=\nexample.org/v/lib v0.0.0/go.mod h1:y=\nexample.org/vega v1.0.0 h1:z=\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := forgetSums(tr, file); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "example.org/vega v1.0.0 h1:z=\n" {
		t.Errorf("kept %q", got)
	}
}

func mustGit(t *testing.T, tr *tree, args ...string) string {
	t.Helper()
	out, err := tr.git(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
