package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// libvegas is one archive for each platform whose C compiler is on this machine: header
// files, the library to load and to link, and how pkg-config and CMake find it. There is
// no registry for C, so to install is to unpack.
var libvegas = kind{
	name: "c", title: "C and C++", needs: []string{"make", "gcc"},
	build: buildC, install: installC,
}

// cPlatforms are those with a library, by the compiler of each: its engine runs in the
// program's own process, so a binary of Go's alone does not do. The machine's own
// platform has gcc.
var cPlatforms = []struct {
	platform
	compiler string
}{
	{platform{"linux", "amd64"}, "x86_64-linux-gnu-gcc"},
	{platform{"linux", "arm64"}, "aarch64-linux-gnu-gcc"},
	{platform{"windows", "amd64"}, "x86_64-w64-mingw32-gcc"},
}

func cName(version string, p platform) string { return "libvegas-" + version + "-" + p.String() }

// valgrindHeaders are what valgrind is told by what the engine has written. They are for
// the machine's own compiler; others get a copy of them, and of nothing else there.
const valgrindHeaders = "/usr/include/valgrind"

func buildC(ctx context.Context, t *tree) error {
	version, err := t.cVersion()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(valgrindHeaders, "memcheck.h")); err != nil {
		return fmt.Errorf("valgrind's headers are compiled in: install valgrind: %w", err)
	}
	for _, p := range cPlatforms {
		if p.os == runtime.GOOS && p.arch == runtime.GOARCH {
			p.compiler = "gcc"
		}
		if !slices.Contains(platforms, p.platform) {
			continue
		}
		if _, err := exec.LookPath(p.compiler); err != nil {
			if err := t.leaveOut(cName(version, p.platform), err); err != nil {
				return err
			}
			continue
		}
		if err := t.buildLibvegas(ctx, version, p.platform, p.compiler); err != nil {
			return fmt.Errorf("%s: %w", p.platform, err)
		}
	}
	return nil
}

func (t *tree) cVersion() (string, error) {
	header, err := os.ReadFile(filepath.Join(t.binding("c"), "include", "vegas.h"))
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`VEGAS_VERSION_TEXT "(.*)"`).FindSubmatch(header)
	if found == nil {
		return "", errors.New("vegas.h has no VEGAS_VERSION_TEXT")
	}
	return string(found[1]), nil
}

func (t *tree) buildLibvegas(ctx context.Context, version string, p platform, compiler string) error {
	folder := filepath.Join(t.out, "c", p.String())
	stage := filepath.Join(folder, "stage")
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	flags := "CFLAGS=-O2 -g -ffile-prefix-map=" + t.root + "=."
	if p.os == "linux" {
		headers := filepath.Join(folder, "include")
		if err := os.RemoveAll(headers); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(headers, "valgrind"), os.DirFS(valgrindHeaders)); err != nil {
			return err
		}
		flags += " -idirafter " + headers + " -ffile-prefix-map=" + headers + "=/usr/include"
	}
	release, err := t.engineVersion(ctx)
	if err != nil {
		return err
	}
	env := append(t.goEnv(p), "GOFLAGS=-buildvcs=false", "CGO_CFLAGS=-O2 -g", "CGO_CPPFLAGS=", "CGO_CXXFLAGS=", "CGO_LDFLAGS=")
	err = run(ctx, t.root, env, "make", "-s", "-C", t.binding("c"), "install", "PREFIX=", "DESTDIR="+stage, "OUT="+folder, "CC="+compiler,
		"RELEASE="+release, flags)
	if err != nil {
		return err
	}
	if p.os == "linux" {
		if err := tellGlibc(stage); err != nil {
			return err
		}
	}
	if err := t.libraryNotices(ctx, p, env, stage); err != nil {
		return err
	}
	into := filepath.Join(t.dist("c"), cName(version, p))
	if p.os == "windows" {
		files, err := packFolder(cName(version, p)+"/", stage)
		if err != nil {
			return err
		}
		return writeZip(into+".zip", files)
	}
	return writeTarball(into+".tar.gz", stage, cName(version, p))
}

