package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryVersionIsKnown finds places of the packages' version that a release would
// leave as they are.
func TestEveryVersionIsKnown(t *testing.T) {
	top, err := command(t.Context(), ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		t.Skip("not in a git checkout")
	}
	tr := mustOpen(t, strings.TrimSpace(top))
	found, err := tr.packageVersions()
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("the packages have versions %v", found)
	}
	version := slices.Collect(maps.Keys(found))[0]
	literal := regexp.MustCompile(`(?:^|[^0-9.])` + regexp.QuoteMeta(version) + `(?:[^0-9.]|$)`)
	for _, name := range tr.files {
		known := slices.ContainsFunc(places, func(p place) bool { return p.file == name }) ||
			name == "bindings/PROTOCOL.md" || strings.HasSuffix(name, "_test.go") // examples
		if known || !strings.HasPrefix(name, "bindings/") && !strings.HasPrefix(name, "internal/packages/") && !strings.HasPrefix(name, "docs/") {
			continue
		}
		text, err := os.ReadFile(tr.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if literal.Match(text) {
			t.Errorf("%s has the packages' version %s: derive it from one of the places in internal/release/versions.go, or add it there", name, version)
		}
	}
}

// packages are small ones of all languages.
func packages() map[string]string {
	return map[string]string{
		"bindings/python/vegas/_engine.py":                             "\"\"\"x\"\"\"\nVERSION = \"0.0.1\"\n",
		"bindings/js/package.json":                                     "{\"name\": \"v\", \"version\": \"0.0.1\", \"optionalDependencies\": {\"@libvegas/linux-x64\": \"0.0.1\"}, \"engines\": {\"node\": \">=18\"}}\n",
		"bindings/java/pom.xml":                                        "<artifactId>vegas</artifactId>\n  <version>0.0.1</version>\n<artifactId>plugin</artifactId>\n<version>3.0.0</version>\n",
		"bindings/java/src/main/java/io/libvegas/internal/Engine.java": "static final String VERSION = \"0.0.1\";\n",
		"docs/java.md":                                                 "<artifactId>vegas</artifactId>\n  <version>0.0.1</version>\n",
		"internal/packages/consumers/java/pom.xml":                     "<version>1</version><artifactId>vegas</artifactId><version>0.0.1</version>\n",
		"bindings/dotnet/Directory.Build.props":                        "<Version>0.0.1</Version>\n",
		"bindings/scenarios/drivers/csharp/Driver.csproj":              "<PackageReference Include=\"Other\" Version=\"3.0.0\" />\n<PackageReference Include=\"Libvegas\" Version=\"0.0.1\" />\n",
		"internal/packages/consumers/csharp/Consumer.csproj":           "<PackageReference Include=\"Libvegas.Extensions\" Version=\"0.0.1\" />\n",
		"docs/c.md":                          "tar xzf libvegas-0.0.1-linux-amd64.tar.gz\n",
		"bindings/ruby/lib/vegas/version.rb": "VERSION = '0.0.1'\n",
		"bindings/c/include/vegas.h":         "#define VEGAS_VERSION_TEXT \"0.0.1\"\n",
	}
}

func TestPackagesHaveTheVersionOfTheRelease(t *testing.T) {
	tr := newTree(t, packages())
	if p := tr.problems(); len(p) > 0 {
		t.Fatal(p)
	}
	if err := tag(t.Context(), tr, "v0.2.0-rc.1", false, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	if found, err := tr.packageVersions(); err != nil || len(found) != 1 || len(found["0.0.1"]) != len(places) {
		t.Errorf("a pre-release: %v, %v", found, err)
	}
	if err := tag(t.Context(), mustOpen(t, tr.root), "v0.2.0", false, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	for name, text := range packages() {
		got, err := os.ReadFile(tr.path(name))
		if want := strings.ReplaceAll(text, "0.0.1", "0.2.0"); err != nil || string(got) != want {
			t.Errorf("%s: %v, %q, want %q", name, err, got, want)
		}
	}
	if dirty := mustGit(t, tr, "status", "--porcelain"); dirty != "" {
		t.Errorf("not committed: %s", dirty)
	}
}

func TestPackagesOfDifferentVersionsAreNotReleased(t *testing.T) {
	for name, text := range packages() {
		for _, edit := range []struct{ text, want string }{
			{strings.Replace(text, "0.0.1", "0.0.2", 1), "different versions"},
			{"nothing\n", name + ": no version"},
		} {
			files := packages()
			files[name] = edit.text
			if p := newTree(t, files).packageProblem(); !strings.Contains(p, edit.want) {
				t.Errorf("%s: %q, want %q", name, p, edit.want)
			}
		}
	}
	files := packages()
	delete(files, "bindings/c/include/vegas.h")
	if p := newTree(t, files).packageProblem(); !strings.Contains(p, "vegas.h") {
		t.Errorf("without a file: %q", p)
	}
}
