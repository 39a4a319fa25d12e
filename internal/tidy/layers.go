package tidy

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// floor is a layer of the house: packages that may import the same.
type floor struct {
	name string
	// packages are folders, with patterns of path.Match; x/... is x and all
	// below it. The first floor with a matching pattern is a package's.
	packages []string
	// imports are the floors whose packages these may import; a floor that may
	// import itself says so.
	imports []string
	// plain packages know neither AWS's SDK nor a network.
	plain bool
	// pure packages are plain, and take time and randomness as arguments.
	pure bool
}

// house is the one table of packages, bottom up. Imports point down only, so
// that a mistake in one layer cannot hide in another and any layer can be read,
// tested and replaced without those above it.
var house = []floor{
	{
		name:     "leaf",
		packages: []string{"record", "internal/keyspace", "internal/aggregate", "internal/limits", "internal/backoff", "internal/quiet", "internal/story", "internal/filesys"},
		imports:  []string{"leaf"},
		plain:    true,
	},
	{
		name: "port",
		packages: []string{
			"store", "store/storetest", "buffer", "buffer/buffertest",
			"observe", "layer", "connect", "connect/connecttest",
		},
		imports: []string{"leaf", "port"},
		plain:   true,
	},
	{
		name:     "decision",
		packages: []string{"internal/shardmap", "internal/lane", "internal/assign", "internal/fleet", "internal/progress", "internal/mark"},
		imports:  []string{"leaf", "port", "decision"},
		plain:    true,
		pure:     true,
	},
	{
		name:     "outside",
		packages: []string{"internal/md5many", "internal/wire", "internal/kinesisapi"},
		imports:  []string{"leaf", "port", "decision", "outside"},
	},
	{
		name:     "runner",
		packages: []string{"internal/send", "internal/lease", "internal/fetch", "internal/shard", "internal/durable", "internal/inner"},
		imports:  []string{"leaf", "port", "decision", "outside", "runner"},
	},
	{
		name:     "built-in backend", // so that two arguments make a consumer
		packages: []string{"store/memory", "store/file", "store/dynamodb", "buffer/memory", "buffer/disk"},
		imports:  []string{"leaf", "port"},
	},
	{
		name:     "adapter",
		packages: []string{"store/*", "buffer/*", "connect/*", "observe/*", "window", "dedupe"},
		imports:  []string{"leaf", "port"},
	},
	{
		name:     "administration",
		packages: []string{"admin"},
		imports:  []string{"leaf", "port", "outside", "runner"},
	},
	{
		name:     "root",
		packages: []string{"."},
		imports:  []string{"leaf", "port", "decision", "outside", "runner", "built-in backend", "administration"},
	},
	{
		name:     "test kit",
		packages: []string{"vegastest"},
		imports:  []string{"leaf", "port", "decision", "outside", "runner", "built-in backend", "root"},
	},
	{
		// With vegas' own codecs one mistake would agree with itself.
		name:     "server",
		packages: []string{"localkinesis/..."},
		imports:  []string{"leaf", "server"},
	},
	{
		name:     "proof",
		packages: []string{"internal/simulate", "internal/fleettest", "internal/fleetnumbers", "internal/crashfs"},
		imports: []string{
			"leaf", "port", "decision", "outside", "runner", "built-in backend", "adapter",
			"administration", "root", "test kit", "server", "proof",
		},
	},
	{
		name:     "processes",
		packages: []string{"internal/foreign", "internal/tail"},
		plain:    true,
	},
	{
		name: "top",
		packages: []string{
			"engine", "internal/bridge", "internal/multilang", "compat/...", "cmd/...",
			"bindings/...", "bench/...", "peers/...", "examples/...",
		},
		imports: []string{
			"leaf", "port", "decision", "outside", "runner", "built-in backend", "adapter",
			"administration", "root", "test kit", "server", "processes", "top",
		},
	},
	{
		name:     "tools of the repository",
		packages: []string{"internal/tidy", "internal/release", "internal/testreport", "internal/bindgen"},
		plain:    true,
	},
	{
		name:     "packages", // of other languages; npm takes them from a server only
		packages: []string{"internal/packages"},
	},
}

