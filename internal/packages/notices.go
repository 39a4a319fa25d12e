package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// noticesFile lies beside vegas' own LICENSE in each package with an engine: licences and
// notices of those whose code is linked into it, who ask that these go along.
const noticesFile = "THIRD-PARTY-NOTICES.txt"

const noticesHead = `vegas itself is under the licence in the file LICENSE. Its engine is linked with the work
of others, which is listed here. Their licences and notices follow.

`

var noticesRule = strings.Repeat("=", 80)

// notices is where that of the engines is, of all platforms together.
func (t *tree) notices() string { return filepath.Join(t.out, "engines", noticesFile) }

// writeNotices writes that of the engines, which have been built.
func (t *tree) writeNotices(ctx context.Context) error {
	l := linked{}
	for _, p := range platforms {
		if err := l.of(ctx, t.root, append(t.goEnv(p), "CGO_ENABLED=0"), engineCommand); err != nil {
			return err
		}
	}
	for _, p := range platforms {
		if err := l.complete(t.engine(p)); err != nil {
			return err
		}
	}
	return l.write(t.notices())
}

// linked is what binaries are linked with, by name and version: modules that are not
// vegas' own, Go itself, and what a C compiler brings along.
type linked map[string]*part

// part is one of them.
type part struct {
	dir     string          // of all of it
	folders map[string]bool // of the packages that are linked
}

func (l linked) add(name, dir, folder string) {
	p := l[name]
	if p == nil {
		p = &part{dir: dir, folders: map[string]bool{}}
		l[name] = p
	}
	p.folders[folder] = true
}

// of adds what a command is built of: its package, behind the flags that count.
func (l linked) of(ctx context.Context, root string, env []string, command ...string) error {
	out, err := output(ctx, root, env, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return err
	}
	goroot, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	out, err = output(ctx, root, env, "go", append([]string{"list", "-deps", "-json=Dir,Standard,Module"}, command...)...)
	if err != nil {
		return err
	}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir      string
			Standard bool
			Module   *struct{ Path, Version, Dir string }
		}
		switch err := packages.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("what go list -json writes: %w", err)
		case p.Standard:
			l.add("Go "+strings.TrimPrefix(version, "go"), goroot, p.Dir)
		case p.Module != nil && !own(p.Module.Path):
			l.add(p.Module.Path+" "+p.Module.Version, p.Module.Dir, p.Dir)
		}
	}
}

// own tells whether a module is one of this repository.
func own(module string) bool {
	const core = "github.com/libvegas/vegas"
	return module == core || strings.HasPrefix(module, core+"/")
}

// complete makes sure that a binary is linked with no module besides.
func (l linked) complete(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	if len(info.Deps) == 0 {
		return fmt.Errorf("%s does not tell which modules it is linked with", binary)
	}
	for _, m := range info.Deps {
		if name := m.Path + " " + m.Version; !own(m.Path) && l[name] == nil {
			return fmt.Errorf("%s is linked with %s, which go list does not name", binary, name)
		}
	}
	return nil
}

// write writes the notices into a file: the same bytes of the same sources.
func (l linked) write(file string) error {
	b, err := l.notices()
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

// noticesIn makes sure that a folder of what was installed, which may be a pattern, has
// the file.
func noticesIn(folder string) error {
	found, err := filepath.Glob(filepath.Join(folder, noticesFile))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there is no %s in %s", noticesFile, folder)
	}
	return err
}

// notices are the list of all parts, and each different text once, below those that have it.
func (l linked) notices() ([]byte, error) {
	b := bytes.NewBufferString(noticesHead)
	var texts []string // in the order of who is the first to have one
	holders := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		fmt.Fprintf(b, "    %s\n", name)
		files, err := l[name].texts()
		if err != nil {
			return nil, fmt.Errorf("licence of %s: %w", name, err)
		}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			text := files[file]
			if holders[text] == nil {
				texts = append(texts, text)
			}
			holders[text] = append(holders[text], name+": "+file)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(b, "\n%s\n%s\n\n%s\n", noticesRule, strings.Join(holders[text], "\n"), text)
	}
	return b.Bytes(), nil
}

// Names of files that hold licences, and of those beside them.
var (
	isLicence = regexp.MustCompile(`(?i)(^|[-_.])(un)?(licen[cs]es?|copying|copyright)([-_.]|$)`)
	isNotice  = regexp.MustCompile(`(?i)(^|[-_.])(notices?|patents)([-_.]|$)`)
)

// texts are the licences and notices of a part by their paths in it: those of its own
// folder, where there has to be a licence, and of each folder on the way to a package
// that is linked, where authors leave the licences of code that they took over.
func (p *part) texts() (map[string]string, error) {
	ways := map[string]bool{".": true}
	for folder := range p.folders {
		inside, err := filepath.Rel(p.dir, folder)
		if err != nil {
			return nil, err
		}
		for at := filepath.ToSlash(inside); !ways[at]; at = path.Dir(at) {
			ways[at] = true
		}
	}
	root := os.DirFS(p.dir)
	texts, licensed := map[string]string{}, false
	for way := range ways {
		files, err := fs.ReadDir(root, way)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name := f.Name()
			if f.IsDir() || path.Ext(name) == ".go" || !isLicence.MatchString(name) && !isNotice.MatchString(name) {
				continue
			}
			b, err := fs.ReadFile(root, path.Join(way, name))
			if err != nil {
				return nil, err
			}
			text := strings.Trim(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
			if text == "" {
				continue
			}
			texts[path.Join(way, name)] = text
			licensed = licensed || way == "." && isLicence.MatchString(name)
		}
	}
	if !licensed {
		return nil, fmt.Errorf("there is none in %s", p.dir)
	}
	return texts, nil
}
