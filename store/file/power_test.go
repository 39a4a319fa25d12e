package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/libvegas/vegas/store"
)

// forgetful is a file system in memory that keeps through a power failure what
// was synced, and of the rest whatever chance has it.
type forgetful struct {
	random       *rand.Rand
	names, saved map[string]*inode // as programs see them, and on disk
}

type inode struct {
	data, saved []byte
	pending     []edit // not synced
}

// edit is a write, or a cut of the file where data is nil.
type edit struct {
	at   int64
	data []byte
}

func (e edit) apply(to []byte) []byte {
	if e.data == nil {
		return append(to[:min(e.at, int64(len(to)))], make([]byte, max(0, e.at-int64(len(to))))...)
	}
	if grow := e.at + int64(len(e.data)) - int64(len(to)); grow > 0 {
		to = append(to, make([]byte, grow)...)
	}
	copy(to[e.at:], e.data)
	return to
}

func (i *inode) edit(e edit) {
	i.data = e.apply(i.data)
	i.pending = append(i.pending, e)
}

func newForgetful(random *rand.Rand) *forgetful {
	return &forgetful{random: random, names: map[string]*inode{}, saved: map[string]*inode{}}
}

// fail is what is found when the power comes back.
func (f *forgetful) fail() {
	names := map[string]*inode{}
	for _, name := range []string{"log", "next"} {
		path := filepath.Join(groupDir, name)
		i := f.saved[path]
		if f.random.IntN(2) == 0 {
			i = f.names[path]
		}
		if i == nil {
			continue
		}
		for _, e := range i.pending {
			switch f.random.IntN(4) {
			case 0: // nothing of it
			case 1: // all of it
				i.saved = e.apply(i.saved)
			case 2: // the start of it
				if len(e.data) > 0 {
					i.saved = edit{e.at, e.data[:f.random.IntN(len(e.data))+1]}.apply(i.saved)
				}
			case 3: // blocks of it
				const block = 64
				for at := 0; at < len(e.data); at += block {
					if f.random.IntN(2) == 0 {
						i.saved = edit{e.at + int64(at), e.data[at:min(at+block, len(e.data))]}.apply(i.saved)
					}
				}
			}
		}
		names[path] = &inode{data: bytes.Clone(i.saved), saved: i.saved}
	}
	f.names, f.saved = names, maps.Clone(names)
}

func (f *forgetful) open(path string, flag int) (opened, error) {
	i := f.names[path]
	if i == nil {
		if flag&os.O_CREATE == 0 {
			return nil, fs.ErrNotExist
		}
		i = &inode{}
		f.names[path] = i
	}
	if flag&os.O_TRUNC != 0 {
		i.edit(edit{0, nil})
	}
	return i, nil
}

func (f *forgetful) rename(from, to string) error {
	f.names[to] = f.names[from]
	delete(f.names, from)
	return nil
}

func (f *forgetful) remove(path string) error {
	delete(f.names, path)
	return nil
}

func (f *forgetful) syncDir(dir string) error {
	if dir == groupDir {
		f.saved = maps.Clone(f.names)
	}
	return nil
}

func (f *forgetful) lock(context.Context, string) (func(), error) { return func() {}, nil }

