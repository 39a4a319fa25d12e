package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// npmFile is one of a package.
type npmFile struct {
	name string
	data []byte
	runs bool
}

// writeNPM writes a package as `npm pack` would, and always the same bytes: all files
// are of the day that npm gives its own.
func writeNPM(into, name, version string, files []npmFile) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		mode := int64(0o644)
		if f.runs {
			mode = 0o755
		}
		err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: "package/" + f.name, Mode: mode, Size: int64(len(f.data)),
			ModTime: time.Date(1985, time.October, 26, 8, 15, 0, 0, time.UTC),
		})
		if err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return err
	}
	file := strings.NewReplacer("@", "", "/", "-").Replace(name) + "-" + version + ".tgz"
	return os.WriteFile(filepath.Join(into, file), b.Bytes(), 0o644)
}

// servesNPM names the folder of packages that this program, started once more, is a
// registry of, while it runs the command that it is given.
const servesNPM = "VEGAS_PACKAGES_NPM"

// serveNPM runs a command that has a registry of a folder's packages, and of no others.
func serveNPM(ctx context.Context, dist string, command []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + l.Addr().String() + "/"
	packages, err := readNPM(dist, url)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if file, ok := strings.CutPrefix(r.URL.Path, "/-/"); ok {
			http.ServeFile(w, r, filepath.Join(dist, filepath.Base(file)))
			return
		}
		p, ok := packages[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.Error(w, "there is no such package in this registry", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p)
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "npm_config_registry="+url)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// readNPM are the packages of a folder by name, as a registry describes them.
func readNPM(dist, url string) (map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(dist, "*.tgz"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no packages in %s: build them first", dist)
	}
	all := map[string]any{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := manifestNPM(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		sum := sha512.Sum512(b)
		m["dist"] = map[string]any{
			"tarball":   url + "-/" + filepath.Base(file),
			"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
		}
		name, version := fmt.Sprint(m["name"]), fmt.Sprint(m["version"])
		all[name] = map[string]any{
			"name": name, "dist-tags": map[string]any{"latest": version}, "versions": map[string]any{version: m},
		}
	}
	return all, nil
}

// manifestNPM is the package.json of a package.
func manifestNPM(b []byte) (map[string]any, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it has no package.json")
		}
		if err != nil {
			return nil, err
		}
		if h.Name == "package/package.json" {
			m := map[string]any{}
			return m, json.NewDecoder(r).Decode(&m)
		}
	}
}
