//go:build peers && unix

package peers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// installTime bounds one command of an installation.
const installTime = 15 * time.Minute

// What is installed, each once per run, and per machine until its inputs change.
// The value is the folder it is in.
var (
	pythonParts = sync.OnceValues(func() (string, error) {
		return install("python", []string{"py/requirements.txt"}, func(ctx context.Context, dir string) error {
			if err := tool("python3", "Python 3.10 or later, with its venv module"); err != nil {
				return err
			}
			if err := command(ctx, "", "python3", "-m", "venv", dir); err != nil {
				return err
			}
			return command(ctx, "", filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-compile",
				"--disable-pip-version-check", "-r", "py/requirements.txt")
		})
	})
	nodeParts = sync.OnceValues(func() (string, error) {
		return install("node", []string{"js/package.json", "js/package-lock.json"}, func(ctx context.Context, dir string) error {
			if err := tool("node", "Node.js 20 or later"); err != nil {
				return err
			}
			if err := tool("npm", "npm 9 or later"); err != nil {
				return err
			}
			for _, name := range []string{"package.json", "package-lock.json"} {
				if err := copyFile(filepath.Join(dir, name), filepath.Join("js", name)); err != nil {
					return err
				}
			}
			return command(ctx, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		})
	})
	javaParts = sync.OnceValues(func() (string, error) {
		return install("java", []string{"java/pom.xml"}, func(ctx context.Context, dir string) error {
			if err := tool("java", "a JDK 17 or later"); err != nil {
				return err
			}
			if err := tool("mvn", "Maven 3.8 or later"); err != nil {
				return err
			}
			return command(ctx, "", "mvn", "-q", "-B", "-f", "java/pom.xml", "dependency:copy-dependencies", "-DoutputDirectory="+dir)
		})
	})
	javaClasses = sync.OnceValues(func() (string, error) {
		jars, err := javaParts()
		if err != nil {
			return "", err
		}
		sources := []string{"java/Scenario.java", "java/Aggregates.java", "java/Kpl.java"}
		return install("classes", append(sources, "java/pom.xml"), func(ctx context.Context, dir string) error {
			if err := tool("javac", "a JDK 17 or later"); err != nil {
				return err
			}
			args := []string{"-proc:none", "-cp", filepath.Join(jars, "*"), "-d", dir} // there are processors among the jars, and they take a minute
			return command(ctx, "", "javac", append(args, sources...)...)
		})
	})
	ferrokinesisParts = sync.OnceValues(func() (string, error) {
		return install("ferrokinesis", []string{"rust/Cargo.toml", "rust/Cargo.lock", "rust/src/main.rs"}, func(ctx context.Context, dir string) error {
			if err := tool("cargo", "Rust 1.87 or later"); err != nil {
				return err
			}
			return command(ctx, "", "cargo", "build", "--quiet", "--locked", "--manifest-path", "rust/Cargo.toml", "--target-dir", dir)
		})
	})
)

// need gives the folder of parts, or fails the test with what stands in the way.
func need(t *testing.T, parts func() (string, error)) string {
	t.Helper()
	dir, err := parts()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// long skips a test of the long form.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("only in the long form: make test-peers")
	}
}

func install(name string, inputs []string, build func(ctx context.Context, dir string) error) (string, error) {
	return installIn(filepath.Join("..", ".cache", "peers"), name, inputs, build)
}

// installIn runs build for an empty folder of its own, unless that was done
// before with the same contents of inputs. Several processes may install at
// once: one does, the others wait.
func installIn(cache, name string, inputs []string, build func(ctx context.Context, dir string) error) (string, error) {
	hash := sha256.New()
	for _, file := range inputs {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("install %s: %w", name, err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(b), b)
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(hash.Sum(nil))[:12])
	done := filepath.Join(dir, ".done")

	lock, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	defer lock.Close() // and with it the lock goes
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("install %s: lock %s: %w", name, lock.Name(), err)
	}
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	older, _ := filepath.Glob(filepath.Join(cache, name+"-*"))
	for _, d := range older {
		if err := os.RemoveAll(d); err != nil {
			return "", fmt.Errorf("install %s: %w", name, err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	if err := build(ctx, dir); err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// tool tells what to install when a program is not there.
func tool(name, what string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not on the PATH: install %s", name, what)
	}
	return nil
}

// command runs one step of an installation. Its error carries the command and
// the end of what it printed: a registry that refuses says so there.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	tail := bytes.Join(lines[max(0, len(lines)-15):], []byte("\n"))
	return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail)
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

func TestInstall(t *testing.T) {
	t.Run("what is there is left alone", func(t *testing.T) {
		cache, builds := t.TempDir(), 0
		build := func(context.Context, string) error { builds++; return nil }
		input := filepath.Join(t.TempDir(), "input")
		for _, content := range []string{"1", "1", "2"} {
			if err := os.WriteFile(input, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := installIn(cache, "self-test", []string{input}, build); err != nil {
				t.Fatal(err)
			}
		}
		if builds != 2 {
			t.Errorf("built %d times for contents 1, 1, 2; want 2", builds)
		}
	})
	t.Run("a failure is not kept and names its command", func(t *testing.T) {
		for range 2 {
			dir, err := installIn(t.TempDir(), "self-fail", nil, func(ctx context.Context, dir string) error {
				return command(ctx, "", "sh", "-c", "echo registry says no >&2; exit 3")
			})
			if err == nil || !strings.Contains(err.Error(), "sh -c") || !strings.Contains(err.Error(), "registry says no") {
				t.Fatalf("install = %q, %v; want an error with the command and its output", dir, err)
			}
		}
	})
	t.Run("a missing toolchain is named", func(t *testing.T) {
		err := tool("no-such-program", "No Such Thing 3")
		if err == nil || !strings.Contains(err.Error(), "no-such-program") || !strings.Contains(err.Error(), "No Such Thing 3") {
			t.Fatalf("tool = %v", err)
		}
	})
}
