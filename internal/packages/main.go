// Command packages builds the packages of all languages from one tree, with the engines
// of all platforms in them, and installs those of this platform by name, from registries
// that are nothing but folders or a loopback port, into empty environments.
//
//	go run ./internal/packages build               # all, into .cache/packages/dist
//	go run ./internal/packages install python js   # those two, into .cache/packages/installed
//
// What this machine lacks is an error, unless -partial leaves it out and says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if dist := os.Getenv(servesNPM); dist != "" {
		if err := serveNPM(ctx, dist, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	t := &tree{}
	flag.StringVar(&t.root, "root", ".", "root of the repository")
	flag.StringVar(&t.out, "out", "", "folder for what is made (default ROOT/.cache/packages)")
	flag.BoolVar(&t.partial, "partial", false, "leave out what this machine cannot build or install, and list it at the end")
	flag.BoolVar(&t.here, "here", false, "only the engine of this platform, and only the languages' own versions of this machine: quick, and not to be published")
	flag.BoolVar(&t.network, "network", false, "install even where the machine does not let the network be cut off")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: packages [FLAGS] build|install [LANGUAGE...]\n\nlanguages: %s\n", strings.Join(names(), " "))
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := t.do(ctx, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// kind is the package of a language, or of two that share one.
type kind struct {
	name, title string
	// needs are the programs that building and installing ask for.
	needs []string
	// build writes the packages into t.dist(name).
	build func(ctx context.Context, t *tree) error
	// install makes t.installed(name) anew: an environment that has nothing but the
	// package, by its name, from a registry of t.dist(name).
	install func(ctx context.Context, t *tree) error
}

// all are the packages in the order of docs/languages.md. Go's is the module itself,
// which internal/release rehearses.
var all = []kind{python, js, java, csharp, ruby, libvegas}

func names() []string {
	ns := make([]string, len(all))
	for i, k := range all {
		ns[i] = k.name
	}
	return ns
}

// tree is where things are.
type tree struct {
	root, out              string
	partial, here, network bool
	left                   []string // out, and why
}

// leaveOut is the error of what cannot be made or tried on this machine. With -partial
// there is none, and it is listed at the end.
func (t *tree) leaveOut(what string, why error) error {
	if !t.partial {
		return fmt.Errorf("%s: %w (-partial leaves it out)", what, why)
	}
	t.left = append(t.left, fmt.Sprintf("%s: %v", what, why))
	return nil
}

// dist is where the packages of a language are written.
func (t *tree) dist(name string) string { return filepath.Join(t.out, "dist", name) }

// installed is the environment that a language's package is installed into.
func (t *tree) installed(name string) string { return filepath.Join(t.out, "installed", name) }

// binding is the folder of a binding's sources.
func (t *tree) binding(name string) string { return filepath.Join(t.root, "bindings", name) }

func (t *tree) do(ctx context.Context, verb string, only []string) error {
	var err error
	if t.root, err = filepath.Abs(t.root); err != nil {
		return err
	}
	if t.out == "" {
		t.out = filepath.Join(t.root, ".cache", "packages")
	}
	if t.out, err = filepath.Abs(t.out); err != nil {
		return err
	}
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there are no packages of %q: there are %s", name, strings.Join(names(), " "))
		}
	}
	if t.here {
		platforms = []platform{{runtime.GOOS, runtime.GOARCH}}
	}
	switch verb {
	case "build":
		if !t.here {
			if err := os.Setenv("GOTOOLCHAIN", goVersion); err != nil {
				return err
			}
		}
		if err := t.engines(ctx); err != nil {
			return err
		}
		if err := t.writeNotices(ctx); err != nil {
			return err
		}
	case "install":
		if _, err := namespace(); err != nil && !t.network {
			return fmt.Errorf("no network of its own to install in (-network installs with this machine's, and dead proxies): %w", err)
		}
	default:
		return fmt.Errorf("there is no %q: build or install", verb)
	}
	var errs []error
	for _, k := range all {
		if len(only) > 0 && !slices.Contains(only, k.name) {
			continue
		}
		if err := t.one(ctx, verb, k); err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", verb, k.title, err))
		}
	}
	if verb == "build" && len(only) == 0 {
		errs = append(errs, t.release())
	}
	for _, what := range t.left {
		fmt.Println("LEFT OUT:", what)
	}
	return errors.Join(errs...)
}

func (t *tree) one(ctx context.Context, verb string, k kind) error {
	into, step := t.dist(k.name), k.build
	if verb == "install" {
		into, step = t.installed(k.name), k.install
	}
	if err := os.RemoveAll(into); err != nil {
		return err
	}
	for _, program := range k.needs {
		if _, err := exec.LookPath(program); err != nil {
			return t.leaveOut(k.title, err)
		}
	}
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	if err := step(ctx, t); err != nil {
		return err
	}
	return list(verb, into)
}

// list says what was made: all of a dist, and of what is installed the folder.
func list(verb, into string) error {
	if verb == "install" {
		fmt.Println("installed", into)
		return nil
	}
	return filepath.WalkDir(into, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Printf("%8.2f MB  %s\n", float64(info.Size())/1e6, path)
		}
		return err
	})
}

// run runs a program and shows what it says if it fails.
func run(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

// output is what a program writes; what it complains of is in the error.
func output(ctx context.Context, dir string, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		var complaint []byte
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			complaint = failed.Stderr
		}
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, complaint)
	}
	return out, nil
}
