//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// playing tells this program that it is to be an engine of another version.
const playing = "VEGAS_SCENARIO_ENGINE"

// wrongEngine is an engine that cannot be one, and what it needs in its environment.
func (w *world) wrongEngine(kind string) (path string, env []string, err error) {
	switch kind {
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
	case "other_version":
		path, err = os.Executable()
		return path, []string{playing + "=version"}, err
	}
	return "", nil, fmt.Errorf("there is no wrong engine %q", kind)
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

// play speaks a later version of the protocol than any host.
func play(in io.Reader, out io.Writer) error {
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
