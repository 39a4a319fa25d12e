//go:build linux

package usage

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
	"time"
)

// What a child of a contender costs is the contender's.
func TestReadingOfTree(t *testing.T) {
	const burn = `count() { i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; }
exec 3<&0
(count; echo child; read x <&3) & count; echo parent; wait`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", burn)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	lines.Scan()
	lines.Scan()
	tree := Tree(cmd.Process.Pid)
	if len(tree) < 2 {
		t.Fatalf("processes %v: want the shell and its child", tree)
	}
	var sum, parent time.Duration
	for i, pid := range tree {
		cpu, err := CPU(pid)
		if err != nil {
			t.Fatal(err)
		}
		if cpu <= 0 {
			t.Errorf("process %d of %v used no CPU", pid, tree)
		}
		if sum += cpu; i == 0 {
			parent = cpu
		}
	}
	reading, err := Of(cmd.Process.Pid, os.Getpid())
	if err != nil || reading.Client < sum || reading.Client <= parent || reading.Server <= 0 {
		t.Errorf("%+v, %v; want %s at least for both", reading, err, sum)
	}
	if peak, err := Peak(cmd.Process.Pid); err != nil || peak < 1<<18 {
		t.Errorf("%d bytes resident, %v", peak, err)
	}
	if _, err := Of(1<<22+1, os.Getpid()); err == nil {
		t.Error("a process that is not there: no error")
	}
}
