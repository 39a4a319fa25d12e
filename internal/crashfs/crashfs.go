// Package crashfs is a file system in memory that forgets at a power failure
// what was not synced. It stands in for a disk in tests of what must survive.
//
// It assumes less than file systems in use promise:
//
//   - What was written, and the size it led to, is durable after a Sync of the
//     file that returned nil. Until then each write and each truncation on its
//     own is kept, or not, or kept in part: torn at any byte, or with any of its
//     sectors of 512 bytes missing. Later ones may survive earlier ones.
//   - A file may have grown without what was written into it: there are zeros
//     then, or somebody's old bytes.
//   - Bytes that are durable do not change when others beside them are written,
//     also in the same sector.
//   - A name that was made, changed or removed is durable after a SyncDir of its
//     directory that returned nil. Until then each such change on its own is
//     kept or not, in any combination; a rename happens as a whole or not at
//     all. A Sync of the file does nothing for its name, a SyncDir nothing for
//     the files' content.
//   - A Sync that failed has written some of it, and what it has not written is
//     never written any more: it is still read, and the next Sync succeeds.
//     This is what Linux does.
//   - The end of a process loses nothing, and makes nothing durable.
//
// What is durable stays, and is read as it was written: a disk that lies about
// a sync, or rots, is not in here.
package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libvegas/vegas/internal/filesys"
)

// ErrStopped is what everything ends with once the machine has stopped.
var ErrStopped = errors.New("the machine has stopped")

// FS is a file system. It is safe for concurrent use.
type FS struct {
	mu     sync.Mutex
	dirs   map[string]*dir // by path
	locked map[string]bool
	random *rand.Rand // what a failed Sync has written
	hook   func(Op) error

	steps   int
	stopAt  int // 0: never
	how     How
	stopped bool
	last    Op

	room   int64 // negative: endless
	lazily bool
}

var _ filesys.FS = (*FS)(nil)

// Op is a call that may be made to fail.
type Op struct {
	Kind Kind
	// Name is the file's or directory's. A file that is renamed while it is open
	// keeps the name it was opened under.
	Name string
	// To is the new name of a Rename.
	To string
}

func (o Op) String() string {
	if o.Kind == Rename {
		return fmt.Sprintf("rename %s to %s", filepath.Base(o.Name), filepath.Base(o.To))
	}
	return fmt.Sprintf("%s %s", o.Kind, filepath.Base(o.Name))
}

// Kind is what a call does.
type Kind string

// The kinds. All but Read are steps.
const (
	Read     Kind = "read"
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Rename   Kind = "rename"
	Remove   Kind = "remove"
	Mkdir    Kind = "mkdir"
	SyncDir  Kind = "sync of the directory"
)

// How far the step gets at which the machine stops. Its caller gets an error in
// any case.
type How int

// The ways to stop. Only a Write can be half done.
const (
	Before How = iota
	Half
	After
)

func (h How) String() string { return [...]string{"not done", "half done", "done"}[h] }

// New returns an empty file system that has the directory root.
func New(root string) *FS {
	f := &FS{dirs: map[string]*dir{}, locked: map[string]bool{}, random: rand.New(rand.NewPCG(1, 2)), room: -1}
	f.dirs[filepath.Clean(root)] = newDir()
	return f
}

// Steps are the calls so far that changed something, or made something durable.
func (f *FS) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// StopAt lets the machine stop at a step, counted from 1.
func (f *FS) StopAt(step int, how How) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopAt, f.how = step, how
}

// Stop stops the machine now: for the program that runs on it everything fails.
func (f *FS) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
}

// Stopped tells whether the machine has stopped, and its last step.
func (f *FS) Stopped() (Op, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, f.stopped
}

