package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// writeOne writes a package of an engine and returns its bytes.
func writeOne(t *testing.T, dir string) []byte {
	t.Helper()
	err := writeNPM(dir, "@libvegas/linux-x64", "1.2.3", []npmFile{
		{name: "package.json", data: []byte(`{"name":"@libvegas/linux-x64","version":"1.2.3","os":["linux"]}`)},
		{name: "bin/vegas-engine", data: []byte("engine"), runs: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "libvegas-linux-x64-1.2.3.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriteNPM(t *testing.T) {
	b := writeOne(t, t.TempDir())
	if !bytes.Equal(b, writeOne(t, t.TempDir())) {
		t.Error("the same files made other bytes")
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[h.Name] = fmt.Sprintf("%o", h.Mode)
	}
	if len(modes) != 2 || modes["package/bin/vegas-engine"] != "755" || modes["package/package.json"] != "644" {
		t.Errorf("files and modes: %v", modes)
	}
}

func TestReadNPM(t *testing.T) {
	dir := t.TempDir()
	if _, err := readNPM(dir, "http://registry/"); err == nil || !strings.Contains(err.Error(), "build them first") {
		t.Errorf("an empty folder: %v", err)
	}
	writeOne(t, dir)
	all, err := readNPM(dir, "http://registry/")
	if err != nil {
		t.Fatal(err)
	}
	p, ok := all["@libvegas/linux-x64"].(map[string]any)
	if !ok || len(all) != 1 {
		t.Fatalf("packages: %v", all)
	}
	version := p["versions"].(map[string]any)["1.2.3"].(map[string]any)
	dist := version["dist"].(map[string]any)
	if dist["tarball"] != "http://registry/-/libvegas-linux-x64-1.2.3.tgz" || !strings.HasPrefix(dist["integrity"].(string), "sha512-") {
		t.Errorf("dist: %v", dist)
	}
	if os := version["os"].([]any); len(os) != 1 || os[0] != "linux" {
		t.Errorf("npm does not hear of the platform: %v", version)
	}
}

// The engines that libvegas asks for are those that are packed, in its own version.
func TestBuildJSRefuses(t *testing.T) {
	root := t.TempDir()
	tr := &tree{root: root, out: filepath.Join(root, "out")}
	if err := os.MkdirAll(tr.binding("js"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := `{"name":"libvegas","version":"0.2.0","optionalDependencies":{"@libvegas/linux-x64":"0.1.0"}}`
	if err := os.WriteFile(filepath.Join(tr.binding("js"), "package.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := buildJS(t.Context(), tr); err == nil || !strings.Contains(err.Error(), "version 0.2.0") {
		t.Errorf("engines of another version: %v", err)
	}
}

func TestOnlyOwnEngine(t *testing.T) {
	into := t.TempDir()
	own := filepath.Join(into, "node_modules", npmPackage(platform{os: runtime.GOOS, arch: runtime.GOARCH}))
	if err := onlyOwnEngineJS(into); err == nil {
		t.Error("none passed for one")
	}
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := onlyOwnEngineJS(into); err != nil {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(filepath.Dir(own), "other-x64"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := onlyOwnEngineJS(into); err == nil {
		t.Error("two passed for one")
	}
}
