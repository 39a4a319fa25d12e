package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unreleased are the modules that nobody installs: they test, measure or show.
var unreleased = []string{"bench", "examples", "peers"}

// tree is the repository: its modules and its workspace.
type tree struct {
	root    string
	modules []*module // the core first, then by folder
	work    workFile
	files   []string // tracked, or new and not ignored; slash-separated
}

// module is one go.mod.
type module struct {
	Dir string // relative to the root, slash-separated; "." is the core
	modFile
}

// modFile is what `go mod edit -json` says, as far as it matters here.
type modFile struct {
	Module  struct{ Path string }
	Go      string
	Require []struct {
		Path, Version string
		Indirect      bool
	}
	Replace []replacement
}

// workFile is what `go work edit -json` says, as far as it matters here.
type workFile struct {
	Go      string
	Use     []struct{ DiskPath string }
	Replace []replacement
}

type replacement struct {
	Old, New struct{ Path, Version string }
}

// isCommand tells modules that users install by version: they may not carry
// replacements.
func (m *module) isCommand() bool { return strings.HasPrefix(m.Dir, "cmd/") }

func (m *module) isReleased() bool { return !slices.Contains(unreleased, m.Dir) }

// tag is the name of the module's tag for a version.
func (m *module) tag(version string) string { return path.Join(m.Dir, version) }

func open(ctx context.Context, root string) (*tree, error) {
	t := &tree{root: root}
	listed, err := command(ctx, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(listed, "\x00") {
		if name == "" {
			continue
		}
		info, err := os.Lstat(t.path(name))
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted and not yet committed, or a link
		}
		t.files = append(t.files, name)
		if path.Base(name) != "go.mod" || strings.Contains(name, "testdata/") {
			continue
		}
		m := &module{Dir: path.Dir(name)}
		if err := t.readJSON(ctx, &m.modFile, "mod", "edit", "-json", t.path(name)); err != nil {
			return nil, err
		}
		t.modules = append(t.modules, m)
	}
	slices.SortFunc(t.modules, func(a, b *module) int { return strings.Compare(a.Dir, b.Dir) })
	if len(t.modules) == 0 || t.modules[0].Dir != "." {
		return nil, fmt.Errorf("read modules of %s: no go.mod at its top", root)
	}
	return t, t.readJSON(ctx, &t.work, "work", "edit", "-json", t.path("go.work"))
}

func (t *tree) readJSON(ctx context.Context, v any, args ...string) error {
	out, err := command(ctx, t.root, nil, "go", args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (t *tree) path(name string) string { return filepath.Join(t.root, filepath.FromSlash(name)) }

func (t *tree) core() *module { return t.modules[0] }

// owns tells whether a module path is one of this repository's.
func (t *tree) owns(modPath string) bool {
	return slices.ContainsFunc(t.modules, func(m *module) bool { return m.Module.Path == modPath })
}

// requirements are m's requirements of modules of this repository.
func (t *tree) requirements(m *module) map[string]string {
	own := map[string]string{}
	for _, r := range m.Require {
		if t.owns(r.Path) {
			own[r.Path] = r.Version
		}
	}
	return own
}

// filesOf are the files of a module, without those of modules below it.
func (t *tree) filesOf(m *module) []string {
	var files []string
	for _, name := range t.files {
		owner := t.core()
		for _, other := range t.modules[1:] {
			if strings.HasPrefix(name, other.Dir+"/") && len(other.Dir) > len(owner.Dir) {
				owner = other
			}
		}
		if owner == m {
			files = append(files, name)
		}
	}
	return files
}

// problems are the ways in which the modules, and the packages of other languages, do
// not fit together.
func (t *tree) problems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	versions := map[string]bool{}
	for _, m := range t.modules {
		file := path.Join(m.Dir, "go.mod")
		if want := path.Join(t.core().Module.Path, m.Dir); m.Module.Path != want {
			add("%s: module is %s, want %s, or it cannot be downloaded", file, m.Module.Path, want)
		}
		if m.Go != t.core().Go {
			add("%s: says go %s where the core says go %s", file, m.Go, t.core().Go)
		}
		replaced := map[string]string{}
		for _, r := range m.Replace {
			replaced[r.Old.Path] = r.New.Path
		}
		if m.isCommand() && len(replaced) > 0 {
			add("%s: has a replacement, so `go install %s@version` is refused; replacements for commands stand in go.work", file, m.Module.Path)
		}
		for required, version := range t.requirements(m) {
			versions[version] = true
			if !m.isCommand() {
				want, _ := filepath.Rel(m.Dir, strings.TrimPrefix(strings.TrimPrefix(required, t.core().Module.Path), "/"))
				if required == t.core().Module.Path {
					want, _ = filepath.Rel(m.Dir, ".")
				}
				if want = filepath.ToSlash(want); replaced[required] != want {
					add("%s: wants `replace %s => %s`, so that the module builds from a clone without go.work", file, required, want)
				}
			}
		}
		if !slices.ContainsFunc(t.work.Use, func(u struct{ DiskPath string }) bool { return path.Clean(u.DiskPath) == m.Dir }) {
			add("go.work: does not use ./%s, so its tests do not run", m.Dir)
		}
	}
	if len(versions) > 1 {
		add("the modules require different versions of each other (%v), but they are released in lockstep", versions)
	}
	if t.work.Go != t.core().Go {
		add("go.work: says go %s where the core says go %s", t.work.Go, t.core().Go)
	}
	for _, m := range t.modules {
		if !m.isCommand() {
			continue
		}
		for required, version := range t.requirements(m) {
			dir := "./" + strings.TrimPrefix(strings.TrimPrefix(required, t.core().Module.Path), "/")
			if !slices.ContainsFunc(t.work.Replace, func(r replacement) bool {
				return r.Old.Path == required && r.Old.Version == version && path.Clean(r.New.Path) == path.Clean(dir)
			}) {
				add("go.work: wants `replace %s %s => %s`, which %s/go.mod may not carry", required, version, dir, m.Dir)
			}
		}
	}
	if p := t.packageProblem(); p != "" {
		add("%s", p)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
