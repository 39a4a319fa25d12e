package main

import (
	"context"
	"os"
	"path/filepath"
)

// platform is one that there is an engine for.
type platform struct{ os, arch string }

// platforms are those of the packages. The engine for Linux is static, and serves musl
// as well as glibc.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

func (p platform) String() string { return p.os + "-" + p.arch }

// binary is the file name of the engine.
func (p platform) binary() string {
	if p.os == "windows" {
		return "vegas-engine.exe"
	}
	return "vegas-engine"
}

// engine is where the engine of a platform is.
func (t *tree) engine(p platform) string {
	return filepath.Join(t.out, "engines", p.String(), p.binary())
}

// engines builds that of every platform: static, stripped, and the same bytes from the
// same sources, wherever they lie.
func (t *tree) engines(ctx context.Context) error {
	version, err := t.cVersion()
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if err := t.buildEngine(ctx, p, version); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) buildEngine(ctx context.Context, p platform, version string) error {
	return run(ctx, t.root, engineEnv(p), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X github.com/libvegas/vegas/engine.release=v"+version, "-o", t.engine(p), engineCommand)
}

// engineCommand is what engines are built of.
const engineCommand = "./cmd/vegas/vegas-engine"

// engineEnv has the go command build for a platform, or list what it would build of.
func engineEnv(p platform) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+p.os, "GOARCH="+p.arch)
}
