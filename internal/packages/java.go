package main

import (
	"context"
	"crypto/md5"  //nolint:gosec // Maven repositories have it
	"crypto/sha1" //nolint:gosec // Maven repositories have it
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// java is io.libvegas:vegas, in the layout of a Maven repository. The jar has the engines
// of all platforms, so that one line in a pom serves a developer's Mac as well as the
// servers. Where 33 MB are too many, as in a function of a cloud, jars with one engine
// have its platform as their classifier.
var java = kind{
	name: "java", title: "Java",
	needs:   []string{jdk("java"), jdk("javac"), jdk("javadoc"), "mvn"},
	build:   buildJava,
	install: installJava,
}

// jdk is a program of the JDK: that of JAVA_HOME, or the one in PATH.
func jdk(program string) string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", program)
	}
	return program
}

// javaPlatform is what Java's own names make of a platform.
func javaPlatform(p platform) string {
	arch := p.arch
	if arch == "amd64" {
		arch = "x64"
	}
	return p.os + "-" + arch
}

// pom is what names the package.
type pom struct {
	Group    string `xml:"groupId"`
	Artifact string `xml:"artifactId"`
	Version  string `xml:"version"`
}

func readPom(t *tree) (pom, error) {
	var p pom
	b, err := os.ReadFile(filepath.Join(t.binding("java"), "pom.xml"))
	if err != nil {
		return p, err
	}
	return p, xml.Unmarshal(b, &p)
}

// folder is the one of a version in a repository.
func (p pom) folder() string {
	return filepath.Join(filepath.FromSlash(strings.ReplaceAll(p.Group, ".", "/")), p.Artifact, p.Version)
}

func buildJava(ctx context.Context, t *tree) error {
	p, err := readPom(t)
	if err != nil {
		return err
	}
	work := filepath.Join(t.out, "java")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	classes, docs := filepath.Join(work, "classes"), filepath.Join(work, "docs")
	main := filepath.Join(t.binding("java"), "src", "main", "java")
	sources, err := filesOf(main, ".java")
	if err != nil {
		return err
	}
	args := append([]string{"--release", "17", "-encoding", "UTF-8", "-g", "-Xlint:all", "-Werror", "--module-version", p.Version, "-d", classes}, sources...)
	if err := run(ctx, t.root, os.Environ(), jdk("javac"), args...); err != nil {
		return err
	}
	args = append([]string{"--release", "17", "-encoding", "UTF-8", "-quiet", "-notimestamp", "-Xdoclint:all,-missing", "-Werror", "-d", docs}, sources...)
	if err := run(ctx, t.root, os.Environ(), jdk("javadoc"), args...); err != nil {
		return err
	}
	into := filepath.Join(t.dist("java"), p.folder())
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	if err := jars(t, p, into, classes, main, docs); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(t.binding("java"), "pom.xml"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(into, p.Artifact+"-"+p.Version+".pom"), b, 0o644); err != nil {
		return err
	}
	return sums(into)
}

// jars writes that with all engines, one for each platform, and those of sources and
// documentation.
func jars(t *tree, p pom, into, classes, sources, docs string) error {
	head, err := jarHead(t, p)
	if err != nil {
		return err
	}
	compiled, err := packFolder("", classes)
	if err != nil {
		return err
	}
	notices, err := packFile("META-INF/"+noticesFile, t.notices())
	if err != nil {
		return err
	}
	code := append(append(slices.Clip(head), notices), compiled...)
	whole := slices.Clip(code)
	name := func(classifier string) string {
		return filepath.Join(into, p.Artifact+"-"+p.Version+classifier+".jar")
	}
	for _, one := range platforms {
		engine, err := packEngine(t, one)
		if err != nil {
			return err
		}
		if err := writeZip(name("-"+javaPlatform(one)), append(slices.Clip(code), engine...)); err != nil {
			return err
		}
		whole = append(whole, engine...)
	}
	if err := writeZip(name(""), whole); err != nil {
		return err
	}
	for classifier, folder := range map[string]string{"-sources": sources, "-javadoc": docs} {
		files, err := packFolder("", folder)
		if err != nil {
			return err
		}
		if err := writeZip(name(classifier), append(slices.Clip(head), files...)); err != nil {
			return err
		}
	}
	return nil
}

