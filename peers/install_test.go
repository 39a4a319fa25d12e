//go:build peers && unix

package peers

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/libvegas/vegas/internal/foreign"
)

// What is installed, each once per run, and per machine until its inputs change.
// The value is the folder it is in.
var (
	pythonParts = sync.OnceValues(func() (string, error) {
		return install("python", []string{"py/requirements.txt"}, func(ctx context.Context, dir string) error {
			if err := foreign.Need("python3", "Python 3.10 or later, with its venv module"); err != nil {
				return err
			}
			if err := foreign.Run(ctx, "", "python3", "-m", "venv", dir); err != nil {
				return err
			}
			return foreign.Run(ctx, "", filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-compile",
				"--disable-pip-version-check", "-r", "py/requirements.txt")
		})
	})
	nodeParts = sync.OnceValues(func() (string, error) {
		return install("node", []string{"js/package.json", "js/package-lock.json"}, func(ctx context.Context, dir string) error {
			if err := foreign.Need("node", "Node.js 20 or later"); err != nil {
				return err
			}
			if err := foreign.Need("npm", "npm 9 or later"); err != nil {
				return err
			}
			for _, name := range []string{"package.json", "package-lock.json"} {
				if err := copyFile(filepath.Join(dir, name), filepath.Join("js", name)); err != nil {
					return err
				}
			}
			return foreign.Run(ctx, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		})
	})
	javaParts = sync.OnceValues(func() (string, error) {
		return install("java", []string{"java/pom.xml"}, func(ctx context.Context, dir string) error {
			return foreign.Jars(ctx, "java/pom.xml", dir)
		})
	})
	javaClasses = sync.OnceValues(func() (string, error) {
		jars, err := javaParts()
		if err != nil {
			return "", err
		}
		sources := []string{"java/Scenario.java", "java/Aggregates.java", "java/Kpl.java"}
		return install("classes", append(sources, "java/pom.xml"), func(ctx context.Context, dir string) error {
			return foreign.Classes(ctx, jars, dir, sources...)
		})
	})
	ferrokinesisParts = sync.OnceValues(func() (string, error) {
		return install("ferrokinesis", []string{"rust/Cargo.toml", "rust/Cargo.lock", "rust/src/main.rs"}, func(ctx context.Context, dir string) error {
			if err := foreign.Need("cargo", "Rust 1.87 or later"); err != nil {
				return err
			}
			return foreign.Run(ctx, "", "cargo", "build", "--quiet", "--locked", "--manifest-path", "rust/Cargo.toml", "--target-dir", dir)
		})
	})
)

func install(name string, inputs []string, build func(ctx context.Context, dir string) error) (string, error) {
	p := foreign.Place{Cache: filepath.Join("..", ".cache", "peers")}
	return p.Install(context.Background(), name, inputs, build)
}

// need gives what is installed, or fails the test with what stands in the way.
func need[T any](t *testing.T, parts func() (T, error)) T {
	t.Helper()
	all, err := parts()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// long skips a test of the long form.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("only in the long form: make test-peers")
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
