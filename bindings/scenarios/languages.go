//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// language is one that scenarios are told in, by its driver.
type language struct {
	name, title string
	driver      string // in the folder of drivers
	way
	// installed is the way with the package that is installed in a folder, by
	// internal/packages; nil for Go, whose package is the module.
	installed func(dir string) way
}

// way is how a driver is run: with the tree's sources, or with an installed package.
type way struct {
	needs []string // programs that have to be there
	// command runs the driver, of the repository root and what build made in tools.
	command func(root, tools string) []string
	// environment are variables of the driver's.
	environment func(root, tools string) []string
	// build makes the driver, where one has to be made.
	build func(ctx context.Context, root, tools string) error
}

// all are the languages in the order of the table.
var all = []*language{
	{
		name: "go", title: "Go", driver: "go/main.go",
		way: way{
			needs:   []string{"go"},
			command: func(_, tools string) []string { return []string{filepath.Join(tools, "go-driver")} },
			build: func(ctx context.Context, root, tools string) error {
				return run(ctx, root, "go", "build", "-o", filepath.Join(tools, "go-driver"), "./bindings/scenarios/drivers/go")
			},
		},
	},
	{
		name: "python", title: "Python", driver: "driver.py",
		way: way{
			needs:   []string{"python3"},
			command: func(root, _ string) []string { return []string{"python3", driver(root, "driver.py")} },
			environment: func(root, _ string) []string {
				return []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + filepath.Join(root, "bindings", "python")}
			},
		},
		installed: installedPython,
	},
	{
		name: "js", title: "JavaScript", driver: "driver.mjs",
		installed: installedJS,
		way: way{
			needs:   []string{"node"},
			command: func(root, _ string) []string { return []string{"node", driver(root, "driver.mjs")} },
			environment: func(root, _ string) []string {
				return []string{"VEGAS_BINDING=" + filepath.Join(root, "bindings", "js", "index.mjs")}
			},
		},
	},
	{
		name: "java", title: "Java", driver: "Driver.java",
		installed: installedJava,
		way: way{
			needs: []string{"java", "javac"},
			command: func(_, tools string) []string {
				return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", filepath.Join(tools, "java"), "Driver"}
			},
			build: func(ctx context.Context, root, tools string) error {
				sources, err := javaSources(filepath.Join(root, "bindings", "java", "src", "main", "java", "io"))
				if err != nil {
					return err
				}
				args := append([]string{"-d", filepath.Join(tools, "java"), driver(root, "Driver.java")}, sources...)
				return run(ctx, root, "javac", args...)
			},
		},
	},
	{
		// An SDK is installed for it where there was none yet.
		name: "csharp", title: "C#", driver: "csharp/Driver.cs",
		installed: installedCSharp,
		way: way{
			needs: []string{"npm", "pip", "unzip"},
			command: func(root, tools string) []string {
				return append(dotnet(root), "exec", filepath.Join(tools, "csharp", "bin", "Driver", "netcoreapp3.1", "Driver.dll"))
			},
			build: func(ctx context.Context, root, tools string) error {
				args := append(dotnet(root), "build", "-nologo", "-v", "quiet", "-p:Built="+filepath.Join(tools, "csharp")+"/", driver(root, "csharp"))
				return run(ctx, root, args[0], args[1:]...)
			},
		},
	},
	{
		name: "ruby", title: "Ruby", driver: "driver.rb",
		way: way{
			needs: []string{"ruby"},
			command: func(root, _ string) []string {
				return []string{"ruby", "-I", filepath.Join(root, "bindings", "ruby", "lib"), driver(root, "driver.rb")}
			},
		},
		installed: installedRuby,
	},
	{
		name: "c", title: "C", driver: "c/driver.c",
		installed: installedC,
		way: way{
			needs:   []string{"go", "gcc", "make"},
			command: func(_, tools string) []string { return []string{filepath.Join(tools, "c-driver")} },
			build: func(ctx context.Context, root, tools string) error {
				return compile(ctx, root, filepath.Join(tools, "c-driver"), "gcc", "-std=c11", "-D_XOPEN_SOURCE=700", "-Ibindings/c/src",
					driver(root, "c/driver.c"), driver(root, "c/consumer.c"))
			},
		},
	},
	{
		name: "cpp", title: "C++", driver: "driver.cpp",
		installed: installedCPP,
		way: way{
			needs:   []string{"go", "gcc", "g++", "make"},
			command: func(_, tools string) []string { return []string{filepath.Join(tools, "cpp-driver")} },
			build: func(ctx context.Context, root, tools string) error {
				return compile(ctx, root, filepath.Join(tools, "cpp-driver"), "g++", "-std=c++17", "-Ibindings/cpp/include", driver(root, "driver.cpp"))
			},
		},
	},
}

func init() {
	for _, l := range all {
		if l.environment == nil {
			l.environment = func(string, string) []string { return nil }
		}
	}
}

// useInstalled has drivers use the packages that are installed in folders of dir, which
// bring their engines along.
func useInstalled(dir string) {
	for _, l := range all {
		switch {
		case l.name == "go":
		case l.installed == nil:
			l.way = way{build: func(context.Context, string, string) error { return errors.New("there is no package to install") }}
		default:
			l.way = l.installed(dir)
		}
		if l.environment == nil {
			l.environment = func(string, string) []string { return nil }
		}
	}
}

func driver(root, name string) string {
	return filepath.Join(root, "bindings", "scenarios", "drivers", name)
}

// javaSources are the files of a folder that a compiler takes.
func javaSources(folder string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".java" {
			all = append(all, path)
		}
		return err
	})
	return all, err
}

// compile makes a driver over the C library, which it makes first.
func compile(ctx context.Context, root, into, compiler string, args ...string) error {
	library := filepath.Join(root, ".cache", "c")
	if err := run(ctx, root, "make", "-s", "-C", "bindings/c", "OUT="+library, "SHARED=no"); err != nil {
		return err
	}
	args = append(args, "-O1", "-Wall", "-Wextra", "-Werror", "-Ibindings/c/include", filepath.Join(library, "libvegas.a"), "-pthread", "-o", into)
	return run(ctx, root, compiler, args...)
}

// dotnet begins a command of the .NET SDK.
func dotnet(root string) []string {
	return []string{filepath.Join(root, "bindings", "dotnet", "sdk.sh"), filepath.Join(root, ".cache", "dotnet", "sdk")}
}

// ready makes the driver, or tells what is missing on this machine.
func (l *language) ready(ctx context.Context, root, tools string) (missing, err error) {
	for _, program := range l.needs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not on the PATH", program), nil
		}
	}
	if _, err := os.Stat(driver(root, l.driver)); err != nil {
		return nil, err
	}
	if l.build == nil {
		return nil, nil
	}
	if err := l.build(ctx, root, tools); err != nil {
		return nil, fmt.Errorf("build the driver for %s: %w", l.title, err)
	}
	return nil, nil
}

func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("%s %v: %w", program, args, err), errors.New(string(out)))
	}
	return nil
}
