package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// release fills a folder with what a release has to download beside the registries, by
// the names that it has there: the archives for C and C++, the engines, and licences.
func (t *tree) release() error {
	into := t.dist("release")
	if err := errors.Join(os.RemoveAll(into), os.MkdirAll(into, 0o755)); err != nil {
		return err
	}
	files := map[string]string{noticesFile: t.notices()}
	for _, p := range platforms {
		files["vegas-engine-"+p.String()+filepath.Ext(p.binary())] = t.engine(p)
	}
	archives, err := filepath.Glob(filepath.Join(t.dist("c"), "*"))
	if err != nil {
		return err
	}
	for _, from := range archives {
		files[filepath.Base(from)] = from
	}
	for name, from := range files {
		if err := copyFile(from, filepath.Join(into, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile makes one that runs if the other does.
func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return os.WriteFile(to, b, mode)
}
