package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// js are the npm packages: libvegas, and for each platform one that is nothing but its
// engine, of which npm installs the one that fits.
var js = kind{
	name: "js", title: "JavaScript", needs: []string{"node", "npm"},
	build: buildJS, install: installJS,
}

// npmNames are the words of Node.js, process.platform and process.arch, for Go's.
var npmNames = map[string]string{"windows": "win32", "amd64": "x64"}

func npmName(word string) string {
	if name := npmNames[word]; name != "" {
		return name
	}
	return word
}

// npmPackage is the name of a platform's package.
func npmPackage(p platform) string {
	return "@libvegas/" + npmName(p.os) + "-" + npmName(p.arch)
}

// npmManifest is what building has to know of the package.json of libvegas.
type npmManifest struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Files    []string          `json:"files"`
	Optional map[string]string `json:"optionalDependencies"`
}

func buildJS(_ context.Context, t *tree) error {
	text, err := os.ReadFile(filepath.Join(t.binding("js"), "package.json"))
	if err != nil {
		return err
	}
	var m npmManifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("package.json: %w", err)
	}
	wanted := map[string]string{}
	for _, p := range everyPlatform {
		wanted[npmPackage(p)] = m.Version
	}
	if !maps.Equal(wanted, m.Optional) {
		return fmt.Errorf("optionalDependencies of bindings/js/package.json are not the engines of all platforms in version %s: make them %v", m.Version, wanted)
	}
	files := []npmFile{{name: "package.json", data: text}}
	for _, name := range append([]string{"LICENSE", "README.md"}, m.Files...) {
		more, err := npmFiles(t.binding("js"), name)
		if err != nil {
			return err
		}
		files = append(files, more...)
	}
	notices, err := npmFiles(filepath.Dir(t.notices()), noticesFile)
	if err != nil {
		return err
	}
	if err := writeNPM(t.dist("js"), m.Name, m.Version, append(files, notices...)); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := t.buildEngineJS(p, m.Version, notices); err != nil {
			return err
		}
	}
	return nil
}

// npmFiles are a file of a folder, or all that lie in one of its folders.
func npmFiles(root, name string) (files []npmFile, err error) {
	err = filepath.WalkDir(filepath.Join(root, name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		in, err := filepath.Rel(root, path)
		files = append(files, npmFile{name: filepath.ToSlash(in), data: data})
		return err
	})
	return files, err
}

// buildEngineJS packs the engine of a platform. It is said to which machines npm may
// install it, not for which libc: it needs none. Yarn has to unpack it, for there is no
// running what lies in its archive.
func (t *tree) buildEngineJS(p platform, version string, notices []npmFile) error {
	engine, err := os.ReadFile(t.engine(p))
	if err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(t.root, "LICENSE"))
	if err != nil {
		return err
	}
	name := npmPackage(p)
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(struct {
		Name            string            `json:"name"`
		Version         string            `json:"version"`
		Description     string            `json:"description"`
		License         string            `json:"license"`
		Homepage        string            `json:"homepage"`
		Repository      map[string]string `json:"repository"`
		Engines         map[string]string `json:"engines"`
		OS              []string          `json:"os"`
		CPU             []string          `json:"cpu"`
		PreferUnplugged bool              `json:"preferUnplugged"`
	}{
		Name: name, Version: version, License: "Apache-2.0",
		Description:     fmt.Sprintf("The engine of libvegas for %s %s", npmName(p.os), npmName(p.arch)),
		Homepage:        "https://github.com/libvegas/vegas",
		Repository:      map[string]string{"type": "git", "url": "git+https://github.com/libvegas/vegas.git"},
		Engines:         map[string]string{"node": ">=18"},
		OS:              []string{npmName(p.os)},
		CPU:             []string{npmName(p.arch)},
		PreferUnplugged: true,
	})
	if err != nil {
		return err
	}
	readme := fmt.Sprintf("# %s\n\nThe engine of [libvegas](https://www.npmjs.com/package/libvegas) for %s %s. It comes with `npm install libvegas`, and is nothing to install by itself.\n",
		name, npmName(p.os), npmName(p.arch))
	return writeNPM(t.dist("js"), name, version, append([]npmFile{
		{name: "package.json", data: text.Bytes()},
		{name: "LICENSE", data: license},
		{name: "README.md", data: []byte(readme)},
		{name: "bin/" + p.binary(), data: engine, runs: true},
	}, notices...))
}

// installJS has npm install libvegas as anybody does, from a registry on loopback.
func installJS(ctx context.Context, t *tree) error {
	into := t.installed("js")
	if err := os.WriteFile(filepath.Join(into, "package.json"), []byte("{ \"private\": true }\n"), 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return inEmpty(func(a *alone) error {
		// The registry is this program: it has to be where npm is, inside.
		npm := filepath.Join(a.dir, "bin", "npm")
		if err := a.run(ctx, into, []string{servesNPM + "=" + t.dist("js")}, self, npm, "install", "--no-audit", "--no-fund", "libvegas"); err != nil {
			return err
		}
		if err := a.run(ctx, into, nil, "npm", "ls", "--all"); err != nil {
			return err
		}
		if err := onlyOwnEngineJS(into); err != nil {
			return err
		}
		return a.run(ctx, into, nil, "node", "--input-type=module", "--eval", checkJS)
	}, "node", "npm", "sh")
}

// onlyOwnEngineJS makes sure that of the platforms' packages the one of this machine
// was installed, and none besides.
func onlyOwnEngineJS(into string) error {
	engines, err := filepath.Glob(filepath.Join(into, "node_modules", "@libvegas", "*"))
	if err != nil {
		return err
	}
	own := filepath.Join(into, "node_modules", npmPackage(platform{os: runtime.GOOS, arch: runtime.GOARCH}))
	if !slices.Equal(engines, []string{own}) {
		return errors.New("npm installed the engines [" + strings.Join(engines, " ") + "], which should have been only " + own)
	}
	return nil
}

// checkJS uses the installed package by its name, and makes sure that it does so with
// the engine that lies beside it.
//
//go:embed check.mjs
var checkJS string
