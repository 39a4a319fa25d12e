package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// proxyDir is where the module proxy is in a rehearsal's folder.
func proxyDir(dir string) string { return filepath.Join(dir, "proxy") }

// writeProxy lays out the tree's modules as a module proxy below dir, each at every
// one of the versions. With setVersion the modules require each other at that
// version, as they will once it is released; else at what their go.mod says.
// The layout is that of https://go.dev/ref/mod#goproxy-protocol.
func writeProxy(ctx context.Context, t *tree, dir string, versions []string, setVersion string) error {
	for _, m := range t.modules {
		if !m.isReleased() {
			continue
		}
		v := filepath.Join(proxyDir(dir), filepath.FromSlash(m.Module.Path), "@v")
		if err := os.MkdirAll(v, 0o755); err != nil {
			return err
		}
		mod, err := os.ReadFile(t.path(path.Join(m.Dir, "go.mod")))
		if err != nil {
			return err
		}
		if setVersion != "" {
			copied := filepath.Join(v, setVersion+".mod")
			if err := os.WriteFile(copied, mod, 0o644); err != nil {
				return err
			}
			if err := setRequirements(ctx, t, m, copied, setVersion); err != nil {
				return err
			}
			if mod, err = os.ReadFile(copied); err != nil {
				return err
			}
		}
		for _, version := range versions {
			if err := writeVersion(t, m, v, version, mod); err != nil {
				return fmt.Errorf("write proxy: module %s: %w", m.Module.Path, err)
			}
		}
		list := strings.Join(versions, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(v, "list"), []byte(list), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeVersion(t *tree, m *module, dir, version string, mod []byte) error {
	// Any fixed time does; a changing one would change the answer's bytes.
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{version, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, version+".info"), info, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, version+".mod"), mod, 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	if err := writeZip(f, t, m, version, mod); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// writeZip writes the module as https://go.dev/ref/mod#zip-files wants it; the
// go command checks it when it unpacks it.
func writeZip(w io.Writer, t *tree, m *module, version string, mod []byte) error {
	z := zip.NewWriter(w)
	prefix := m.Module.Path + "@" + version + "/"
	add := func(name string, data []byte) error {
		entry, err := z.Create(prefix + name)
		if err != nil {
			return err
		}
		_, err = entry.Write(data)
		return err
	}
	licensed := false
	for _, file := range t.filesOf(m) {
		name := strings.TrimPrefix(file, m.Dir+"/")
		if m.Dir == "." {
			name = file
		}
		data, err := os.ReadFile(t.path(file))
		if err != nil {
			return err
		}
		switch name {
		case "go.mod":
			data = mod
		case "LICENSE":
			licensed = true
		}
		if err := add(name, data); err != nil {
			return err
		}
	}
	if !licensed {
		// The go command does the same for modules below the top.
		data, err := os.ReadFile(t.path("LICENSE"))
		if err != nil {
			return err
		}
		if err := add("LICENSE", data); err != nil {
			return err
		}
	}
	return z.Close()
}

// setRequirements writes the version of the tree's own modules into a go.mod.
func setRequirements(ctx context.Context, t *tree, m *module, file, version string) error {
	own := t.requirements(m)
	if len(own) == 0 {
		return nil
	}
	args := []string{"mod", "edit"}
	for required := range own {
		args = append(args, "-require="+required+"@"+version)
	}
	_, err := command(ctx, t.root, nil, "go", append(args, file)...)
	return err
}

// proxyEnv makes the go command see the modules of the proxy below dir and
// nothing else of this repository, in an empty module cache below dir. An old
// one would not do: the go command takes it for unchanging and remembers what
// packages a folder in it has, even when that is made anew.
func proxyEnv(ctx context.Context, t *tree, dir string) ([]string, error) {
	out, err := command(ctx, t.root, nil, "go", "env", "GOPROXY", "GOMODCACHE", "GONOSUMDB", "GOFLAGS")
	if err != nil {
		return nil, err
	}
	env := strings.Split(out, "\n")
	inherited, shared, nosum, flags := env[0], env[1], env[2], env[3]
	return []string{
		"GOWORK=off",
		"GOPROXY=" + strings.Join([]string{fileURL(proxyDir(dir)), fileURL(filepath.Join(shared, "cache", "download")), inherited}, ","),
		"GOPRIVATE=",
		"GONOPROXY=",
		"GONOSUMDB=" + strings.TrimPrefix(nosum+","+t.core().Module.Path, ","),
		"GOMODCACHE=" + filepath.Join(dir, "mod"),
		"GOBIN=" + filepath.Join(dir, "bin"),
		// Without folders in them, compiled packages are found again next time.
		"GOFLAGS=" + strings.TrimSpace(flags+" -mod=mod -modcacherw -trimpath"),
	}, nil
}

// fileURL is the form in which GOPROXY takes a folder.
func fileURL(dir string) string {
	slashed := filepath.ToSlash(dir)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/x
	}
	return "file://" + slashed
}
