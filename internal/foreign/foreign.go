// Package foreign installs other people's programs for the tests and benchmarks that
// want them, each once, and says how they are run.
package foreign

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
	"time"
)

// installTime bounds one installation.
const installTime = 15 * time.Minute

// Place is where programs are installed, and where what they are made from is.
type Place struct{ Cache, Sources string }

// Install runs build for an empty folder of its own in the cache, unless that was
// done before with the same contents of inputs, which are names in the sources.
// Several processes may install at once: one does, the others wait.
func (p Place) Install(ctx context.Context, name string, inputs []string, build func(ctx context.Context, dir string) error) (string, error) {
	dir, err := p.install(ctx, name, inputs, build)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", name, err)
	}
	return dir, nil
}

func (p Place) install(ctx context.Context, name string, inputs []string, build func(ctx context.Context, dir string) error) (string, error) {
	hash := sha256.New()
	for _, file := range inputs {
		b, err := os.ReadFile(filepath.Join(p.Sources, file))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(b), b)
	}
	cache, err := filepath.Abs(p.Cache)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name+"-"+hex.EncodeToString(hash.Sum(nil))[:12])
	done := filepath.Join(dir, ".done")

	file, err := os.OpenFile(filepath.Join(cache, name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // and with it the lock goes
	if err := lock(file); err != nil {
		return "", fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	older, _ := filepath.Glob(filepath.Join(cache, name+"-*"))
	for _, d := range older {
		if err := os.RemoveAll(d); err != nil {
			return "", err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, installTime, fmt.Errorf("not done after %s", installTime))
	defer cancel()
	if err := build(ctx, dir); err != nil {
		return "", err
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// Need tells what to install when a program is not on the PATH.
func Need(program, what string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s is not on the PATH: install %s", program, what)
	}
	return nil
}

// Run runs one step of an installation in a folder, "" for this process's. Its error
// carries the command and the end of what it printed: a registry that refuses says so
// there.
func Run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
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
	return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, tail)
}

// Environment of foreign programs: credentials that open nothing, and nothing of the
// machine's own AWS set-up.
func Environment(extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return append(append(env,
		"AWS_ACCESS_KEY_ID=AKIDPEER", "AWS_SECRET_ACCESS_KEY=peer", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	), extra...)
}