func (i *inode) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(i.data)) {
		return 0, io.EOF
	}
	n := copy(p, i.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (i *inode) WriteAt(p []byte, at int64) (int, error) {
	if len(p) > 0 {
		i.edit(edit{at, bytes.Clone(p)})
	}
	return len(p), nil
}

func (i *inode) Sync() error {
	for _, e := range i.pending {
		i.saved = e.apply(i.saved)
	}
	i.pending = nil
	return nil
}

// forget is a sync that failed as Linux lets it fail: what was not synced is
// still read, and will not be written any more.
func (i *inode) forget() { i.pending = nil }

func (i *inode) Close() error         { return nil }
func (i *inode) Size() (int64, error) { return int64(len(i.data)), nil }

const storeDir = "store"

var groupDir = filepath.Join(storeDir, escape("g"))

// Programs write rows, die at any step, meet a disk that fails at one, and now
// and then the power fails. Whatever was acknowledged is there afterwards, what
// was not is there as a whole or not at all, and nothing else ever is.
func TestAcknowledgedSurvivesPowerFailures(t *testing.T) {
	for seed := range uint64(150) {
		lives := &history{t: t, random: rand.New(rand.NewPCG(seed, 7)), possible: []rows{{}}, told: map[uint64]bool{}}
		lives.disk = newForgetful(lives.random)
		for range 40 {
			lives.program()
			if lives.random.IntN(2) == 0 {
				lives.disk.fail()
				lives.possible = []rows{lives.look(lives.open(lives.disk))}
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// rows are those of a group: revisions and contents by ID.
type rows map[string]string

// history is what programs did so far, and what may have become of it.
type history struct {
	t        *testing.T
	random   *rand.Rand
	disk     *forgetful
	possible []rows // the last of which what was acknowledged led to
	told     map[uint64]bool
	n        int
}

func (h *history) open(d disk) *Store {
	s := New(storeDir)
	s.disk, s.ready = d, true
	g, err := s.group("g")
	if err != nil {
		h.t.Fatal(err)
	}
	g.slack = 500 // so that logs get full
	return s
}

// look lists the rows, which must be as they can be.
func (h *history) look(s *Store) rows {
	list, err := s.List(h.t.Context(), "g", "")
	if err != nil {
		h.t.Error(err)
	}
	found := rows{}
	for _, r := range list {
		found[r.ID] = content(r)
	}
	for _, p := range h.possible {
		if maps.Equal(found, p) {
			return found
		}
	}
	h.t.Errorf("found %v, want one of %v", found, h.possible)
	return found
}

func content(r store.Row) string { return fmt.Sprint(r.Revision, " ", r.Fields["n"], " ", len(r.Body)) }

// program is one life of a program: some writes, until it ends or dies.
func (h *history) program() {
	d := &failing{disk: h.disk, until: h.random.IntN([]int{6, 6, 6, 40}[h.random.IntN(4)]), once: h.random.IntN(2) == 0, torn: func(n int) int { return h.random.IntN(n + 1) }}
	s := h.open(d)
	for n := h.random.IntN(6); n > 0 || s.groups["g"].doubt; n-- { // whoever has to repair something lives to do it
		before := h.look(s)
		id := "lease#" + strconv.Itoa(h.random.IntN(4))
		row, err := s.Get(h.t.Context(), "g", id)
		if errors.Is(err, store.ErrNotFound) {
			row = store.Row{Group: "g", ID: id}
		} else if err != nil {
			h.t.Error(err)
			return
		}
		after := maps.Clone(before)
		if row.Revision != 0 && h.random.IntN(4) == 0 {
			err = s.Delete(h.t.Context(), row)
			delete(after, id)
		} else {
			h.n++
			row.Fields, row.Body = map[string]string{"n": strconv.Itoa(h.n)}, nil
			if h.random.IntN(4) == 0 {
				row.Body = make([]byte, h.random.IntN(300))
			}
			var written store.Row
			if written, err = s.Swap(h.t.Context(), row); err == nil {
				if h.told[written.Revision] {
					h.t.Errorf("revision %d was given again", written.Revision)
				}
				h.told[written.Revision] = true
			} else {
				written = row
				written.Revision = s.groups["g"].view.last + 1 // what it got, if it was written
			}
			after[id] = content(written)
		}
		switch {
		case errors.Is(err, store.ErrConflict):
			h.t.Errorf("a conflict, and nobody else wrote: %v", err)
		case err == nil:
			h.possible = []rows{after}
		default:
			h.possible = append(h.possible, after)
			if !d.once {
				return // dead
			}
		}
	}
}
