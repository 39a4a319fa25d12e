package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// ruby are the gems of all platforms. There is none of the platform "ruby", which would
// be installed where no other fits, and have no engine.
var ruby = kind{
	name: "ruby", title: "Ruby", needs: []string{"ruby", "gem"},
	build: buildRuby, install: installRuby,
}

// gemPlatforms are RubyGems' words for platforms. One of Linux without a libc serves
// musl as well as glibc.
var gemPlatforms = map[platform]string{
	{"linux", "amd64"}:   "x86_64-linux",
	{"linux", "arm64"}:   "aarch64-linux",
	{"darwin", "amd64"}:  "x86_64-darwin",
	{"darwin", "arm64"}:  "arm64-darwin",
	{"windows", "amd64"}: "x64-mingw-ucrt",
}

// asksGem are machines that gem may be on, and the gems that are for them.
var asksGem = []struct{ machine, gem string }{
	{"x86_64-linux", "x86_64-linux"},
	{"x86_64-linux-musl", "x86_64-linux"}, // Alpine
	{"aarch64-linux", "aarch64-linux"},
	{"aarch64-linux-musl", "aarch64-linux"},
	{"x86_64-darwin22", "x86_64-darwin"},
	{"arm64-darwin24", "arm64-darwin"},
	{"x64-mingw-ucrt", "x64-mingw-ucrt"},
}

func buildRuby(ctx context.Context, t *tree) (err error) {
	stage, err := os.MkdirTemp("", "vegas-gem-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	for _, p := range platforms {
		name := gemPlatforms[p]
		folder := filepath.Join(stage, name)
		if err := t.stageGem(p, folder); err != nil {
			return err
		}
		// The time of its files, which would be now: that of wheels, and of newer RubyGems.
		env := append(os.Environ(), "SOURCE_DATE_EPOCH=315619200", "VEGAS_GEM_PLATFORM="+name)
		if err := run(ctx, folder, env, "gem", "build", "--strict", "--output", filepath.Join(t.dist("ruby"), "libvegas-"+name+".gem"), "libvegas.gemspec"); err != nil {
			return err
		}
	}
	// Named as gem names them, by the version that is in them.
	return run(ctx, t.dist("ruby"), os.Environ(), "ruby", "-rrubygems/package", "-e",
		"Dir['*.gem'].each { |f| File.rename(f, Gem::Package.new(f).spec.file_name) }")
}

// stageGem puts what a gem has into a folder, with the same modes wherever it is built.
func (t *tree) stageGem(p platform, folder string) error {
	put := func(from, name string, mode fs.FileMode) error {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return errors.Join(os.WriteFile(to, data, mode), os.Chmod(to, mode))
	}
	from := t.binding("ruby")
	files, err := fs.Glob(os.DirFS(from), "lib/vegas/*.rb")
	if err != nil {
		return err
	}
	for _, name := range append(files, "lib/vegas.rb", "README.md", "libvegas.gemspec") {
		if err := put(filepath.Join(from, name), name, 0o644); err != nil {
			return err
		}
	}
	return errors.Join(
		put(filepath.Join(t.root, "LICENSE"), "LICENSE", 0o644),
		put(t.notices(), noticesFile, 0o644),
		put(t.engine(p), filepath.Join("lib", "vegas", "native", p.binary()), 0o755),
	)
}

// installRuby has gem, and then Bundler, install libvegas into a GEM_HOME of its own, from
// a source on loopback.
func installRuby(ctx context.Context, t *tree) error {
	own, err := exec.CommandContext(ctx, "ruby", "-e", "print RbConfig.ruby").Output()
	if err != nil {
		return fmt.Errorf("ask ruby where it is: %w", err)
	}
	gem, err := exec.LookPath("gem")
	if err != nil {
		return err
	}
	program := string(own)
	return inEmpty(func(a *alone) error {
		home := t.installed("ruby")
		env := []string{"GEM_HOME=" + home, "GEM_PATH=" + home}
		// fromSource is a command of Ruby that asks the registry, which has to be inside.
		fromSource := func(dir string, env []string, args ...string) error {
			return a.run(ctx, dir, env, program, append([]string{"-e", registryRuby, t.dist("ruby")}, args...)...)
		}
		if err := fromSource(a.dir, env, gem, "install", "--no-document", "--norc", "--clear-sources", "--source", "SOURCE", "libvegas"); err != nil {
			return err
		}
		if err := a.run(ctx, a.dir, env, program, gem, "check", "--norc", "libvegas"); err != nil {
			return err
		}
		if err := a.run(ctx, a.dir, env, program, "-w", "-e", checkRuby); err != nil {
			return err
		}
		bundled := filepath.Join(a.dir, "bundled")
		if err := os.Mkdir(bundled, 0o755); err != nil {
			return err
		}
		if err := fromSource(bundled, []string{"GEM_HOME=" + bundled, "GEM_PATH=" + bundled}, "-e", bundleRuby, "SOURCE", checkRuby); err != nil {
			return err
		}
		for _, ask := range asksGem {
			if t.here {
				break // there is one gem to choose
			}
			got := filepath.Join(a.dir, ask.machine)
			if err := os.Mkdir(got, 0o755); err != nil {
				return err
			}
			if err := fromSource(got, env, gem, "fetch", "--norc", "--clear-sources", "--source", "SOURCE", "--platform", ask.machine, "libvegas"); err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(got, "libvegas-*-"+ask.gem+".gem"))
			if err != nil || len(files) != 1 {
				return errors.Join(fmt.Errorf("gem on %s did not choose the gem of %s", ask.machine, ask.gem), err)
			}
		}
		return nil
	})
}

// registryRuby runs a command of Ruby beside a source of a folder's gems.
//
//go:embed registry.rb
var registryRuby string

// bundleRuby installs the gem by Bundler, and runs a program with it.
//
//go:embed bundle.rb
var bundleRuby string

// checkRuby uses the installed gem by its name, and makes sure that it does so with the
// engine that lies in it.
//
//go:embed check.rb
var checkRuby string
