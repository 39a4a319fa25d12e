package file

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/libvegas/vegas/internal/filesys"
)

// help is where a person reads on.
const help = " (see docs/troubleshooting.md#store-file)"

// head is what every file starts with, and all that is read of one whose
// version is not known.
type head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// check tells whether path is what it should be.
func (h head) check(path, format string) error {
	switch {
	case h.Format != format:
		return fmt.Errorf("%s is not a file of a vegas store (its format is %.40q, not %q): name another directory, or move the file away"+help, path, h.Format, format)
	case h.Version > version:
		return fmt.Errorf("%s was written by a newer vegas (version %d of the file, this program reads up to %d): update this program, or name another directory"+help, path, h.Version, version)
	case h.Version < 1:
		return fmt.Errorf("%s has version %d, which never existed: move the file away"+help, path, h.Version)
	}
	return nil
}

// prepare makes dir a store if it is empty or missing, and refuses it if it is
// something else: rows among somebody's files would be a mess to take apart.
func prepare(ctx context.Context, disk disk, dir string) error {
	if dir == "" {
		return errors.New("file store: no directory was named")
	}
	switch v, err := marked(dir); {
	case err != nil:
		return err
	case v == version:
		return nil
	case v > 0:
		return upgrade(ctx, disk, dir)
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("file store: make the directory: %w: name one that this program may write to"+help, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("file store: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, marker) { // else of somebody who is making the marker
			// Somebody may have made it meanwhile, and rows too.
			if v, err := marked(dir); v > 0 || err != nil {
				return err
			}
			return fmt.Errorf("file store: directory %s holds other files (%s) and no %s: name an empty directory or one that does not exist"+help, dir, name, marker)
		}
	}
	return mark(disk, dir)
}

// mark makes the marker. Whoever is last replaces it by an equal one.
func mark(disk disk, dir string) error {
	text, err := json.Marshal(head{storeFormat, version})
	if err != nil {
		return err
	}
	return replace(disk, filepath.Join(dir, marker), marker+"."+rand.Text(), append(text, '\n'))
}

// marked is the version of the store in a directory; 0: there is none.
func marked(dir string) (int, error) {
	path := filepath.Join(dir, marker)
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("file store: %w: name a directory that this program may write to"+help, err)
	}
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return 0, fmt.Errorf("%s is not a file of a vegas store (%w): name another directory, or move the file away"+help, path, err)
	}
	return h.Version, h.check(path, storeFormat)
}

func readFile(path string) ([]byte, error) {
	f, err := filesys.OS{}.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
}

// makeDir makes a directory and those above it, and puts their names on disk:
// that of one which was there too, for its maker may have died before.
func makeDir(dir string) error {
	above := filepath.Dir(dir)
	if _, err := os.Stat(dir); err == nil {
		if err := (filesys.OS{}).SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	}
	if above != dir {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return filesys.OS{}.SyncDir(above)
}

// Names start so that none is reserved anywhere (con, nul, a leading dot), and
// long ones cannot be taken for short ones.
const (
	plain = "r-"
	long  = "l-"
)

// escape is name as a file name: of lower-case letters, digits, - and _, for
// file systems that fold case or refuse characters; everything else is =XX per
// byte. What grows too long ends in a hash of the whole.
func escape(name string) string {
	text := escapeText(name)
	if len(text) <= 200 {
		return plain + text
	}
	sum := sha256.Sum256([]byte(name))
	return long + text[:120] + "-" + hex.EncodeToString(sum[:])
}

func escapeText(name string) string {
	b := make([]byte, 0, len(name)+16)
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '=', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return string(b)
}