// mingw is where Debian has the licences of mingw-w64.
const mingw = "/usr/share/doc/mingw-w64-x86-64-dev"

// libraryNotices writes the notices of a platform's library beside its page: it has
// extensions that the other languages' engine has not. A DLL has the C runtime inside.
func (t *tree) libraryNotices(ctx context.Context, p platform, env []string, stage string) error {
	l := linked{}
	env = append(env, "CGO_ENABLED=1")
	if err := l.of(ctx, t.root, env, "-tags=netgo,osusergo", "./cmd/vegas/libvegas"); err != nil {
		return err
	}
	library := filepath.Join(stage, "lib", "libvegas.so")
	if p.os == "windows" {
		found, err := filepath.Glob(filepath.Join(stage, "bin", "*.dll"))
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("want one library to load: there are %q", found)
		}
		library = found[0]
		l.add("mingw-w64, its C runtime and winpthreads", mingw, mingw)
	}
	if err := l.complete(library); err != nil {
		return err
	}
	return l.write(filepath.Join(stage, "share", "doc", "vegas", noticesFile))
}

// glibcMost is the version of glibc that docs/c.md says the library needs.
var glibcMost = [2]int{2, 34}

// tellGlibc adds to the page that comes along which glibc the library needs at least.
func tellGlibc(stage string) error {
	library, err := elf.Open(filepath.Join(stage, "lib", "libvegas.so"))
	if err != nil {
		return err
	}
	defer func() { _ = library.Close() }()
	symbols, err := library.ImportedSymbols()
	if err != nil {
		return err
	}
	versions := make([]string, len(symbols))
	for i, s := range symbols {
		versions[i] = s.Version
	}
	needs := glibcOf(versions)
	if slices.Compare(needs[:], glibcMost[:]) > 0 {
		return fmt.Errorf("libvegas.so needs glibc %d.%d: docs/c.md says %d.%d: build it on an older system", needs[0], needs[1], glibcMost[0], glibcMost[1])
	}
	page, err := os.OpenFile(filepath.Join(stage, "share", "doc", "vegas", "README.md"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(page, "\n`libvegas.so` of this build needs glibc %d.%d or later.\n", needs[0], needs[1])
	return errors.Join(err, page.Close())
}

// glibcOf is the highest of the versions of symbols.
func glibcOf(versions []string) [2]int {
	var most [2]int
	for _, version := range versions {
		var v [2]int
		if n, _ := fmt.Sscanf(version, "GLIBC_%d.%d", &v[0], &v[1]); n == 2 && slices.Compare(v[:], most[:]) > 0 {
			most = v
		}
	}
	return most
}

// writeTarball packs all of a folder, in the order of names, below a folder of that name:
// links stay links, and the same files make the same bytes.
func writeTarball(file, folder, below string) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(out)
	into := tar.NewWriter(zipped)
	err = filepath.WalkDir(folder, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, err := filepath.Rel(folder, at)
		if err != nil {
			return err
		}
		return tarFile(into, path.Join(below, filepath.ToSlash(inside)), at, d)
	})
	return errors.Join(err, into.Close(), zipped.Close(), out.Close())
}

func tarFile(into *tar.Writer, name, at string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	// As the files are, whatever the umask was.
	h := &tar.Header{Name: name, ModTime: made, Mode: 0o644, Format: tar.FormatUSTAR}
	if info.Mode().Perm()&0o111 != 0 {
		h.Mode = 0o755
	}
	if d.Type() == fs.ModeSymlink {
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		if h.Linkname, err = os.Readlink(at); err != nil {
			return err
		}
		return into.WriteHeader(h)
	}
	h.Size = info.Size()
	content, err := os.Open(at)
	if err != nil {
		return err
	}
	if err = into.WriteHeader(h); err == nil {
		_, err = io.Copy(into, content)
	}
	return errors.Join(err, content.Close())
}

