package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// alone is where packages are installed: the home is empty, PATH has some programs and
// no others, no variable of the outside is there, and there is no network but loopback.
type alone struct {
	dir string // has home, bin and tmp
	env []string
}

// inEmpty makes one that has these programs, for as long as f runs.
func inEmpty(f func(a *alone) error, programs ...string) (err error) {
	dir, err := os.MkdirTemp("", "vegas-packages-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The machine's own settings of pip and npm are none.
	a := &alone{dir: dir, env: []string{"LANG=C.UTF-8", "PIP_CONFIG_FILE=/dev/null", "npm_config_globalconfig=/dev/null"}}
	for variable, name := range map[string]string{"HOME": "home", "PATH": "bin", "TMPDIR": "tmp"} {
		path := filepath.Join(dir, name)
		a.env = append(a.env, variable+"="+path)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
	}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(dir, "bin", filepath.Base(program))); err != nil {
			return err
		}
	}
	return f(a)
}

// run runs a program in there, which may be one by its path. more are variables.
func (a *alone) run(ctx context.Context, dir string, more []string, program string, args ...string) error {
	env := append(append([]string{}, a.env...), more...)
	if filepath.Base(program) == program {
		program = filepath.Join(a.dir, "bin", program)
	}
	inside, err := namespace()
	if err != nil { // which -network allows
		for _, variable := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
			env = append(env, variable+"=http://127.0.0.1:9") // where nobody listens
		}
		env = append(env, "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost")
		return run(ctx, dir, env, program, args...)
	}
	args = append(append(inside[1:len(inside):len(inside)], program), args...)
	return run(ctx, dir, env, inside[0], args...)
}

// namespace begins a command that has a network of its own, which is nothing but
// loopback; an error where the machine does not let one.
var namespace = sync.OnceValues(func() ([]string, error) {
	unshare, err := exec.LookPath("unshare")
	ip, err2 := exec.LookPath("ip")
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	inside := []string{unshare, "-rn", "/bin/sh", "-c", `"$0" link set lo up && exec "$@"`, ip}
	out, err := exec.Command(inside[0], append(inside[1:len(inside):len(inside)], "/bin/true")...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("unshare: %w: %s", err, out)
	}
	return inside, nil
})
