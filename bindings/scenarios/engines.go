//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/libvegas/vegas/engine"
)

// playing tells this program what engine it is to be.
const playing = "VEGAS_SCENARIO_ENGINE"

// ownEngine is that of examples/redact, which has an extension of a user's own.
const ownEngine = "redact"

// buildOwn builds it, if a scenario uses it.
func (r *runner) buildOwn(ctx context.Context, cells []*cell) error {
	r.own = filepath.Join(r.tools, "vegas-engine-"+ownEngine)
	for _, c := range cells {
		for _, s := range c.scenario.Steps {
			if s.text("engine") == ownEngine {
				return run(ctx, r.root, "go", "build", "-o", r.own, "./examples/redact")
			}
		}
	}
	return nil
}

// engineFor is an engine that a step names, and what it needs in its environment: the
// real one, that of examples/redact, or one that is none; no path: the package's own.
func (w *world) engineFor(kind string) (path string, env []string, err error) {
	switch kind {
	case "where_needed": // for Java's package, which cannot unpack its own where nobody can write
		if w.installed && w.language.name != "java" {
			return "", nil, nil
		}
		return w.engine, nil, nil
	case ownEngine:
		return w.vars[ownEngine], nil, nil
	case "missing":
		return filepath.Join(w.dir, "nowhere", "vegas-engine"), nil, nil
	case "foreign": // gives back what it gets
		return "/bin/cat", nil, nil
	case "talkative":
		path = filepath.Join(w.dir, "talkative")
		text := "#!/bin/sh\necho 'usage: talkative [OPTION]... FILE'\necho 'Not what was looked for.'\ncat >/dev/null\n"
		return path, nil, os.WriteFile(path, []byte(text), 0o755)
	case "other_machine":
		b, err := w.head()
		if err != nil {
			return "", nil, err
		}
		other := uint16(183) // arm64
		if binary.LittleEndian.Uint16(b[18:]) == other {
			other = 62 // amd64
		}
		binary.LittleEndian.PutUint16(b[18:], other)
		path = filepath.Join(w.dir, "other-machine")
		return path, nil, os.WriteFile(path, b, 0o755)
	case "not_executable":
		b, err := w.head()
		if err != nil {
			return "", nil, err
		}
		path = filepath.Join(w.dir, "not-executable")
		return path, nil, os.WriteFile(path, b, 0o644)
	case "noexec": // the real one; the host makes the folder, which nobody else sees
		return filepath.Join(w.dir, "noexec", "vegas-engine"), nil, nil
	case "other_version", "silent", "garbled":
		// By this name it is found among processes.
		path = filepath.Join(w.dir, "vegas-engine-"+kind)
		self, err := os.Executable()
		if err == nil {
			err = os.Symlink(self, path)
		}
		return path, []string{playing + "=" + kind}, err
	}
	return "", nil, fmt.Errorf("there is no engine %q", kind)
}

// head is the beginning of the real engine.
func (w *world) head() ([]byte, error) {
	f, err := os.Open(w.engine)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, 1<<16)
	_, err = io.ReadFull(f, b)
	return b, err
}

// play is an engine that is none, by what playing says.
func play(kind string, in io.Reader, out io.Writer) error {
	switch kind {
	case "other_version":
		return refuse(in, out)
	case "silent": // takes what comes, says nothing, and does not end with its input
		_, _ = io.Copy(io.Discard, in)
		time.Sleep(2 * time.Minute)
		return nil
	case "garbled":
		return engine.Serve(context.Background(), in, &garbling{out: out})
	}
	return fmt.Errorf("there is no engine %q to play", kind)
}

// refuse speaks a later version of the protocol than any host.
func refuse(in io.Reader, out io.Writer) error {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, in, int64(binary.LittleEndian.Uint32(size[:]))); err != nil {
		return err
	}
	text := func(b []byte, s string) []byte {
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	object := func(b []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(append(b, 8), n) }
	const fail, tagText = 5, 5
	b := text(object([]byte{fail}, 1), "error")
	b = object(b, 3)
	for _, pair := range [][2]string{
		{"code", "version"},
		{"text", "the program speaks versions 1 to 1 of the bridge protocol, this engine (vegas 9.9.9) version 9"},
		{"remedy", "install packages and engine of one release"},
	} {
		b = text(append(text(b, pair[0]), tagText), pair[1])
	}
	_, err := out.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// garbling lets the first frame through, an engine's hello, and makes nonsense of the
// others.
type garbling struct {
	out  io.Writer
	head []byte
	left int // of the first frame
}

func (g *garbling) Write(b []byte) (int, error) {
	clear, rest := 0, b
	for len(g.head) < 4 && len(rest) > 0 {
		g.head, rest, clear = append(g.head, rest[0]), rest[1:], clear+1
		if len(g.head) == 4 {
			g.left = int(binary.LittleEndian.Uint32(g.head))
		}
	}
	n := min(g.left, len(rest))
	g.left -= n
	garbled := append([]byte{}, b...)
	for i := clear + n; i < len(b); i++ {
		garbled[i] = 0xee
	}
	return g.out.Write(garbled)
}
