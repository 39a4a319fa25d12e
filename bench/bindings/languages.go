package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/libvegas/vegas/internal/foreign"
)

// language takes part with a program.
type language struct {
	name, title string
	needs       []string // programs on the PATH
	// inProcess tells that the engine is in the program's process.
	inProcess bool
	// compiles tells that code is compiled while it runs, and becomes faster.
	compiles bool
	// How many records of 100 bytes are tried first, to know how many take a second. Of
	// 1 KiB it is a part, see tasks.
	produce, sdk, lines int
	// sdkTitle is the language's own SDK as the page calls it; "" where there is none.
	sdkTitle string
	// make builds the program.
	make func(ctx context.Context, p *place) (*program, error)

	program *program // made
}

// program is how the arguments of a program begin, and what it wants in its environment.
type program struct{ args, env []string }

// place is where programs are made.
type place struct {
	root  string
	tools string // what is built goes there
	// installed programs of others, each once.
	foreign.Place
}

func (p *place) source(name string) string {
	return filepath.Join(p.root, "bench", "bindings", "programs", name)
}

func (p *place) binding(name ...string) string {
	return filepath.Join(append([]string{p.root, "bindings"}, name...)...)
}

// all languages, in the order of the tables.
var all = []*language{
	{
		name: "go", title: "Go", inProcess: true,
		produce: 600_000, sdk: 60_000, lines: 100_000, sdkTitle: "aws-sdk-go-v2",
		make: func(context.Context, *place) (*program, error) {
			exe, err := os.Executable()
			return &program{args: []string{exe, "client"}}, err
		},
	},
	{
		name: "python", title: "Python", needs: []string{"python3"},
		produce: 150_000, sdk: 20_000, lines: 60_000, sdkTitle: "boto3 1.44.8",
		make: func(ctx context.Context, p *place) (*program, error) {
			dir, err := p.Install(ctx, "python", []string{"requirements.txt"}, func(ctx context.Context, dir string) error {
				return foreign.Run(ctx, "", "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
					"--target", dir, "-r", filepath.Join(p.Sources, "requirements.txt"))
			})
			if err != nil {
				return nil, err
			}
			return &program{
				args: []string{"python3", p.source("bench.py")},
				env:  []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + p.binding("python") + ":" + dir},
			}, nil
		},
	},
	{
		name: "js", title: "JavaScript", needs: []string{"node", "npm"}, compiles: true,
		produce: 200_000, sdk: 40_000, lines: 100_000, sdkTitle: "@aws-sdk/client-kinesis 3.1143.0",
		make: func(ctx context.Context, p *place) (*program, error) {
			dir, err := p.Install(ctx, "js", []string{"package.json"}, func(ctx context.Context, dir string) error {
				b, err := os.ReadFile(filepath.Join(p.Sources, "package.json"))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, "package.json"), b, 0o644); err != nil {
					return err
				}
				return foreign.Run(ctx, dir, "npm", "install", "--silent", "--no-audit", "--no-fund")
			})
			if err != nil {
				return nil, err
			}
			return &program{
				args: []string{"node", p.source("bench.mjs")},
				env:  []string{"BINDING=" + p.binding("js", "index.mjs"), "SDK=" + filepath.Join(dir, "node_modules")},
			}, nil
		},
	},
	{
		name: "java", title: "Java", needs: []string{"java", "javac", "mvn"}, compiles: true,
		produce: 400_000, sdk: 60_000, lines: 100_000, sdkTitle: "AWS SDK for Java 2.41.21",
		make: func(ctx context.Context, p *place) (*program, error) {
			jars, err := p.Install(ctx, "java", []string{"pom.xml"}, func(ctx context.Context, dir string) error {
				return foreign.Jars(ctx, filepath.Join(p.Sources, "pom.xml"), dir)
			})
			if err != nil {
				return nil, err
			}
			sources := []string{p.source("Bench.java")}
			err = filepath.WalkDir(p.binding("java", "src", "main", "java", "io"), func(path string, _ fs.DirEntry, err error) error {
				if err == nil && filepath.Ext(path) == ".java" {
					sources = append(sources, path)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			classes := filepath.Join(p.tools, "java")
			return &program{args: []string{"java", "-cp", foreign.ClassPath(classes, jars), "Bench"}},
				foreign.Classes(ctx, jars, classes, sources...)
		},
	},
	{
		name: "csharp", title: "C#", needs: []string{"npm", "pip", "unzip"}, compiles: true,
		produce: 200_000, lines: 100_000,
		make: func(ctx context.Context, p *place) (*program, error) {
			dotnet := []string{p.binding("dotnet", "sdk.sh"), filepath.Join(p.root, ".cache", "dotnet", "sdk")}
			built := filepath.Join(p.tools, "csharp")
			err := foreign.Run(ctx, p.root, dotnet[0], append(dotnet[1:], "build", "-nologo", "-v", "quiet", "-c", "Release",
				"-p:Built="+built+"/", p.source("csharp"))...)
			return &program{args: append(dotnet, "exec", filepath.Join(built, "bin", "Bench", "netcoreapp3.1", "Bench.dll"))}, err
		},
	},
	{
		name: "c", title: "C", needs: []string{"go", "gcc", "make"}, inProcess: true,
		produce: 600_000, lines: 200_000,
		make: func(ctx context.Context, p *place) (*program, error) {
			return p.compile(ctx, "bench.c", "gcc", "-std=c11", "-D_XOPEN_SOURCE=700")
		},
	},
	{
		name: "cpp", title: "C++", needs: []string{"go", "gcc", "g++", "make"}, inProcess: true,
		produce: 600_000, lines: 200_000,
		make: func(ctx context.Context, p *place) (*program, error) {
			return p.compile(ctx, "bench.cpp", "g++", "-std=c++17", "-I"+p.binding("cpp", "include"))
		},
	},
	{
		name: "ruby", title: "Ruby", needs: []string{"ruby"},
		produce: 100_000, lines: 50_000,
		make: func(_ context.Context, p *place) (*program, error) {
			return &program{args: []string{"ruby", "-I", p.binding("ruby", "lib"), p.source("bench.rb")}}, nil
		},
	},
}

// compile makes a program over the C library, which it makes first, apart from what else
// is made of it meanwhile.
func (p *place) compile(ctx context.Context, source, compiler string, args ...string) (*program, error) {
	library, into := filepath.Join(p.tools, "c"), filepath.Join(p.tools, strings.ReplaceAll(source, ".", "-"))
	if err := foreign.Run(ctx, p.root, "make", "-s", "-C", "bindings/c", "OUT="+library); err != nil {
		return nil, err
	}
	args = append(args, "-O2", "-Wall", "-Wextra", "-Werror", "-I"+p.binding("c", "include"), p.source(source),
		filepath.Join(library, "libvegas.a"), "-pthread", "-o", into)
	return &program{args: []string{into}}, foreign.Run(ctx, p.root, compiler, args...)
}

func find(name string) *language {
	i := slices.IndexFunc(all, func(l *language) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return all[i]
}

func names() string {
	var names []string
	for _, l := range all {
		names = append(names, l.name)
	}
	return strings.Join(names, ", ")
}

// errLeftOut: something is missing on this machine.
var errLeftOut = errors.New("left out")

// ready makes the program. An error that is errLeftOut tells what is missing.
func (l *language) ready(ctx context.Context, p *place) (err error) {
	for _, program := range l.needs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %s is not on the PATH", errLeftOut, program)
		}
	}
	if l.program, err = l.make(ctx, p); err != nil {
		return fmt.Errorf("make the program for %s: %w", l.title, err)
	}
	return nil
}
