//go:build linux

package main

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The ways of drivers with packages that internal/packages has installed. Each makes
// sure that the package is the installed one.

// installedPython runs the driver by the virtual environment that pip installed into,
// in isolation: PYTHONPATH and the driver's own folder do not count.
func installedPython(dir string) way {
	python := filepath.Join(dir, "python", "bin", "python")
	return way{
		command: func(root, _ string) []string { return []string{python, "-I", driver(root, "driver.py")} },
		build: func(ctx context.Context, root, _ string) error {
			if _, err := os.Stat(python); err != nil {
				return fmt.Errorf("the package is not installed (go run ./internal/packages install python): %w", err)
			}
			return run(ctx, root, python, "-I", "-c", `if True:
				import os, sys, vegas
				there = os.path.realpath(vegas.__file__)
				if not there.startswith(os.path.realpath(sys.prefix) + os.sep):
					sys.exit(f"vegas is {there}, which should be in {sys.prefix}: go run ./internal/packages install python")`)
		},
	}
}

// installedJS runs the driver from the folder that npm installed into: nothing but the
// name says where the package is.
func installedJS(dir string) way {
	folder := filepath.Join(dir, "js")
	return way{
		needs:   []string{"node"},
		command: func(_, _ string) []string { return []string{"node", filepath.Join(folder, "driver.mjs")} },
		build: func(ctx context.Context, root, _ string) error {
			text, err := os.ReadFile(driver(root, "driver.mjs"))
			if err != nil {
				return fmt.Errorf("read the driver: %w", err)
			}
			if err := os.WriteFile(filepath.Join(folder, "driver.mjs"), text, 0o644); err != nil {
				return fmt.Errorf("the package is not installed (go run ./internal/packages install js): %w", err)
			}
			return run(ctx, folder, "node", "--print", `
				const is = path.dirname(require.resolve('libvegas')), wanted = path.resolve('node_modules/libvegas');
				if (is !== wanted) throw new Error('libvegas is '+is+', which should be '+wanted+': go run ./internal/packages install js');`)
		},
	}
}

// installedRuby has the driver require the gem of a GEM_HOME and GEM_PATH that have no
// other.
func installedRuby(dir string) way {
	home := filepath.Join(dir, "ruby")
	env := []string{"GEM_HOME=" + home, "GEM_PATH=" + home, "RUBYLIB=", "RUBYOPT="}
	return way{
		needs:       []string{"ruby"},
		command:     func(root, _ string) []string { return []string{"ruby", driver(root, "driver.rb")} },
		environment: func(_, _ string) []string { return env },
		build: func(ctx context.Context, root, _ string) error {
			args := append(slices.Clone(env), "ruby", "-e", `
				Gem.path == [ENV.fetch('GEM_HOME')] && Gem::Specification.find { |s| s.name == 'libvegas' } or
					abort 'the gem is not installed: go run ./internal/packages install ruby'
				require 'vegas'
				there, wanted = [Vegas::Binary::PACKAGED, ENV.fetch('GEM_HOME')].map { |p| File.realpath(p) }
				abort "the engine of vegas is #{there}, which should be in #{wanted}: go run ./internal/packages install ruby" unless there.start_with?("#{wanted}/")`)
			return run(ctx, root, "env", args...)
		},
	}
}

// installedJava compiles the driver against the jar that Maven has installed, and runs it
// with that. The tree's classes have no engine; the jar's is unpacked below tools,
// or where a scenario has hosts look for a place.
func installedJava(dir string) way {
	lib := filepath.Join(dir, "java", "lib")
	jar := filepath.Join(lib, "*")
	return way{
		needs: []string{"java", "javac"},
		environment: func(_, tools string) []string {
			return []string{"XDG_CACHE_HOME=" + filepath.Join(tools, "java-cache")}
		},
		command: func(_, tools string) []string {
			return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
				"-cp", filepath.Join(tools, "java") + ":" + jar, "Driver"}
		},
		build: func(ctx context.Context, root, tools string) error {
			if _, err := os.Stat(lib); err != nil {
				return fmt.Errorf("the package is not installed (go run ./internal/packages install java): %w", err)
			}
			return run(ctx, root, "javac", "-cp", jar, "-d", filepath.Join(tools, "java"), driver(root, "Driver.java"))
		},
	}
}

