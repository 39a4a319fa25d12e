package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// group is a kind of instructions.
type group int

const (
	own    group = iota // vegas' packages
	bulk                // what grows with the bytes: hashes, checksums, base64, searches
	others              // all other packages, and the runtime's maps
	groups
	none // not counted
)

// instructions are those of a process, or of a record, by group.
type instructions [groups]float64

// groupOf is the group of a function.
func groupOf(function string) group {
	p := packageOf(function)
	switch {
	case p == "" && strings.HasSuffix(function, "body"): // Go's assembler names searches so
		return bulk
	case strings.HasPrefix(p, "crypto/"), strings.HasPrefix(p, "hash/"), p == "encoding/base64", p == "encoding/hex", p == "github.com/emmansun/base64":
		return bulk
	case p == "internal/runtime/maps", strings.HasPrefix(function, "runtime.map"), strings.HasPrefix(function, "runtime.memhash"):
		return others
	case p == "", p == "main", p == module+"/bench/gate", p == "runtime", strings.HasPrefix(p, "runtime/"), strings.HasPrefix(p, "internal/runtime/"):
		return none
	case p == module, strings.HasPrefix(p, module+"/"):
		return own
	}
	return others
}

const module = "github.com/libvegas/vegas"

// packageOf is the package of a function as the linker names it: up to the first
// dot behind the last slash.
func packageOf(function string) string {
	if at := strings.IndexAny(function, "[("); at >= 0 { // type arguments, receivers
		function = function[:at]
	}
	slash := strings.LastIndexByte(function, '/') + 1
	dot := strings.IndexByte(function[slash:], '.')
	if dot < 0 {
		return ""
	}
	return function[:slash+dot]
}

// parse reads what cachegrind wrote.
func parse(b []byte) (instructions, error) {
	var sum instructions
	var function string
	known := false
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "fn="); ok {
			function = name
			continue
		}
		if line == "events: Ir" {
			known = true
		}
		number, count, ok := strings.Cut(line, " ")
		if _, err := strconv.ParseUint(number, 10, 64); err != nil || !ok {
			continue
		}
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return sum, fmt.Errorf("cachegrind's output: %q", line)
		}
		if g := groupOf(function); g != none {
			sum[g] += float64(n)
		}
	}
	if !known {
		return sum, errors.New("cachegrind's output does not tell that it counts instructions")
	}
	return sum, lines.Err()
}

// counter runs processes.
type counter struct {
	exe      string
	dir      string
	valgrind string // "": allocations only
}

func newCounter(ctx context.Context, dir string) (*counter, error) {
	c := &counter{exe: filepath.Join(dir, "load"), dir: dir}
	c.valgrind, _ = exec.LookPath("valgrind")
	// Symbols for debuggers are of no use, and not every valgrind can read them.
	build := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-w", "-o", c.exe, module+"/bench/gate")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the loads: %w: %s", err, out)
	}
	return c, nil
}

// process is what a process with n records of a load is told.
type process struct {
	Load    string
	Records int
	Answers string // the file of them
}

// processVariable is the environment variable that holds it.
const processVariable = "VEGAS_GATE_LOAD"

// allocated is what a process tells when its work is done.
type allocated struct{ Bytes, Objects float64 }

// run runs a process, under the command and arguments given.
func (c *counter) run(ctx context.Context, p process, under ...string) (a allocated, err error) {
	what, err := json.Marshal(p)
	if err != nil {
		return a, err
	}
	args := append(under, c.exe, "-test.run=^TestLoad$", "-test.count=1")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), processVariable+"="+string(what), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=cpu.all=off,asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return a, fmt.Errorf("%s with %d records: %w: %s", p.Load, p.Records, err, out)
	}
	line, _, _ := bytes.Cut(out, []byte{'\n'})
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("%s with %d records told %q: %w", p.Load, p.Records, out, err)
	}
	return a, nil
}

// instructions counts those of a process.
func (c *counter) instructions(ctx context.Context, p process) (sum instructions, err error) {
	out := p.Answers + ".cachegrind"
	if _, err := c.run(ctx, p, c.valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file="+out, "--log-file=/dev/null"); err != nil {
		return sum, err
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return sum, err
	}
	return parse(b)
}

// least is the least that a process allocates: what was seen in five processes,
// and no less in any.
func (c *counter) least(ctx context.Context, p process) (least allocated, err error) {
	const near = 1.003
	least = allocated{math.Inf(1), math.Inf(1)}
	for seen, round := 0, 0; seen < 5 && round < 40; round++ {
		a, err := c.run(ctx, p)
		if err != nil {
			return least, err
		}
		switch {
		case a.Bytes*near < least.Bytes, a.Objects*near < least.Objects:
			seen = 1
		case a.Bytes < least.Bytes*near && a.Objects < least.Objects*near:
			seen++
		}
		least = allocated{min(least.Bytes, a.Bytes), min(least.Objects, a.Objects)}
	}
	return least, nil
}

// count is what a record of the load costs.
func (c *counter) count(ctx context.Context, l *load) (k cost, err error) {
	r, err := newRecorder()
	if err != nil {
		return k, err
	}
	defer func() { _ = r.server.Close() }()
	stored := 0
	n := float64(l.many - l.few)
	for _, end := range []struct {
		records int
		sign    float64
	}{{l.few, -1 / n}, {l.many, 1 / n}} {
		if err := l.send(ctx, r.config(), stored, end.records-stored, func() {}); err != nil {
			return k, err
		}
		stored = end.records
		p := process{l.name, stored, filepath.Join(c.dir, strings.ReplaceAll(l.name, "/", "-")+strconv.Itoa(stored))}
		if err := r.record(ctx, l, p.Answers); err != nil {
			return k, fmt.Errorf("%s: record %d answers: %w", l.name, stored, err)
		}
		if c.valgrind != "" {
			sum, err := c.instructions(ctx, p)
			if err != nil {
				return k, err
			}
			for g := range sum {
				k[g] += sum[g] * end.sign
			}
		}
		least, err := c.least(ctx, p)
		if err != nil {
			return k, err
		}
		k[allocs] += least.Bytes * end.sign
		k[objects] += least.Objects * end.sign
	}
	return k, nil
}