// On has hook called before every call; an error of it is the call's, which then
// does nothing. A Sync that fails loses what it has not written. The hook must
// not call the file system.
func (f *FS) On(hook func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// Room limits what all files together may hold; negative: nothing limits it. A
// write beyond is done in part and fails with ENOSPC. Lazily: only the Sync
// fails, as if it had to find the blocks.
func (f *FS) Room(bytes int64, lazily bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room, f.lazily = bytes, lazily
}

// Kill returns the file system as the next process finds it when this one has
// died. The machine is the same: it goes on counting steps, and what On, Room
// and StopAt set still holds. Kill can be called often, and leaves this one as it is.
func (f *FS) Kill() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	to := f.copied(
		func(i *inode) *inode {
			return &inode{data: slices.Clone(i.data), saved: slices.Clone(i.saved), pending: slices.Clone(i.pending)}
		},
		func(d *dir) (names, saved map[string]*inode, pending []change) {
			return d.names, d.saved, d.pending
		},
	)
	to.hook, to.room, to.lazily = f.hook, f.room, f.lazily
	to.steps, to.stopAt, to.how = f.steps, f.stopAt, f.how
	return to
}

// Crash returns what may be found when the power comes back. It can be called
// often, and leaves this one as it is.
func (f *FS) Crash(random *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	contents, names := temperOf(random), temperOf(random)
	return f.copied(
		func(i *inode) *inode {
			found := i.crash(random, contents)
			return &inode{data: found, saved: slices.Clone(found)}
		},
		func(d *dir) (_, _ map[string]*inode, pending []change) {
			found := d.crash(random, names)
			return found, found, nil
		},
	)
}

// temper is how much a crash keeps, so that the extremes are met often.
type temper float64

func temperOf(random *rand.Rand) temper {
	switch random.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return temper(0.1 + 0.8*random.Float64())
}

func (t temper) keeps(random *rand.Rand) bool { return random.Float64() < float64(t) }

// copied is another file system with what the functions make of contents and
// names of this one. It runs, has no locks and no limits.
func (f *FS) copied(content func(*inode) *inode, listing func(*dir) (names, saved map[string]*inode, pending []change)) *FS {
	to := New(".")
	clear(to.dirs)
	made := map[*inode]*inode{}
	move := func(i *inode) *inode {
		if i == nil {
			return nil
		}
		if made[i] == nil {
			made[i] = content(i)
			made[i].isDir = i.isDir
		}
		return made[i]
	}
	moveAll := func(names map[string]*inode) map[string]*inode {
		all := map[string]*inode{}
		for _, name := range slices.Sorted(maps.Keys(names)) { // in this order chance is drawn
			all[name] = move(names[name])
		}
		return all
	}
	for _, path := range slices.Sorted(maps.Keys(f.dirs)) {
		names, saved, pending := listing(f.dirs[path])
		d := &dir{names: moveAll(names), saved: moveAll(saved)}
		for _, c := range pending {
			c.inode = move(c.inode)
			d.pending = append(d.pending, c)
		}
		to.dirs[path] = d
	}
	// A directory whose name is gone is gone with all that was in it.
	for _, path := range slices.Sorted(maps.Keys(to.dirs)) {
		if above := to.dirs[filepath.Dir(path)]; above != nil && filepath.Dir(path) != path && above.names[filepath.Base(path)] == nil {
			below := path + string(filepath.Separator)
			maps.DeleteFunc(to.dirs, func(p string, _ *dir) bool { return p == path || strings.HasPrefix(p, below) })
		}
	}
	return to
}

// Image is what programs see in a directory: the content of its files.
func (f *FS) Image(dir string) map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	image := map[string][]byte{}
	if d := f.dirs[filepath.Clean(dir)]; d != nil {
		for name, i := range d.names {
			if !i.isDir {
				image[name] = bytes.Clone(i.data)
			}
		}
	}
	return image
}

// Of returns a file system with one directory that holds these files durably.
func Of(dir string, image map[string][]byte) *FS {
	f := New(dir)
	d := f.dirs[filepath.Clean(dir)]
	for name, data := range image {
		i := &inode{data: bytes.Clone(data), saved: bytes.Clone(data)}
		d.names[name], d.saved[name] = i, i
	}
	return f
}

// step comes before every call that changes something; do does it, and half, if
// not nil, the first half of it. f.mu is held.
func (f *FS) step(op Op, half func(), do func() error) error {
	if f.stopped {
		return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: ErrStopped}
	}
	f.steps++
	f.last = op
	if f.steps == f.stopAt {
		f.stopped = true
		switch {
		case f.how == Half && half != nil:
			half()
		case f.how == After:
			_ = do()
		}
		return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: ErrStopped}
	}
	if f.hook != nil {
		if err := f.hook(op); err != nil {
			return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
		}
	}
	if err := do(); err != nil {
		return &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
	}
	return nil
}

