package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/filesys"
)

const (
	marker       = "vegas-buffer.json"
	bufferFormat = "vegas buffer"
	lockName     = "lock"
	tempSuffix   = ".tmp"

	// lockPatience is how long opening waits for a lock: that of a process which
	// is about to end, or of somebody who looks whether it is held.
	lockPatience = time.Second
	lockEvery    = 20 * time.Millisecond
)

// marking is what the marker says.
type marking struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Label   string `json:"label"`
}

// prepare makes the directory a buffer if it is empty or missing, refuses it if
// it is something else, and takes it.
func (l *Log) prepare(ctx context.Context) error {
	if l.dir == "" {
		return errors.New("durable buffer: no directory was named")
	}
	if err := makeDir(l.disk, filepath.Clean(l.dir)); err != nil {
		return fmt.Errorf("durable buffer %s: make the directory: %w: name one that this program may write to (see docs/troubleshooting.md#buffer-directory)", l.dir, err)
	}
	if _, err := readMarker(l.disk, l.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := refuseForeign(l.disk, l.dir); err != nil {
		return err
	}
	lock, err := l.takeLock(ctx)
	if err != nil {
		return err
	}
	if err := l.mark(); err != nil {
		_ = lock.Close()
		return err
	}
	l.lock = lock
	return nil
}

// makeDir makes a directory and those above it, and makes their names durable:
// that of one which was there too, for its maker may have died before.
func makeDir(disk filesys.FS, dir string) error {
	above := filepath.Dir(dir)
	if info, err := disk.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		if err := disk.SyncDir(above); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if above != dir {
		if err := makeDir(disk, above); err != nil {
			return err
		}
	}
	if err := disk.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return disk.SyncDir(above)
}

// readMarker tells what a directory is; fs.ErrNotExist if it has no marker.
func readMarker(disk filesys.FS, dir string) (*marking, error) {
	path := filepath.Join(dir, marker)
	f, err := disk.Open(path, os.O_RDONLY, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("durable buffer: %w: name a directory that this program may read and write (see docs/troubleshooting.md#buffer-directory)", err)
		}
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("durable buffer: read %s: %w", path, err)
	}
	m := &marking{}
	switch err := json.Unmarshal(data, m); {
	case err != nil:
		return nil, fmt.Errorf("durable buffer: %s is damaged, or not of a vegas buffer (%w): write it anew, or name another directory (see docs/troubleshooting.md#buffer-corrupt)", path, err)
	case m.Format != bufferFormat:
		return nil, fmt.Errorf("durable buffer: %s says %.40q, not %q: name another directory (see docs/troubleshooting.md#buffer-foreign)", path, m.Format, bufferFormat)
	case m.Version > version:
		return nil, fmt.Errorf("durable buffer: %s was written by a newer vegas (version %d of its files, this program reads up to %d): update this program, or name another directory (see docs/troubleshooting.md#buffer-version)", dir, m.Version, version)
	case m.Version < 1:
		return nil, fmt.Errorf("durable buffer: %s has version %d, which never existed: write it anew, or name another directory (see docs/troubleshooting.md#buffer-corrupt)", path, m.Version)
	}
	return m, nil
}

// refuseForeign refuses a directory without a marker that holds files: records
// among somebody's files would be a mess to take apart.
func refuseForeign(disk filesys.FS, dir string) error {
	names, err := disk.List(dir)
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w: name a directory that this program may read and write (see docs/troubleshooting.md#buffer-directory)", dir, err)
	}
	foreign := ""
	for _, name := range names {
		switch {
		case name == marker:
			return nil
		case name == lockName || strings.HasPrefix(name, marker) || name == "lost+found": // of a volume's own file system
		default:
			foreign = name
		}
	}
	if foreign != "" {
		return fmt.Errorf("durable buffer: directory %s holds other files (%s) and no %s: name an empty directory or one that does not exist (see docs/troubleshooting.md#buffer-foreign)", dir, foreign, marker)
	}
	return nil
}

// takeLock takes the directory for this process.
func (l *Log) takeLock(ctx context.Context) (io.Closer, error) {
	path := filepath.Join(l.dir, lockName)
	for waited := time.Duration(0); ; waited += lockEvery {
		lock, err := l.disk.Lock(path)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, filesys.ErrLocked) {
			return nil, fmt.Errorf("durable buffer %s: %w: name a directory that this program may write to (see docs/troubleshooting.md#buffer-directory)", l.dir, err)
		}
		if waited >= lockPatience {
			return nil, fmt.Errorf("durable buffer %s: another process has it, or another producer of this one: end that first, or name another directory, each producer needs its own (see docs/troubleshooting.md#buffer-locked): %w", l.dir, err)
		}
		timer := time.NewTimer(lockEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// mark makes the marker, or checks it.
func (l *Log) mark() error {
	m, err := readMarker(l.disk, l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l.makeMarker()
	}
	if err != nil {
		return err
	}
	if m.Label != l.o.Label && l.o.Label != "" && m.Label != "" {
		return fmt.Errorf("durable buffer %s: it holds records for %q, not for %q: name another directory, each stream needs its own (see docs/troubleshooting.md#buffer-label)", l.dir, m.Label, l.o.Label)
	}
	return nil
}

func (l *Log) makeMarker() error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(marking{bufferFormat, version, l.o.Label}); err != nil {
		return err
	}
	f, err := l.newFile(filepath.Join(l.dir, marker), text.Bytes())
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w: name a directory that this program may write to (see docs/troubleshooting.md#buffer-directory)", l.dir, err)
	}
	return f.Close()
}

// noBuffer is of a directory that is no buffer.
func noBuffer(dir string) error {
	return fmt.Errorf("durable buffer %s: there is none, it has no %s: name the directory of a durable producer (see docs/troubleshooting.md#buffer-foreign)", dir, marker)
}

// Label is what the directory's records are for: the stream's name.
func Label(dir string) (string, error) {
	m, err := readMarker(filesys.OS{}, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", noBuffer(dir)
	}
	if err != nil {
		return "", err
	}
	return m.Label, nil
}
