//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
)

// confine has a host begin as a step says: as the first process of a container, with
// file systems of its own, or without standard input. A shell prepares that, and
// becomes the driver. Where the machine lets nobody have namespaces the host does not
// start, which fails the scenario: it is not passed over.
func (w *world) confine(cmd *exec.Cmd, s step) error {
	var script []string
	a := cmd.SysProcAttr
	if s.flag("first_process") {
		a.Cloneflags |= syscall.CLONE_NEWPID
	}
	if s.text("engine") == "noexec" {
		a.Unshareflags |= syscall.CLONE_NEWNS
		folder := filepath.Join(w.dir, "noexec")
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		script = append(script, "mount -t tmpfs -o noexec vegas "+quoted(folder), "cp "+quoted(w.engine)+" "+quoted(filepath.Join(folder, "vegas-engine")))
	}
	if what := s.text("read_only"); what != "" {
		a.Unshareflags |= syscall.CLONE_NEWNS
		me, err := user.Current()
		if err != nil {
			return err
		}
		home, temp := me.HomeDir, os.TempDir()
		closed := []string{home}
		switch what {
		case "home":
		case "home_and_temp":
			closed = append(closed, temp)
		default:
			return fmt.Errorf("read_only has home and home_and_temp, not %q", what)
		}
		// .NET does not start where it cannot write, unless it is told to leave that.
		cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CACHE_HOME=", "TMPDIR="+temp, "COMPlus_EnableDiagnostics=0")
		for _, folder := range closed {
			script = append(script, "mount --bind "+quoted(folder)+" "+quoted(folder))
		}
		// What the scenario itself writes, such as positions, can be written.
		script = append(script, "mount --bind "+quoted(w.dir)+" "+quoted(w.dir))
		for _, folder := range closed {
			script = append(script, "mount -o remount,bind,ro "+quoted(folder), "! touch "+quoted(filepath.Join(folder, ".vegas"))+" 2>/dev/null")
		}
		script = append(script, "cd "+quoted(w.dir)) // which lies elsewhere now
	}
	if a.Cloneflags|a.Unshareflags != 0 && os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	last := `exec "$@"`
	if s.flag("no_input") {
		last += " <&-"
	}
	if len(script) > 0 || s.flag("no_input") {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", strings.Join(append(script, last), " && "), "sh"}, cmd.Args...)
	}
	return nil
}

// quoted is a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
