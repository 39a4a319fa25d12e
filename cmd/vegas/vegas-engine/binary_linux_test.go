package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Bounds of the binary in the packages of other languages. Those of its start and its
// memory are generous: 60 ms and 40 MiB are promised of a quiet machine.
const (
	mostBytes = 20_000_000
	mostStart = 500 * time.Millisecond
	mostRSS   = 60 << 20
)

// build is what the packages' binary is built by, in a tree of modules.
func build(t *testing.T, tree, binary string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "./cmd/vegas/vegas-engine")
	c.Dir, c.Env = tree, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK="+filepath.Join(tree, "go.work"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", c, err, out)
	}
}

// copyTree copies what Go builds of.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(from), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."), d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir():
			return os.Mkdir(filepath.Join(to, path), 0o777)
		case !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(filepath.Join(from, path))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), b, 0o666)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBinaryIsSmallAndStaticAndTheSameFromAnywhere(t *testing.T) {
	tree, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "elsewhere")
	copyTree(t, tree, copied)
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	build(t, tree, one)
	build(t, copied, other)
	a, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same source in two places makes two binaries")
	}
	if len(a) > mostBytes {
		t.Errorf("it has %d bytes, and may have %d", len(a), mostBytes)
	}
	t.Logf("%d bytes", len(a))
	f, err := elf.NewFile(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Error("it is not static")
		}
	}
	if f.Section(".symtab") != nil {
		t.Error("it is not stripped")
	}
	took, rss := time.Hour, 0
	for range 5 { // the machine may be busy
		d, r := started(t, one)
		took, rss = min(took, d), max(rss, r)
	}
	if took > mostStart || rss > mostRSS {
		t.Errorf("it takes %v to start, then %d KiB: want less than %v and %d KiB", took, rss>>10, mostStart, mostRSS>>10)
	}
	t.Logf("it starts in %v and takes %d KiB", took, rss>>10)
}

// hello is that of a host that speaks version 1.
const hello = "\x29\x00\x00\x00\x01" + "\x08\x01\x00\x00\x00" + "\x08\x00\x00\x00protocol" +
	"\x07\x02\x00\x00\x00" + "\x03\x01\x00\x00\x00\x00\x00\x00\x00" + "\x03\x01\x00\x00\x00\x00\x00\x00\x00"

// started is how long it takes until an engine has said hello, and what it holds then.
func started(t *testing.T, binaryPath string) (took time.Duration, rss int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), binaryPath)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, hello); err != nil {
		t.Fatal(err)
	}
	var size uint32
	if err := binary.Read(out, binary.LittleEndian, &size); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, out, int64(size)); err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &rss); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	return took, rss << 10
}
