package main

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestAnArchiveHasWhatAFolderHas(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	files := map[string]string{"b/two": "two", "a": "", "b.c": string(bytes.Repeat([]byte("x"), 1<<17))}
	for name, text := range files {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := packFolder("in/", folder)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "archive.zip")
	if err := writeZip(path, entries); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := []string{"in/a", "in/b.c", "in/b/two"}
	if len(r.File) != len(want) {
		t.Fatalf("the archive has %d files, want %v", len(r.File), want)
	}
	for i, f := range r.File {
		b, err := content(f) // its sum is looked at, too
		if err != nil {
			t.Fatal(err)
		}
		if f.Name != want[i] || string(b) != files[f.Name[len("in/"):]] || f.Mode() != fs.FileMode(0o644) || !f.Modified.Equal(made) {
			t.Errorf("file %d is %s, %d bytes, %v of %v: want %s as it was, -rw-r--r-- of %v", i, f.Name, len(b), f.Mode(), f.Modified, want[i], made)
		}
	}
}

// nupkg is a package as dotnet pack makes it, at some time on some machine.
func nupkg(t *testing.T, chance, machine string) string {
	t.Helper()
	files := [][2]string{
		{"_rels/.rels", `<Relationships><Relationship Target="/Libvegas.nuspec" Id="R` + chance + `0" /><Relationship Target="/package/services/metadata/core-properties/` + chance + `.psmdcp" Id="R` + chance + `1" /></Relationships>`},
		{"Libvegas.nuspec", "<metadata>\n    <description>It sends.</description></metadata>"},
		{"lib/Libvegas.dll", "code"},
		{"package/services/metadata/core-properties/" + chance + ".psmdcp", "<lastModifiedBy>NuGet; " + machine + "</lastModifiedBy>"},
	}
	var entries []entry
	for _, f := range files {
		e, err := pack(f[0], []byte(f[1]))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	path := filepath.Join(t.TempDir(), "Libvegas.0.1.0.nupkg")
	if err := writeZip(path, entries); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNuGetPackagesAreTheSameBytes(t *testing.T) {
	var settled [2][]byte
	for i, path := range []string{nupkg(t, "0a1b", "Linux 5.4"), nupkg(t, "77fe", "Linux 6.1")} {
		into := filepath.Join(t.TempDir(), "settled.nupkg")
		if err := settleNuGet(path, into); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(into)
		if err != nil {
			t.Fatal(err)
		}
		settled[i] = b
	}
	if !bytes.Equal(settled[0], settled[1]) {
		t.Error("a package that is packed again has other bytes")
	}
	r, err := zip.NewReader(bytes.NewReader(settled[0]), int64(len(settled[0])))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"_rels/.rels":      `<Relationships><Relationship Target="/Libvegas.nuspec" Id="R1" /><Relationship Target="/package/services/metadata/core-properties/core.psmdcp" Id="R2" /></Relationships>`,
		"Libvegas.nuspec":  "<metadata>\n    <readme>README.md</readme>\n    <description>It sends.</description></metadata>",
		"lib/Libvegas.dll": "code",
		"package/services/metadata/core-properties/core.psmdcp": "<lastModifiedBy>NuGet</lastModifiedBy>",
	}
	for _, f := range r.File {
		b, err := content(f)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != want[f.Name] {
			t.Errorf("%s is %q, want %q", f.Name, b, want[f.Name])
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("the package has none of %v", want)
	}
}

func TestAReadmeIsNamedOnce(t *testing.T) {
	const named = "<metadata>\n    <readme>README.md</readme>\n    <description>It sends.</description></metadata>"
	for nuspec, want := range map[string]string{
		"<metadata>\n    <description>It sends.</description></metadata>": named,
		named: named, // by an SDK that knows PackageReadmeFile
		"<metadata><readme>OTHER.md</readme></metadata>": "",
		"<metadata></metadata>":                          "",
	} {
		have, err := nameReadme([]byte(nuspec))
		if string(have) != want || (err == nil) != (want != "") {
			t.Errorf("of %q it makes %q, %v: want %q", nuspec, have, err, want)
		}
	}
}
