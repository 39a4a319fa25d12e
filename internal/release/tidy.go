package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// tidy runs go mod tidy in every module. That ignores go.work, so the modules
// that a command requires come from a proxy made of the tree, at the versions
// that its go.mod names.
func tidy(ctx context.Context, t *tree, out io.Writer) error {
	versions := []string{"v0.0.0"}
	for _, m := range t.modules {
		for _, version := range t.requirements(m) {
			if !slices.Contains(versions, version) {
				versions = append(versions, version)
			}
		}
	}
	for _, m := range t.modules {
		dir := t.path(m.Dir)
		env := []string{"GOWORK=off"}
		if m.isCommand() {
			// Anew for each: the modules before it have just been tidied.
			work, err := os.MkdirTemp("", "vegas-tidy-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(work)
			if err := writeProxy(ctx, t, work, versions, ""); err != nil {
				return err
			}
			if env, err = proxyEnv(ctx, t, work); err != nil {
				return err
			}
			if err := forgetSums(t, filepath.Join(dir, "go.sum")); err != nil {
				return err
			}
		}
		if _, err := command(ctx, dir, env, "go", "mod", "tidy"); err != nil {
			return fmt.Errorf("tidy %s: %w", m.Module.Path, err)
		}
		if m.isCommand() {
			if err := forgetSums(t, filepath.Join(dir, "go.sum")); err != nil {
				return err
			}
		}
		fmt.Fprintln(out, "tidied", path.Join(m.Dir, "go.mod"))
	}
	// Loading the whole graph completes go.work.sum.
	_, err := command(ctx, t.root, nil, "go", "list", "-m", "all")
	return err
}

// checkTidy fails when tidy would change a go.mod or go.sum. The workspace hides
// such mistakes: there a module may use what only another one requires.
func checkTidy(ctx context.Context, t *tree) error {
	dir, err := os.MkdirTemp("", "vegas-tidy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	copied := *t
	copied.root = dir
	for _, name := range t.files {
		data, err := os.ReadFile(t.path(name))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(copied.path(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(copied.path(name), data, 0o644); err != nil {
			return err
		}
	}
	if err := tidy(ctx, &copied, io.Discard); err != nil {
		return err
	}
	var stale []string
	for _, m := range t.modules {
		for _, name := range []string{path.Join(m.Dir, "go.mod"), path.Join(m.Dir, "go.sum")} {
			have, _ := os.ReadFile(t.path(name)) // a missing one is an empty one
			want, _ := os.ReadFile(copied.path(name))
			if !bytes.Equal(have, want) {
				stale = append(stale, name)
			}
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("not tidy: %s; run make tidy", strings.Join(stale, ", "))
	}
	return nil
}

// forgetSums drops the sums of the tree's own modules from a go.sum: they are
// those of the tree as it was a moment ago.
func forgetSums(t *tree, file string) error {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		if name, _, _ := strings.Cut(line, " "); !t.owns(name) {
			kept.WriteString(line)
		}
	}
	return os.WriteFile(file, []byte(kept.String()), 0o644)
}