// jarHead is what all jars begin with.
func jarHead(t *tree, p pom) ([]entry, error) {
	manifest, err := pack("META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\r\n"+
		"Implementation-Title: "+p.Group+":"+p.Artifact+"\r\nImplementation-Version: "+p.Version+"\r\n\r\n"))
	if err != nil {
		return nil, err
	}
	license, err := packFile("META-INF/LICENSE", filepath.Join(t.root, "LICENSE"))
	return []entry{manifest, license}, err
}

// packEngine compresses an engine, and the sum that tells whether a copy is right.
func packEngine(t *tree, p platform) ([]entry, error) {
	b, err := os.ReadFile(t.engine(p))
	if err != nil {
		return nil, err
	}
	name := "META-INF/native/" + javaPlatform(p) + "/" + p.binary()
	binary, err := pack(name, b)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	named, err := pack(name+".sha256", []byte(hex.EncodeToString(sum[:])+"  "+p.binary()+"\n"))
	return []entry{binary, named}, err
}

// sums writes beside each file of a folder those that repositories ask for.
func sums(folder string) error {
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(folder, f.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for kind, h := range map[string]hash.Hash{"md5": md5.New(), "sha1": sha1.New(), "sha256": sha256.New()} { //nolint:gosec // Maven repositories have them
			h.Write(b)
			if err := os.WriteFile(path+"."+kind, []byte(hex.EncodeToString(h.Sum(nil))), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// filesOf are those below a folder that have an extension.
func filesOf(folder, extension string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == extension {
			all = append(all, path)
		}
		return err
	})
	return all, err
}

// installJava has Maven build a program, of modules, that depends on the package by its
// name: Central is the folder of what Maven's own plugins are, which are downloaded
// before, once, and the network is none. What the program runs with is then in lib: the
// jar of all engines; it also runs with that of this platform.
func installJava(ctx context.Context, t *tree) error {
	consumer := filepath.Join(t.root, "internal", "packages", "consumers", "java")
	plugins := filepath.Join(t.out, "maven")
	if err := warmMaven(ctx, consumer, plugins); err != nil {
		return err
	}
	into := t.installed("java")
	if err := os.CopyFS(into, os.DirFS(consumer)); err != nil {
		return err
	}
	libs := map[string]string{"lib": ""} // and their classifiers
	if i := slices.IndexFunc(platforms, isHere); i >= 0 {
		libs["lib-"+javaPlatform(platforms[i])] = javaPlatform(platforms[i])
	}
	programs := []string{jdk("java"), jdk("javac"), "mvn", "sh", "dirname", "basename", "uname", "expr", "sed", "readlink", "ls"}
	return inEmpty(func(a *alone) error {
		settings := filepath.Join(into, "settings.xml")
		if err := os.WriteFile(settings, []byte(mavenSettings(t.dist("java"), plugins)), 0o644); err != nil {
			return err
		}
		home, err := javaHome(ctx)
		if err != nil {
			return err
		}
		user := "-Duser.home=" + filepath.Join(a.dir, "home")
		env := []string{"JAVA_HOME=" + home, "MAVEN_OPTS=" + user}
		for lib, classifier := range libs {
			err := a.run(ctx, into, env, "mvn", "-q", "-B", "-s", settings, "-gs", settings, "compile", "dependency:copy-dependencies", "-DoutputDirectory="+lib, "-Dclassifier="+classifier)
			if err != nil {
				return err
			}
			err = a.run(ctx, into, nil, "java", user, "--module-path", lib+":target/classes",
				"--module", "consumer/consumer.Check", filepath.Join(into, lib), filepath.Join(a.dir, "home", ".cache", "vegas"))
			if err != nil {
				return err
			}
		}
		return nil
	}, programs...)
}
