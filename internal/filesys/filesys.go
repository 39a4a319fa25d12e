// Package filesys is the file system as the durable buffer and the file store see
// it: few calls, so that tests can put one in its place that forgets, at a crash,
// what was not synced.
package filesys

import (
	"io"
	"io/fs"
)

// FS is a file system. Names are paths of the operating system.
type FS interface {
	// Open opens a file, with the flags and the mode of os.OpenFile.
	Open(name string, flag int, mode fs.FileMode) (File, error)
	// Rename replaces what has the new name. Its durability, like that of names
	// made by Open and removed by Remove, needs a SyncDir of the directory.
	Rename(from, to string) error
	Remove(name string) error
	Mkdir(name string, mode fs.FileMode) error
	// List returns the names in a directory, sorted.
	List(name string) ([]string, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// Lock takes a file for this process until what it returns is closed, or the
	// process ends. It fails at once with ErrLocked if another has it. It makes
	// the file if it is missing.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes data and size durable.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}
