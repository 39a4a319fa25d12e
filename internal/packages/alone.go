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
	a := &alone{dir: dir, env: []string{"LANG=C.UTF-8"}}
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
	inside := namespace()
	if inside == nil {
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
// loopback; nil where the machine does not let one.
var namespace = sync.OnceValue(func() []string {
	unshare, err := exec.LookPath("unshare")
	ip, err2 := exec.LookPath("ip")
	if err = errors.Join(err, err2); err == nil {
		inside := []string{unshare, "-rn", "/bin/sh", "-c", `"$0" link set lo up && exec "$@"`, ip}
		if err = exec.Command(inside[0], append(inside[1:len(inside):len(inside)], "/bin/true")...).Run(); err == nil {
			return inside
		}
	}
	fmt.Printf("no network of its own for installing, only proxies that are dead: %v\n", err)
	return nil
})
