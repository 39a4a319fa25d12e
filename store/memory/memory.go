// Package memory is a store that lasts as long as the process: for tests, for
// trying things out, and for programs that start anew at every start anyway.
package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/libvegas/vegas/store"
)

// Store keeps rows in memory. The zero value is an empty store.
type Store struct {
	mu       sync.Mutex
	closed   bool
	revision uint64 // the last one given; never repeats, whatever is deleted
	groups   map[string]map[string]store.Row
}

var _ store.Store = (*Store)(nil)

// New is an empty store.
func New() *Store { return &Store{} }

var errClosed = errors.New("memory store: closed")

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return errClosed
	}
	return ctx.Err()
}

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var rows []store.Row
	for id, row := range s.groups[group] {
		if strings.HasPrefix(id, prefix) {
			rows = append(rows, row.Clone())
		}
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.Row{}, err
	}
	row, ok := s.groups[group][id]
	if !ok {
		return store.Row{}, fmt.Errorf("get store row %q/%q: %w", group, id, store.ErrNotFound)
	}
	return row.Clone(), nil
}

// Swap stores row if what is stored has row.Revision.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	if err := store.Check(row); err != nil {
		return store.Row{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return store.Row{}, err
	}
	if s.groups[row.Group][row.ID].Revision != row.Revision {
		return store.Row{}, fmt.Errorf("write store row %q/%q: %w", row.Group, row.ID, store.ErrConflict)
	}
	if s.groups == nil {
		s.groups = map[string]map[string]store.Row{}
	}
	if s.groups[row.Group] == nil {
		s.groups[row.Group] = map[string]store.Row{}
	}
	s.revision++
	row = row.Clone()
	row.Revision = s.revision
	s.groups[row.Group][row.ID] = row
	return row.Clone(), nil
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	if old, ok := s.groups[row.Group][row.ID]; !ok || old.Revision != row.Revision {
		return fmt.Errorf("delete store row %q/%q: %w", row.Group, row.ID, store.ErrConflict)
	}
	delete(s.groups[row.Group], row.ID)
	if len(s.groups[row.Group]) == 0 {
		delete(s.groups, row.Group)
	}
	return nil
}

// Close ends the use of the store; what it held is gone with it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.groups = true, nil
	return nil
}