// installedCSharp builds the driver with the package, by its name, from the folder that
// NuGet has installed into. The tree's assembly has no engine.
func installedCSharp(dir string) way {
	packages := filepath.Join(dir, "csharp", "packages")
	built := func(tools string) string { return filepath.Join(tools, "csharp") + "/" }
	return way{
		needs: []string{"npm", "pip", "unzip"},
		command: func(root, tools string) []string {
			return append(dotnet(root), "exec", filepath.Join(built(tools), "bin", "Driver", "netcoreapp3.1", "Driver.dll"))
		},
		build: func(ctx context.Context, root, tools string) error {
			if _, err := os.Stat(packages); err != nil {
				return fmt.Errorf("the package is not installed (go run ./internal/packages install csharp): %w", err)
			}
			args := append(dotnet(root), "build", "-nologo", "-v", "quiet", "-p:Built="+built(tools),
				"-p:Packages="+packages, driver(root, "csharp"))
			return run(ctx, root, args[0], args[1:]...)
		},
	}
}

// installedC builds the driver with the archive of the unpacked package in it, which has
// the functions behind vegas.h, too, that the driver makes JSON by; the tree gives their
// headers and no more.
func installedC(dir string) way {
	return way{
		needs:   []string{"gcc", "pkg-config"},
		command: func(_, tools string) []string { return []string{filepath.Join(tools, "c-driver")} },
		build: func(ctx context.Context, root, tools string) error {
			return compileInstalled(ctx, dir, filepath.Join(tools, "c-driver"), "vegas-static", "gcc", "-std=c11", "-D_XOPEN_SOURCE=700",
				driver(root, "c/driver.c"), driver(root, "c/consumer.c"), "-idirafter", filepath.Join(root, "bindings", "c", "src"))
		},
	}
}

// installedCPP builds the driver by the header of the unpacked package, to load its
// library.
func installedCPP(dir string) way {
	return way{
		needs:   []string{"g++", "pkg-config"},
		command: func(_, tools string) []string { return []string{filepath.Join(tools, "cpp-driver")} },
		build: func(ctx context.Context, root, tools string) error {
			return compileInstalled(ctx, dir, filepath.Join(tools, "cpp-driver"), "vegas", "g++", "-std=c++17", driver(root, "driver.cpp"))
		},
	}
}

// compileInstalled makes a driver as pkg-config says, which knows of the installed
// package only, and makes sure that neither its headers nor what it loads are others.
func compileInstalled(ctx context.Context, dir, into, library, compiler string, args ...string) error {
	const again = "go run ./internal/packages install c"
	home := filepath.Join(dir, "c")
	if _, err := os.Stat(filepath.Join(home, "include", "vegas.h")); err != nil {
		return fmt.Errorf("the package is not installed (%s): %w", again, err)
	}
	build := `flags=$(PKG_CONFIG_PATH= PKG_CONFIG_LIBDIR="$0/pkgconfig" pkg-config --cflags --libs "$1") && shift && exec "$@" $flags`
	args = append([]string{"-c", build, filepath.Join(home, "lib"), library, compiler, "-O1", "-Wall", "-Wextra", "-Werror",
		"-MD", "-MF", into + ".d", "-Wl,-rpath," + filepath.Join(home, "lib"), "-o", into}, args...)
	if err := run(ctx, filepath.Dir(into), "sh", args...); err != nil {
		return err
	}
	read, err := os.ReadFile(into + ".d")
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(string(read)) {
		if strings.HasPrefix(filepath.Base(word), "vegas") && filepath.Dir(filepath.Clean(word)) != filepath.Join(home, "include") {
			return fmt.Errorf("the driver was compiled with %s, which is not the package's: %s", word, again)
		}
	}
	f, err := elf.Open(into)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	where, err := f.DynString(elf.DT_RUNPATH)
	if err != nil {
		return err
	}
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return err
	}
	loads := slices.ContainsFunc(needed, func(n string) bool { return strings.HasPrefix(n, "libvegas.so.") })
	if loads != (library == "vegas") || !slices.Equal(where, []string{filepath.Join(home, "lib")}) {
		return fmt.Errorf("the driver loads %v from %v, and was linked with %s of %s: %s", needed, where, library, home, again)
	}
	return nil
}