// coreDependencies are what the core may import besides the standard library:
// whoever uses vegas downloads them.
var coreDependencies = []string{
	"github.com/aws/aws-sdk-go-v2",
	"github.com/aws/smithy-go",
	"github.com/emmansun/base64",
	"golang.org/x/sys", // which base64 asks too what the processor can do
}

// insiders are nested modules that may use the core's internal packages; all
// others must do with what every user has.
var insiders = []string{"cmd/", "bench", "peers", "bindings/c"}

// layers reports imports that point up or out. Tests may import what they need.
func layers(r *repo) []problem {
	var found []problem
	nested := r.nestedModules()
	unknown := map[string]bool{}
	for _, f := range r.goes {
		if f.isTest() {
			continue
		}
		dir := f.dir()
		from := floorOf(dir)
		if from == nil {
			if !unknown[dir] {
				unknown[dir] = true
				found = append(found, problem{file: f.name, text: fmt.Sprintf(
					"package %s stands on no floor of the house: add it to the table in internal/tidy/layers.go", dir)})
			}
			continue
		}
		module := moduleOf(dir, nested)
		for _, spec := range f.syntax.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			if text := wrongImport(dir, from, module, imported); text != "" {
				found = append(found, problem{f.name, r.line(spec.Pos()), text})
			}
		}
	}
	return sorted(found)
}

// wrongImport says what is wrong with an import, if anything.
func wrongImport(dir string, from *floor, module, imported string) string {
	if imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
		return wrongForeign(dir, from, module, imported)
	}
	target := path.Clean("./" + strings.TrimPrefix(imported, modulePath))
	if target == "/" {
		target = "."
	}
	target = strings.TrimPrefix(target, "/")
	to := floorOf(target)
	if to == nil {
		return fmt.Sprintf("imports %s, which stands on no floor of the house: add it to the table in internal/tidy/layers.go", target)
	}
	if !slices.Contains(from.imports, to.name) {
		return fmt.Sprintf("%s (%s) imports %s (%s); it may import only: %s",
			dir, from.name, target, to.name, orNone(strings.Join(from.imports, ", ")))
	}
	internal := strings.HasPrefix(target, "internal/")
	insider := module == "." || slices.ContainsFunc(insiders, func(prefix string) bool { return strings.HasPrefix(module, prefix) })
	if internal && !insider {
		return fmt.Sprintf("module %s imports %s: a module of its own uses the core's public packages only, as its users do", module, target)
	}
	return ""
}

func wrongForeign(dir string, from *floor, module, imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	standard := !strings.Contains(first, ".")
	if from.plain {
		if !standard {
			return fmt.Sprintf("%s (%s) imports %s: this floor knows only the standard library", dir, from.name, imported)
		}
		if imported == "net" || imported == "net/http" {
			return fmt.Sprintf("%s (%s) imports %s: this floor does not know the network", dir, from.name, imported)
		}
	}
	if standard || module != "." {
		return ""
	}
	if slices.ContainsFunc(coreDependencies, func(d string) bool { return imported == d || strings.HasPrefix(imported, d+"/") }) {
		return ""
	}
	return fmt.Sprintf("imports %s, which every user of vegas would download: make it a module of its own, or use the standard library", imported)
}

// floorOf is the floor of a folder, or nil.
func floorOf(dir string) *floor {
	for i := range house {
		for _, pattern := range house[i].packages {
			if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
				if dir == tree || strings.HasPrefix(dir, tree+"/") {
					return &house[i]
				}
				continue
			}
			if ok, _ := path.Match(pattern, dir); ok {
				return &house[i]
			}
		}
	}
	return nil
}

// nestedModules are the folders of all modules but the core.
func (r *repo) nestedModules() []string {
	var dirs []string
	for _, name := range r.files {
		if path.Base(name) == "go.mod" && name != "go.mod" && !inTestdata(name) {
			dirs = append(dirs, path.Dir(name))
		}
	}
	return dirs
}

// moduleOf is the folder of the module that a package belongs to.
func moduleOf(dir string, nested []string) string {
	module := "."
	for _, m := range nested {
		if (dir == m || strings.HasPrefix(dir, m+"/")) && len(m) > len(module) {
			module = m
		}
	}
	return module
}

func orNone(list string) string {
	if list == "" {
		return "nothing of vegas"
	}
	return list
}
