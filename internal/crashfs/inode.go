package crashfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
)

const sector = 512

// dir is a directory: names as programs see them, those that are durable, and
// what happened in between.
type dir struct {
	names, saved map[string]*inode
	pending      []change
}

// change gives a name to a file, taking that which it had; or, without a file,
// takes it away.
type change struct {
	name  string
	inode *inode
	from  string
}

func newDir() *dir { return &dir{names: map[string]*inode{}, saved: map[string]*inode{}} }

func (d *dir) change(c change) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c change) apply(names map[string]*inode) {
	if c.inode == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.inode
	if names[c.from] == c.inode {
		delete(names, c.from)
	}
}

func (d *dir) crash(random *rand.Rand, t temper) map[string]*inode {
	found := maps.Clone(d.saved)
	for _, c := range d.pending {
		if t.keeps(random) {
			c.apply(found)
		}
	}
	return found
}

// inode is a file: as programs see it, what is durable of it, and what happened
// in between.
type inode struct {
	data, saved []byte
	pending     []edit
	isDir       bool
}

// edit is a write, or, where data is nil, a cut or extension to at bytes.
type edit struct {
	at   int64
	data []byte
}

func (e edit) apply(to []byte) []byte {
	end := e.at + int64(len(e.data))
	if e.data == nil {
		to = to[:min(end, int64(len(to)))]
	}
	to = grown(to, end)
	copy(to[e.at:], e.data)
	return to
}

func grown(b []byte, size int64) []byte {
	if more := size - int64(len(b)); more > 0 {
		return append(b, make([]byte, more)...)
	}
	return b
}

func (i *inode) edit(e edit) {
	i.data = e.apply(i.data)
	i.pending = append(i.pending, e)
}

func (i *inode) sync() {
	for _, e := range i.pending {
		i.saved = e.apply(i.saved)
	}
	i.pending = nil
}

// crash is what may be found of the file.
func (i *inode) crash(random *rand.Rand, t temper) []byte {
	found := slices.Clone(i.saved)
	for _, e := range i.pending {
		switch {
		case t.keeps(random):
			found = e.apply(found)
		case e.data == nil || t == 0:
		default:
			found = e.tear(random, found)
		}
	}
	return found
}

// tear writes something of a write, or nothing but its size.
func (e edit) tear(random *rand.Rand, to []byte) []byte {
	size := int64(len(to))
	switch random.IntN(6) {
	case 0, 1: // nothing of it
		return to
	case 2: // its start
		return edit{e.at, e.data[:random.IntN(len(e.data)+1)]}.apply(to)
	case 3: // some of its sectors, perhaps without those that made the file longer
		for at := e.at; at < e.at+int64(len(e.data)); {
			end := min(at/sector*sector+sector, e.at+int64(len(e.data)))
			if random.IntN(2) == 0 {
				to = edit{at, e.data[at-e.at : end-e.at]}.apply(to)
			}
			at = end
		}
		return to
	case 4: // the size, and zeros
		return grown(to, e.at+int64(len(e.data)))
	default: // the size, and what was there before
		to = grown(to, e.at+int64(len(e.data)))
		for at := size; at < int64(len(to)); at++ {
			to[at] = byte(random.Uint32())
		}
		return to
	}
}

// handle is an open file.
type handle struct {
	fs       *FS
	inode    *inode
	name     string
	writable bool
	closed   bool
}

func (h *handle) ReadAt(p []byte, at int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.mayRead(); err != nil {
		return 0, err
	}
	if at >= int64(len(h.inode.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.inode.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(p []byte, at int64) (n int, err error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.mayWrite(); err != nil || len(p) == 0 {
		return 0, err
	}
	write := func(size int) {
		if size > 0 {
			h.inode.edit(edit{at, slices.Clone(p[:size])})
		}
		n = size
	}
	err = h.fs.step(Op{Kind: Write, Name: h.name}, func() { write(len(p) / 2) }, func() error {
		if fits := h.fs.fits(h.inode, at, len(p)); fits < len(p) {
			write(fits)
			return syscall.ENOSPC
		}
		write(len(p))
		return nil
	})
	if err != nil && h.fs.stopped {
		n = 0 // the dead are told nothing
	}
	return n, err
}

func (h *handle) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.mayWrite(); err != nil {
		return err
	}
	return h.fs.step(Op{Kind: Truncate, Name: h.name}, nil, func() error {
		h.inode.edit(edit{at: size})
		return nil
	})
}

// Sync makes the file durable. If it fails, what it has not written is never
// written any more.
func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	running := !h.fs.stopped
	err := h.fs.step(Op{Kind: Sync, Name: h.name}, nil, func() error {
		if h.fs.lazily && h.fs.room >= 0 && len(h.inode.pending) > 0 && h.fs.used() > h.fs.room {
			return syscall.ENOSPC
		}
		h.inode.sync()
		return nil
	})
	if err != nil && running && !h.fs.stopped {
		h.inode.saved = h.inode.crash(h.fs.random, temperOf(h.fs.random))
		h.inode.pending = nil
	}
	return err
}

func (h *handle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.mayRead(); err != nil {
		return 0, err
	}
	return int64(len(h.inode.data)), nil
}

func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}

func (h *handle) mayRead() error {
	if h.closed {
		return fs.ErrClosed
	}
	return h.fs.look(h.name)
}

func (h *handle) mayWrite() error {
	switch {
	case h.closed:
		return fs.ErrClosed
	case !h.writable:
		return &fs.PathError{Op: "write", Path: h.name, Err: syscall.EBADF}
	}
	return nil
}

// used is what the files hold that have names.
func (f *FS) used() (bytes int64) {
	for _, d := range f.dirs {
		for _, i := range d.names {
			bytes += int64(len(i.data))
		}
	}
	return bytes
}

// fits is how much of a write there is room for.
func (f *FS) fits(i *inode, at int64, size int) int {
	if f.room < 0 || f.lazily {
		return size
	}
	old := int64(len(i.data))
	free := max(0, f.room-f.used())
	return int(max(0, min(int64(size), old+free-at)))
}
