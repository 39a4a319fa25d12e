// Package store is the port for what a consumer group remembers: leases,
// checkpoints, marks. A store is a table of small rows with one way to write,
// compare-and-swap on the row's revision; everything else (who owns a lease,
// what a checkpoint may do) is decided above it.
//
// To add a store, implement Store in a directory of its own and run storetest
// against it.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Row is one remembered thing of a group.
type Row struct {
	// Group is the consumer group that the row belongs to.
	Group string
	// ID names the row inside its group: "kind#name", such as
	// "lease#shardId-000000000003".
	ID string
	// Revision is 0 for a row that is not stored, and otherwise a number that
	// changes with every write of the row. A row that was deleted and made
	// anew never repeats a revision that an earlier reader can hold.
	Revision uint64
	// Fields are the row's contents. Fields that a reader does not know must
	// survive its writes: change a row by editing the Fields that were read.
	Fields map[string]string
	// Body is a second, opaque part for what is large and binary; may be nil.
	Body []byte
}

// Clone is a deep copy.
func (r Row) Clone() Row {
	r.Fields = maps.Clone(r.Fields)
	r.Body = slices.Clone(r.Body)
	return r
}

// Store keeps rows. Its methods may be called by many goroutines at once, and
// return soon after their context is over: a consumer that stops waits for them.
//
// An error other than ErrConflict and ErrNotFound from a write means that its
// outcome is unknown: it may have been applied, or may be applied later. The
// caller reads the row and lets what it finds decide.
type Store interface {
	// List returns the rows of a group whose ID starts with prefix, ordered by
	// ID, as they are after every write that was acknowledged before the call.
	List(ctx context.Context, group, prefix string) ([]Row, error)
	// Get returns one row, or ErrNotFound.
	Get(ctx context.Context, group, id string) (Row, error)
	// Swap stores row if what is stored has exactly row.Revision (0: nothing
	// is stored) and returns it with its new revision. Otherwise it changes
	// nothing and returns ErrConflict.
	Swap(ctx context.Context, row Row) (Row, error)
	// Delete removes the row if what is stored has exactly row.Revision.
	// Otherwise it changes nothing and returns ErrConflict; a row that is
	// already gone is a conflict too.
	Delete(ctx context.Context, row Row) error
	// Close releases what the store holds open. Rows stay.
	Close() error
}

var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("row not found")
	// ErrConflict: the stored row has another revision than expected.
	ErrConflict = errors.New("row was changed by somebody else")
)

// Limits every store accepts at least. Larger rows may be refused.
const (
	// NameBytes is the longest Group or ID.
	NameBytes = 1024
	// RowBytes is the largest sum of a row's names, fields and body (the size
	// of a DynamoDB item, 400 KB, less some room).
	RowBytes = 390 << 10
)

// Check tells what is wrong with a row that is to be written, if anything.
// Stores call it first.
func Check(r Row) error {
	if err := CheckNames(r.Group, r.ID); err != nil {
		return err
	}
	size := len(r.Group) + len(r.ID) + len(r.Body)
	for k, v := range r.Fields {
		if k == "" || v == "" {
			return fmt.Errorf("store row %q/%q: field %q: names and values must not be empty, leave the field out", r.Group, r.ID, k)
		}
		if !text(k) || !text(v) {
			return fmt.Errorf("store row %q/%q: field %q: names and values must be UTF-8 text without NUL, what is binary goes into the body", r.Group, r.ID, k)
		}
		size += len(k) + len(v)
	}
	if size > RowBytes {
		return fmt.Errorf("store row %q/%q: %d bytes, the limit is %d", r.Group, r.ID, size, RowBytes)
	}
	return nil
}

// CheckNames tells what is wrong with a group and an id, if anything: they are
// UTF-8 text without NUL, of 1 to NameBytes bytes.
func CheckNames(group, id string) error {
	switch {
	case group == "" || id == "":
		return fmt.Errorf("store row %q/%q: group and id must not be empty", group, id)
	case len(group) > NameBytes || len(id) > NameBytes:
		return fmt.Errorf("store row %.40q/%.40q: group and id are limited to %d bytes each", group, id, NameBytes)
	case !text(group) || !text(id):
		return fmt.Errorf("store row %q/%q: group and id must be UTF-8 text without NUL", group, id)
	}
	return nil
}

// text is what every kind of store can keep in a name or field: PostgreSQL
// takes no NUL, DynamoDB and JSON files nothing but UTF-8.
func text(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// The rest is what some stores can do better than the least that every store
// does. Callers use the functions, which fall back on the methods of Store.

// Opener is for stores that may need longer to get ready than one of their calls
// should last, such as to make a table.
type Opener interface {
	// Open makes sure that the store can be used, and otherwise tells what is
	// missing. Whoever leaves it out meets the same at the first call.
	Open(ctx context.Context) error
}

// Open makes a store ready, if it needs that.
func Open(ctx context.Context, s Store) error {
	if o, ok := s.(Opener); ok {
		return o.Open(ctx)
	}
	return nil
}

// Peeker is for stores that have a cheaper List, which may lag behind.
type Peeker interface {
	// Peek is List, except that it may miss writes of the last second or so: of
	// each row it gives some state that the row had. Two calls may even go back.
	Peek(ctx context.Context, group, prefix string) ([]Row, error)
}

// Peek lists rows at the lowest cost, where a state of a second ago will do.
func Peek(ctx context.Context, s Store, group, prefix string) ([]Row, error) {
	if p, ok := s.(Peeker); ok {
		return p.Peek(ctx, group, prefix)
	}
	return s.List(ctx, group, prefix)
}

// Separator is for stores whose calls can queue behind each other, such as in a
// pool of connections.
type Separator interface {
	// Separate is the same store over connections of its own. Each of the two is
	// closed by itself.
	Separate() Store
}

// Separate gives the same rows over connections of their own where the store has
// such, so that a heartbeat never queues behind other calls. The caller closes
// it; s stays open.
func Separate(s Store) Store {
	if sep, ok := s.(Separator); ok {
		return sep.Separate()
	}
	return borrowed{s}
}

// borrowed is a store that somebody else closes.
type borrowed struct{ Store }

func (b borrowed) Open(ctx context.Context) error { return Open(ctx, b.Store) }
func (b borrowed) Close() error                   { return nil }

func (b borrowed) Peek(ctx context.Context, group, prefix string) ([]Row, error) {
	return Peek(ctx, b.Store, group, prefix)
}