// installC unpacks the archive of this platform and builds the samples that it has by
// it, where there is nothing else: by pkg-config with every compiler of the machine, and
// by CMake; and runs those that need no account.
func installC(ctx context.Context, t *tree) error {
	version, err := t.cVersion()
	if err != nil {
		return err
	}
	packed := filepath.Join(t.dist("c"), cName(version, platform{runtime.GOOS, runtime.GOARCH})+".tar.gz")
	if _, err := os.Stat(packed); err != nil {
		return fmt.Errorf("build it first: %w", err)
	}
	at := t.installed("c")
	return inEmpty(func(a *alone) error {
		if err := a.run(ctx, at, nil, "tar", "xzf", packed, "-C", at, "--strip-components=1"); err != nil {
			return err
		}
		if err := noticesIn(filepath.Join(at, "share", "doc", "vegas")); err != nil {
			return err
		}
		for _, compiler := range [][2]string{{"gcc", "g++"}, {"clang", "clang++"}} {
			if _, err := os.Stat(filepath.Join(a.dir, "bin", compiler[1])); err != nil {
				if err := t.leaveOut("samples with "+compiler[0], err); err != nil {
					return err
				}
				continue
			}
			for _, library := range []string{"vegas", "vegas-static"} {
				err := errors.Join(a.sample(ctx, at, library, compiler[0], "-std=c11", "local.c"), a.sample(ctx, at, library, compiler[1], "-std=c++17", "local.cpp"))
				if err != nil {
					return err
				}
			}
		}
		return a.samplesByCMake(ctx, at)
	}, cTools()...)
}

// cTools are what compiles and links on a machine.
func cTools() []string {
	all := []string{"tar", "gzip", "sh", "make", "cmake", "pkg-config", "gcc", "g++", "as", "ld", "ar", "ranlib", "nm"}
	for _, more := range []string{"clang", "clang++"} {
		if _, err := exec.LookPath(more); err == nil {
			all = append(all, more)
		}
	}
	return all
}

// sample builds one by pkg-config, and runs it.
func (a *alone) sample(ctx context.Context, at, library, compiler, standard, source string) error {
	into := filepath.Join(a.dir, "tmp", strings.Join([]string{library, compiler, source, "sample"}, "-"))
	build := `set -e
flags=$(pkg-config --cflags --libs "$2")
exec "$0" "$1" -Wall -Wextra -Werror "$4" $flags -Wl,-rpath,"$3" -o "$5"`
	lib := filepath.Join(at, "lib")
	err := a.run(ctx, a.dir, []string{"PKG_CONFIG_LIBDIR=" + filepath.Join(lib, "pkgconfig")}, "sh", "-c", build,
		compiler, standard, library, lib, filepath.Join(at, "share", "doc", "vegas", "examples", source), into)
	if err != nil {
		return err
	}
	return a.runSample(ctx, into, library == "vegas", lib)
}

// runSample runs a program that has to load the library from a folder, or not at all.
func (a *alone) runSample(ctx context.Context, program string, loads bool, lib string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	needed, err := f.DynString(elf.DT_NEEDED)
	if err != nil {
		return err
	}
	where, err := f.DynString(elf.DT_RUNPATH)
	if err != nil {
		return err
	}
	found := strings.Contains(strings.Join(needed, " "), "libvegas")
	if found != loads {
		return fmt.Errorf("%s loads %v: want libvegas among them: %t", program, needed, loads)
	}
	if loads && strings.Join(where, "") != lib {
		return fmt.Errorf("%s looks for libraries in %v: want %s only", program, where, lib)
	}
	return a.run(ctx, a.dir, nil, program)
}

func (a *alone) samplesByCMake(ctx context.Context, at string) error {
	into := filepath.Join(a.dir, "tmp", "cmake")
	err := a.run(ctx, a.dir, nil, "cmake", "-S", filepath.Join(at, "share", "doc", "vegas", "examples"), "-B", into,
		"-DCMAKE_PREFIX_PATH="+at, "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF")
	if err != nil {
		return err
	}
	if err := a.run(ctx, a.dir, nil, "cmake", "--build", into); err != nil {
		return err
	}
	for _, language := range []string{"c", "cpp"} {
		for _, library := range []string{"vegas", "static"} {
			program := filepath.Join(into, "local-"+language+"-"+library)
			if err := a.runSample(ctx, program, library == "vegas", filepath.Join(at, "lib")); err != nil {
				return err
			}
		}
	}
	return nil
}
