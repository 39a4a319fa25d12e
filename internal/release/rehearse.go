package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// rehearsed is a version that never exists elsewhere.
const rehearsed = "v0.0.1-rehearsal"

// rehearse installs every module of the tree as a user would once it is
// released, from a proxy made of the tree.
func rehearse(ctx context.Context, t *tree, out io.Writer) error {
	if problems := t.problems(); len(problems) > 0 {
		return fmt.Errorf("rehearse the release:\n%s", strings.Join(problems, "\n"))
	}
	// A requirement that is missing here would be found elsewhere below.
	if err := checkTidy(ctx, t); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "vegas-rehearsal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := writeProxy(ctx, t, work, []string{rehearsed}, rehearsed); err != nil {
		return err
	}
	env, err := proxyEnv(ctx, t, work)
	if err != nil {
		return err
	}
	for _, m := range t.modules {
		if !m.isReleased() {
			continue
		}
		started := time.Now()
		var did string
		if m.isCommand() {
			did, err = installCommand(ctx, m, work, env)
		} else {
			did, err = useLibrary(ctx, m, work, env)
		}
		if err != nil {
			return fmt.Errorf("rehearse the release: module %s: %w", m.Module.Path, err)
		}
		fmt.Fprintf(out, "%s: %s, %.1f s\n", m.Module.Path, did, time.Since(started).Seconds())
	}
	return nil
}

// useLibrary gets one module into an empty one and runs a program that imports
// every package that users may import.
func useLibrary(ctx context.Context, m *module, work string, env []string) (string, error) {
	dir, err := os.MkdirTemp(work, "use-")
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"mod", "init", "scratch"},
		{"get", m.Module.Path + "@" + rehearsed},
	} {
		if _, err := command(ctx, dir, env, "go", args...); err != nil {
			return "", err
		}
	}
	listed, err := command(ctx, dir, env, "go", "list",
		"-f", `{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, m.Module.Path+"/...")
	if err != nil {
		return "", err
	}
	var imports []string
	for pkg := range strings.FieldsSeq(listed) {
		if !strings.Contains(pkg+"/", "/internal/") {
			imports = append(imports, fmt.Sprintf("\t_ %q\n", pkg))
		}
	}
	if len(imports) == 0 {
		return "", fmt.Errorf("no package that users may import")
	}
	program := "package main\n\nimport (\n" + strings.Join(imports, "") + ")\n\nfunc main() {}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return "", err
	}
	if _, err := command(ctx, dir, env, "go", "run", "."); err != nil {
		return "", err
	}
	all, err := command(ctx, dir, env, "go", "list", "-m", "all")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d packages imported, %d modules in its graph", len(imports), len(strings.Fields(all))), nil
}

// installCommand installs a command by version and runs it.
func installCommand(ctx context.Context, m *module, work string, env []string) (string, error) {
	if _, err := command(ctx, work, env, "go", "install", m.Module.Path+"@"+rehearsed); err != nil {
		return "", err
	}
	name := path.Base(m.Module.Path)
	program := filepath.Join(work, "bin", name)
	said, err := command(ctx, work, nil, program, "version")
	if err != nil {
		return "", err
	}
	if !strings.Contains(said, rehearsed) {
		return "", fmt.Errorf("%s version: says %q, which does not name %s", name, said, rehearsed)
	}
	if _, err := command(ctx, work, nil, program, "demo", "--duration", "5s"); err != nil {
		return "", err
	}
	return "installed, says " + strings.TrimSpace(said) + ", demo runs", nil
}