// look comes before every call that changes nothing.
func (f *FS) look(name string) error {
	if f.stopped {
		return &fs.PathError{Op: "read", Path: name, Err: ErrStopped}
	}
	if f.hook != nil {
		if err := f.hook(Op{Kind: Read, Name: name}); err != nil {
			return &fs.PathError{Op: "read", Path: name, Err: err}
		}
	}
	return nil
}

// Open opens a file.
func (f *FS) Open(name string, flag int, _ fs.FileMode) (filesys.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(name); err != nil {
		return nil, err
	}
	d := f.dirs[filepath.Dir(name)]
	if d == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	base := filepath.Base(name)
	writable := flag&(os.O_WRONLY|os.O_RDWR) != 0
	i := d.names[base]
	switch {
	case i == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case i != nil && flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case i != nil && i.isDir:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case i == nil:
		err := f.step(Op{Kind: Create, Name: name}, nil, func() error {
			i = &inode{}
			d.change(change{name: base, inode: i})
			return nil
		})
		if err != nil {
			return nil, err
		}
	case flag&os.O_TRUNC != 0 && len(i.data) > 0:
		err := f.step(Op{Kind: Truncate, Name: name}, nil, func() error {
			i.edit(edit{})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return &handle{fs: f, inode: i, name: name, writable: writable}, nil
}

// Rename replaces what has the new name. Both are in one directory.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.step(Op{Kind: Rename, Name: from, To: to}, nil, func() error {
		d := f.dirs[filepath.Dir(from)]
		if d == nil || d.names[filepath.Base(from)] == nil {
			return fs.ErrNotExist
		}
		if filepath.Dir(from) != filepath.Dir(to) {
			return syscall.EXDEV
		}
		if filepath.Base(from) != filepath.Base(to) {
			d.change(change{name: filepath.Base(to), inode: d.names[filepath.Base(from)], from: filepath.Base(from)})
		}
		return nil
	})
}

// Remove removes a file.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.step(Op{Kind: Remove, Name: name}, nil, func() error {
		d := f.dirs[filepath.Dir(name)]
		if d == nil || d.names[filepath.Base(name)] == nil {
			return fs.ErrNotExist
		}
		if d.names[filepath.Base(name)].isDir {
			return syscall.EISDIR
		}
		d.change(change{name: filepath.Base(name)})
		return nil
	})
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, _ fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	d := f.dirs[filepath.Dir(name)]
	switch {
	case f.dirs[name] != nil || d != nil && d.names[filepath.Base(name)] != nil:
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	case d == nil:
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrNotExist}
	}
	return f.step(Op{Kind: Mkdir, Name: name}, nil, func() error {
		d.change(change{name: filepath.Base(name), inode: &inode{isDir: true}})
		f.dirs[name] = newDir()
		return nil
	})
}

// List returns the names in a directory, sorted.
func (f *FS) List(name string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(name); err != nil {
		return nil, err
	}
	d := f.dirs[filepath.Clean(name)]
	if d == nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Sorted(maps.Keys(d.names)), nil
}

// Stat describes a file or a directory.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(name); err != nil {
		return nil, err
	}
	name = filepath.Clean(name)
	if f.dirs[name] != nil {
		return info{name: filepath.Base(name), dir: true}, nil
	}
	if d := f.dirs[filepath.Dir(name)]; d != nil && d.names[filepath.Base(name)] != nil {
		return info{name: filepath.Base(name), size: int64(len(d.names[filepath.Base(name)].data))}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.step(Op{Kind: SyncDir, Name: name}, nil, func() error {
		d := f.dirs[filepath.Clean(name)]
		if d == nil {
			return fs.ErrNotExist
		}
		d.saved, d.pending = maps.Clone(d.names), nil
		return nil
	})
}

// Lock takes a file.
func (f *FS) Lock(name string) (io.Closer, error) {
	file, err := f.Open(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked[name] {
		return nil, fmt.Errorf("lock %s: %w", name, filesys.ErrLocked)
	}
	f.locked[name] = true
	return &lock{File: file, fs: f, name: name}, nil
}

type lock struct {
	filesys.File
	fs   *FS
	name string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locked, l.name)
	})
	return l.File.Close()
}

type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
