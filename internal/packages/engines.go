package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// platform is one that there is an engine for.
type platform struct{ os, arch string }

// everyPlatform are those of the packages. The engine for Linux is static, and serves musl
// as well as glibc.
var everyPlatform = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

// platforms are those that are built for: with -here only this machine's.
var platforms = everyPlatform

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
// same commit, wherever it lies.
func (t *tree) engines(ctx context.Context) error {
	version, err := t.engineVersion(ctx)
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if err := t.buildEngine(ctx, p, version); err != nil {
			return err
		}
		if err := checkEngine(t.engine(p), p); err != nil {
			return fmt.Errorf("engine of %s: %w", p, err)
		}
	}
	return nil
}

func (t *tree) buildEngine(ctx context.Context, p platform, version string) error {
	return run(ctx, t.root, append(t.goEnv(p), "CGO_ENABLED=0"), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X github.com/libvegas/vegas/engine.release="+version, "-o", t.engine(p), engineCommand)
}

// engineCommand is what engines are built of.
const engineCommand = "./cmd/vegas/vegas-engine"

// goVersion is the toolchain that engines of packages are built by.
const goVersion = "go1.26.8"

// goEnv has the go command build for a platform, or list what it would build of, in the
// same way whatever the builder's own settings are.
func (t *tree) goEnv(p platform) []string {
	return append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOENV=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK="+filepath.Join(t.root, "go.work"))
}

// engineVersion is what engines say that they are: a release where its tag is checked out
// and nothing is changed, and else what comes before it, of a commit.
func (t *tree) engineVersion(ctx context.Context) (string, error) {
	version, err := t.cVersion()
	if err != nil {
		return "", err
	}
	version = "v" + version
	git := func(args ...string) string {
		out, err2 := output(ctx, t.root, os.Environ(), "git", args...)
		err = errors.Join(err, err2)
		return strings.TrimSpace(string(out))
	}
	tags, commit, changes := git("tag", "--points-at", "HEAD"), git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain")
	switch {
	case err != nil: // an archive of the sources
		return version + "+dev", ctx.Err()
	case changes != "":
		return version + "+dev." + commit + ".changed", nil
	case slices.Contains(strings.Fields(tags), version):
		return version, nil
	}
	return version + "+dev." + commit, nil
}
