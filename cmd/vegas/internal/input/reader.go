// Package input reads lines from files and standard input, plain or compressed
// with gzip, and finds the partition key of each.
package input

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// LineBytes is the longest line: more than any record can hold.
const LineBytes = 16 << 20

// Line is one line of input.
type Line struct {
	// Source is the file's name, or "standard input".
	Source string
	// Number of the line within its source, from 1.
	Number int
	// Text without the newline, good until the next call of Next.
	Text []byte
}

// Place names the line for people.
func (l Line) Place() string { return fmt.Sprintf("%s line %d", l.Source, l.Number) }

// Reader gives the lines of its sources one after the other. One goroutine
// calls Next; Progress may be asked from others.
type Reader struct {
	names []string
	stdin io.Reader
	total int64
	read  atomic.Int64

	file   io.Closer
	lines  *bufio.Reader
	line   Line
	longer []byte
}

const standardInput = "standard input"

// Open checks that all files can be read. "-" is standard input, and so is no
// name at all.
func Open(names []string, stdin io.Reader) (*Reader, error) {
	r := &Reader{names: names, stdin: stdin}
	if len(names) == 0 {
		r.names = []string{"-"}
	}
	for _, name := range r.names {
		size := int64(0)
		if name == "-" {
			if f, ok := stdin.(*os.File); ok {
				size = regularSize(f)
			}
		} else {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			if info, err := f.Stat(); err == nil && info.IsDir() {
				_ = f.Close()
				return nil, fmt.Errorf("open %s: it is a directory", name)
			}
			size = regularSize(f)
			_ = f.Close()
		}
		if size < 0 || r.total < 0 {
			r.total = -1
		} else {
			r.total += size
		}
		if name == "-" && size == 0 {
			r.total = -1
		}
	}
	return r, nil
}

// regularSize is what is left to read of a regular file, and -1 otherwise.
func regularSize(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	return info.Size() - at
}

// Progress is how many bytes were read, as they lie in the files, and of how
// many: -1 if that is not known.
func (r *Reader) Progress() (read, total int64) { return r.read.Load(), r.total }

// Next gives the next line, and io.EOF after the last. A last line without a
// newline counts. Other errors name the source and line, and end the input.
func (r *Reader) Next() (Line, error) {
	for {
		if r.lines == nil {
			if len(r.names) == 0 {
				return Line{}, io.EOF
			}
			if err := r.open(r.names[0]); err != nil {
				return Line{}, err
			}
			r.names = r.names[1:]
		}
		text, err := r.readLine()
		if err == nil {
			r.line.Number++
			r.line.Text = text
			return r.line, nil
		}
		if !errors.Is(err, io.EOF) {
			return Line{}, fmt.Errorf("read %s after line %d: %w", r.line.Source, r.line.Number, err)
		}
		r.close()
	}
}

func (r *Reader) open(name string) error {
	from := r.stdin
	r.line = Line{Source: standardInput}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		r.file, from, r.line.Source = f, f, name
	}
	buffered := bufio.NewReaderSize(&counting{from, &r.read}, 256<<10)
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("read %s: it starts like gzip: %w", r.line.Source, err)
		}
		buffered = bufio.NewReaderSize(z, 256<<10)
	}
	r.lines = buffered
	return nil
}

func (r *Reader) close() {
	if r.file != nil {
		_ = r.file.Close() // it was only read
		r.file = nil
	}
	r.lines = nil
}

// readLine gives a line without its newline. Its error is io.EOF only if
// nothing was left.
func (r *Reader) readLine() ([]byte, error) {
	part, err := r.lines.ReadSlice('\n')
	if err == nil {
		return part[:len(part)-1], nil
	}
	r.longer = append(r.longer[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = r.lines.ReadSlice('\n')
		if r.longer = append(r.longer, part...); len(r.longer) > LineBytes {
			return nil, fmt.Errorf("the next line is longer than %d MiB, a record holds at most 10 MiB: is this text?", LineBytes>>20)
		}
	}
	switch {
	case err == nil:
		return bytes.TrimSuffix(r.longer, []byte("\n")), nil
	case err == io.EOF && len(r.longer) > 0:
		return r.longer, nil
	}
	return nil, err
}

// counting counts the bytes that pass.
type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
