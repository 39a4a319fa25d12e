package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"html"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// python are the wheels of all platforms, and the source distribution, which has no
// engine.
var python = kind{
	name: "python", title: "Python", needs: []string{"python3"},
	build: buildPython, install: installPython,
}

func buildPython(ctx context.Context, t *tree) error {
	maker := filepath.Join(t.binding("python"), "build_wheel.py")
	if err := run(ctx, t.root, os.Environ(), "python3", "-B", maker, "--sdist", "--out", t.dist("python")); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := run(ctx, t.root, os.Environ(), "python3", "-B", maker, "--engine", t.engine(p), "--platform", p.String(), "--notices", t.notices(), "--out", t.dist("python")); err != nil {
			return err
		}
	}
	return nil
}

// asksPip are the tags that pip asks for on machines of the platforms.
var asksPip = []struct{ tag, wheel string }{
	{"manylinux2014_x86_64", "manylinux2014_x86_64.musllinux_1_1_x86_64"},
	{"musllinux_1_1_x86_64", "manylinux2014_x86_64.musllinux_1_1_x86_64"}, // Alpine
	{"manylinux2014_aarch64", "manylinux2014_aarch64.musllinux_1_1_aarch64"},
	{"musllinux_1_1_aarch64", "manylinux2014_aarch64.musllinux_1_1_aarch64"},
	{"macosx_13_0_x86_64", "macosx_12_0_x86_64"},
	{"macosx_14_0_arm64", "macosx_12_0_arm64"},
	{"win_amd64", "win_amd64"},
}

// installPython has pip install libvegas into a virtual environment, and into further
// ones of the oldest and the newest Python.
func installPython(ctx context.Context, t *tree) error {
	var extra []string
	for _, version := range []string{"3.9", "3.13"} {
		if t.here {
			break
		}
		if found := findPython(ctx, version); found != "" {
			extra = append(extra, found)
		} else if err := t.leaveOut("to install with Python "+version, errors.New("it is not on this machine")); err != nil {
			return err
		}
	}
	own, err := exec.CommandContext(ctx, "python3", "-c", realPython).Output()
	if err != nil {
		return fmt.Errorf("ask python3 where it is: %w", err)
	}
	into := t.installed("python")
	return inEmpty(func(a *alone) error {
		index, err := simpleIndex(t.dist("python"), filepath.Join(a.dir, "simple"))
		if err != nil {
			return err
		}
		if err := installWheel(ctx, a, strings.TrimSpace(string(own)), into, index); err != nil {
			return err
		}
		for _, program := range extra {
			venv := filepath.Join(a.dir, filepath.Base(program))
			if err := installWheel(ctx, a, program, venv, index); err != nil {
				return err
			}
			fmt.Printf("installed with %s, too\n", program)
		}
		for _, ask := range asksPip {
			if t.here {
				break // there is one wheel to choose
			}
			got := filepath.Join(a.dir, ask.tag)
			err := a.run(ctx, a.dir, nil, inVenv(into), "-I", "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-cache-dir",
				"--no-deps", "--only-binary=:all:", "--platform="+ask.tag, "--python-version=3.9", "--index-url="+index, "--dest="+got, "libvegas")
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(got, "*-py3-none-"+ask.wheel+".whl"))
			if err != nil || len(files) != 1 {
				return errors.Join(fmt.Errorf("pip on %s did not choose the wheel of %s: see PLATFORMS in bindings/python/build_wheel.py", ask.tag, ask.wheel), err)
			}
		}
		return nil
	})
}

const realPython = "import os, sys; print(os.path.realpath(sys.executable))"

// findPython is the program of a version that is on the PATH, or that pyenv has
// installed beside the one it shows there.
func findPython(ctx context.Context, version string) string {
	home, _ := os.UserHomeDir()
	others, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", version+".*", "bin", "python"+version))
	for _, program := range append([]string{"python" + version}, others...) {
		if out, err := exec.CommandContext(ctx, program, "-c", realPython).Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	return ""
}

// installWheel has a Python make a virtual environment with nothing but libvegas.
func installWheel(ctx context.Context, a *alone, program, venv, index string) error {
	if err := a.run(ctx, a.dir, nil, program, "-I", "-m", "venv", venv); err != nil {
		return err
	}
	// -I: neither variables nor the folder that it runs in say where packages are.
	for _, args := range [][]string{
		{"-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir", "--index-url=" + index, "libvegas"},
		{"-m", "pip", "check", "--disable-pip-version-check"},
		{"-c", checkPython},
	} {
		if err := a.run(ctx, a.dir, nil, inVenv(venv), append([]string{"-I"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func inVenv(venv string) string { return filepath.Join(venv, "bin", "python") }

// simpleIndex makes a folder the index of packages, as PEP 503 has it, and gives its
// address.
func simpleIndex(dist, folder string) (address string, err error) {
	entries, err := os.ReadDir(dist)
	if err != nil {
		return "", fmt.Errorf("packages are not built (go run ./internal/packages build python): %w", err)
	}
	page := &strings.Builder{}
	page.WriteString("<!DOCTYPE html>\n")
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dist, e.Name()))
		if err != nil {
			return "", err
		}
		at := fileURL(filepath.Join(dist, e.Name()))
		fmt.Fprintf(page, "<a href=\"%s#sha256=%x\" data-requires-python=\"&gt;=3.9\">%s</a><br>\n", html.EscapeString(at), sha256.Sum256(data), html.EscapeString(e.Name()))
	}
	if !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return filepath.Ext(e.Name()) == ".whl" }) {
		return "", errors.New("there are no wheels in " + dist + ": go run ./internal/packages build python")
	}
	if err := os.MkdirAll(filepath.Join(folder, "libvegas"), 0o755); err != nil {
		return "", err
	}
	return fileURL(folder), os.WriteFile(filepath.Join(folder, "libvegas", "index.html"), []byte(page.String()), 0o644)
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// checkPython uses the installed package by its name, and makes sure that it does so
// with the engine that lies in it.
//
//go:embed check.py
var checkPython string
