package store_test

import (
	"context"
	"testing"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// able can do all that a store may do besides.
type able struct {
	store.Store
	opened, peeked, separated int
}

func (a *able) Open(context.Context) error { a.opened++; return nil }
func (a *able) Separate() store.Store      { a.separated++; return a }
func (a *able) Peek(context.Context, string, string) ([]store.Row, error) {
	a.peeked++
	return nil, nil
}

func TestAbilitiesOfAStoreAreUsed(t *testing.T) {
	a := &able{Store: memory.New()}
	own := store.Separate(a)
	if err := store.Open(t.Context(), own); err != nil {
		t.Error(err)
	}
	if _, err := store.Peek(t.Context(), own, "g", ""); err != nil {
		t.Error(err)
	}
	if a.opened != 1 || a.peeked != 1 || a.separated != 1 {
		t.Errorf("%+v", a)
	}
}

func TestAStoreWithoutAbilitiesDoesWithoutThem(t *testing.T) {
	ctx := t.Context()
	s := memory.New()
	if err := store.Open(ctx, s); err != nil {
		t.Error(err)
	}
	own := store.Separate(s)
	if _, err := own.Swap(ctx, store.Row{Group: "g", ID: "lease#1"}); err != nil {
		t.Error(err)
	}
	if err := own.Close(); err != nil {
		t.Error(err)
	}
	for _, of := range []store.Store{s, own} {
		if rows, err := store.Peek(ctx, of, "g", "lease#"); err != nil || len(rows) != 1 {
			t.Errorf("after the separate one was closed: %v, %v", rows, err)
		}
	}
}
