package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// place is where a package of another language has the version that all of them share
// with the modules: each match's first group.
type place struct {
	file string
	form *regexp.Regexp
}

var (
	mavenVersion = regexp.MustCompile(`<artifactId>vegas</artifactId>\s*<version>([^<]*)</version>`)
	nugetVersion = regexp.MustCompile(`<PackageReference Include="Libvegas[.\w]*" Version="([^"]*)"`)
)

// places are all of them. The rest is made from these: the wheel's and the gem's
// metadata, NuGet's, pkg-config's and CMake's, npm's packages of engines.
var places = []place{
	{"bindings/python/vegas/_engine.py", regexp.MustCompile(`(?m)^VERSION = "([^"]*)"`)},
	{"bindings/js/package.json", regexp.MustCompile(`"(?:version|@libvegas/[a-z0-9-]+)": "([^"]*)"`)},
	{"bindings/java/pom.xml", mavenVersion},
	{"bindings/java/src/main/java/io/libvegas/internal/Engine.java", regexp.MustCompile(`VERSION = "([^"]*)"`)},
	{"docs/java.md", mavenVersion},
	{"internal/packages/consumers/java/pom.xml", mavenVersion},
	{"bindings/dotnet/Directory.Build.props", regexp.MustCompile(`<Version>([^<]*)</Version>`)},
	{"bindings/scenarios/drivers/csharp/Driver.csproj", nugetVersion},
	{"internal/packages/consumers/csharp/Consumer.csproj", nugetVersion},
	{"bindings/ruby/lib/vegas/version.rb", regexp.MustCompile(`VERSION = '([^']*)'`)},
	{"bindings/c/include/vegas.h", regexp.MustCompile(`(?m)^#define VEGAS_VERSION_TEXT "([^"]*)"`)},
	{"docs/c.md", regexp.MustCompile(`\blibvegas-([0-9][0-9.]*)-`)},
}

// packaged tells whether the repository has packages of other languages.
func (t *tree) packaged() bool {
	return slices.ContainsFunc(places, func(p place) bool { return slices.Contains(t.files, p.file) })
}

// packageVersions are the versions that the packages' sources say, and where.
func (t *tree) packageVersions() (map[string][]string, error) {
	found := map[string][]string{}
	for _, p := range places {
		text, err := os.ReadFile(t.path(p.file))
		if err != nil {
			return nil, err
		}
		all := p.form.FindAllSubmatch(text, -1)
		if len(all) == 0 {
			return nil, fmt.Errorf("%s: no version where internal/release looks for it (%s)", p.file, p.form)
		}
		for _, m := range all {
			v := string(m[1])
			if !slices.Contains(found[v], p.file) {
				found[v] = append(found[v], p.file)
			}
		}
	}
	return found, nil
}

// packageProblem is why the packages are not of one version; "" if they are.
func (t *tree) packageProblem() string {
	if !t.packaged() {
		return ""
	}
	found, err := t.packageVersions()
	if err != nil {
		return err.Error()
	}
	if len(found) > 1 {
		return fmt.Sprintf("the packages of other languages have different versions, but they are released in lockstep: %v", found)
	}
	return ""
}

// writePackageVersions writes the version of a release into all places. A pre-release
// is one of the modules alone, since each registry spells it differently: the packages
// keep their version.
func writePackageVersions(t *tree, version string) error {
	if !t.packaged() || strings.Contains(version, "-") {
		return nil
	}
	for _, p := range places {
		text, err := os.ReadFile(t.path(p.file))
		if err != nil {
			return err
		}
		var out []byte
		end := 0
		for _, m := range p.form.FindAllSubmatchIndex(text, -1) {
			out = append(append(out, text[end:m[2]]...), strings.TrimPrefix(version, "v")...)
			end = m[3]
		}
		if err := os.WriteFile(t.path(p.file), append(out, text[end:]...), 0o644); err != nil {
			return err
		}
	}
	return nil
}
