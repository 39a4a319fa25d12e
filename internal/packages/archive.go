package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive, compressed, as several archives may have it.
type entry struct {
	name   string
	packed []byte
	size   int
	sum    uint32
}

// made is the time of all that is in archives: it has to be some time, and the same one.
var made = time.Date(1980, time.February, 1, 0, 0, 0, 0, time.UTC)

// pack compresses what a file of an archive has.
func pack(name string, b []byte) (entry, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return entry{}, err
	}
	if _, err := w.Write(b); err != nil {
		return entry{}, err
	}
	if err := w.Close(); err != nil {
		return entry{}, err
	}
	return entry{name: name, packed: packed.Bytes(), size: len(b), sum: crc32.ChecksumIEEE(b)}, nil
}

// packFile compresses a file.
func packFile(name, path string) (entry, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return entry{}, err
	}
	return pack(name, b)
}

// packFolder compresses all files below a folder, in order, with their paths there below
// prefix.
func packFolder(prefix, folder string) ([]entry, error) {
	var all []entry
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		e, err := packFile(prefix+filepath.ToSlash(inside), path)
		all = append(all, e)
		return err
	})
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, err
}

// writeZip writes an archive of entries: the same bytes of the same ones.
func writeZip(path string, entries []entry) error {
	var all bytes.Buffer
	w := zip.NewWriter(&all)
	for _, e := range entries {
		h := &zip.FileHeader{
			Name: e.name, Method: zip.Deflate, CRC32: e.sum,
			CompressedSize64: uint64(len(e.packed)), UncompressedSize64: uint64(e.size),
		}
		h.SetMode(0o644)
		h.SetModTime(made) //nolint:staticcheck // CreateRaw takes the time from nowhere else
		into, err := w.CreateRaw(h)
		if err != nil {
			return err
		}
		if _, err := into.Write(e.packed); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, all.Bytes(), 0o644)
}
