package tidy

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// generated reports files that their generators would write differently. It
// runs every //go:generate of the repository in a copy of it, in scratch.
//
// A generator must write the same bytes each time and read nothing but the
// repository.
func generated(ctx context.Context, r *repo, scratch string) ([]problem, error) {
	var dirs []string
	for _, f := range r.goes {
		if bytes.Contains(f.source, []byte("\n//go:generate ")) && !slices.Contains(dirs, f.dir()) {
			dirs = append(dirs, f.dir())
		}
	}
	if len(dirs) == 0 {
		return nil, nil
	}
	before := map[string][]byte{} // the files may be edited while generators run
	for _, name := range r.files {
		data, err := fs.ReadFile(r.fsys, name)
		if err != nil {
			return nil, fmt.Errorf("copy repository: %w", err)
		}
		before[name] = data
		file := filepath.Join(scratch, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, fmt.Errorf("copy repository: %w", err)
		}
		if err := os.WriteFile(file, data, 0o755); err != nil {
			return nil, fmt.Errorf("copy repository: %w", err)
		}
	}
	for _, dir := range dirs {
		cmd := exec.CommandContext(ctx, "go", "generate", ".")
		cmd.Dir = filepath.Join(scratch, filepath.FromSlash(dir))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go generate %s: %w\n%s", dir, err, out)
		}
	}
	return sorted(differences(before, os.DirFS(scratch), dirs)), nil
}

// differences reports the files of a copy that generators have changed.
func differences(before map[string][]byte, copied fs.FS, dirs []string) []problem {
	remedy := "run go generate in " + strings.Join(dirs, ", ")
	var found []problem
	err := fs.WalkDir(copied, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains(skipped, path.Base(name)) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		fresh, err := fs.ReadFile(copied, name)
		if err != nil {
			return err
		}
		have, ok := before[name]
		if !ok {
			found = append(found, problem{file: name, text: "a generator writes it and it is missing: " + remedy})
		} else if !bytes.Equal(fresh, have) {
			found = append(found, problem{file: name, text: "its generator writes it differently: " + remedy})
		}
		return nil
	})
	if err != nil {
		found = append(found, problem{file: ".", text: err.Error()})
	}
	return found
}
