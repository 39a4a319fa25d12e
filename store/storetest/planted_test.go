package storetest_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
	"github.com/libvegas/vegas/store/storetest"
)

// bug is a store with a mistake, which a test of the suite has to find.
type bug struct {
	finder string // the test
	plant  func(good store.Store) store.Store
}

var bugs = map[string]bug{
	"a lost update": {"Swap needs the revision that is stored", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			if old, err := good.Get(ctx, r.Group, r.ID); err == nil && r.Revision != 0 {
				r.Revision = old.Revision
			}
			return good.Swap(ctx, r)
		}, nil, nil}
	}},
	"a comparison and a write that are two steps": {"No increment is lost", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			old, err := good.Get(ctx, r.Group, r.ID)
			if err != nil || r.Revision != old.Revision {
				return good.Swap(ctx, r)
			}
			runtime.Gosched()
			for { // whatever is there by now
				if old, err = good.Get(ctx, r.Group, r.ID); err != nil {
					return store.Row{}, store.ErrConflict
				}
				r.Revision = old.Revision
				if out, err := good.Swap(ctx, r); !errors.Is(err, store.ErrConflict) {
					return out, err
				}
			}
		}, nil, nil}
	}},
	"a deletion that looks at no revision": {"Delete needs the revision that is stored", func(good store.Store) store.Store {
		return broken{good, nil, func(ctx context.Context, r store.Row) error {
			if old, err := good.Get(ctx, r.Group, r.ID); err == nil {
				r = old
			}
			return good.Delete(ctx, r)
		}, nil}
	}},
	"revisions that start anew with a row": {"A row made anew repeats no revision", func(store.Store) store.Store { return &forgetful{Store: memory.New()} }},
	"a prefix that is a LIKE pattern": {"A prefix is no pattern", listed(func(ctx context.Context, good store.Store, group, prefix string) ([]store.Row, error) {
		rows, err := good.List(ctx, group, "")
		return slices.DeleteFunc(rows, func(r store.Row) bool {
			like := strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`, "%", "*", "_", "?").Replace(prefix) + "*"
			match, _ := path.Match(like, r.ID)
			return !match
		}), err
	})},
	"a prefix whose end is its last byte plus one": {"A prefix is no pattern", listed(func(ctx context.Context, good store.Store, group, prefix string) ([]store.Row, error) {
		rows, err := good.List(ctx, group, "")
		end := []rune(prefix)
		if len(end) > 0 {
			end[len(end)-1]++ // a surrogate, or above all characters: U+FFFD
		}
		return slices.DeleteFunc(rows, func(r store.Row) bool { return r.ID < prefix || prefix != "" && r.ID >= string(end) }), err
	})},
	"a list of one page": {"List gives all, however much it is", listed(func(ctx context.Context, good store.Store, group, prefix string) ([]store.Row, error) {
		rows, err := good.List(ctx, group, prefix)
		return rows[:min(100, len(rows))], err
	})},
	"an order by alphabet": {"List gives a prefix in order", listed(func(ctx context.Context, good store.Store, group, prefix string) ([]store.Row, error) {
		rows, err := good.List(ctx, group, prefix)
		slices.SortFunc(rows, func(a, b store.Row) int { return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
		return rows, err
	})},
	"fields that are merged": {"A field left out is gone", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			all := map[string]string{}
			if old, err := good.Get(ctx, r.Group, r.ID); err == nil {
				maps.Copy(all, old.Fields)
			}
			maps.Copy(all, r.Fields)
			asked := r.Fields
			r.Fields = all
			out, err := good.Swap(ctx, r)
			out.Fields = maps.Clone(asked)
			return out, err
		}, nil, nil}
	}},
	"text that is trimmed": {"Text comes back character for character", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			trimmed := r.Clone()
			for k, v := range trimmed.Fields {
				if v = strings.TrimRight(v, " "); v != "" {
					trimmed.Fields[k] = v
				}
			}
			out, err := good.Swap(ctx, trimmed)
			out.Fields = maps.Clone(r.Fields)
			return out, err
		}, nil, nil}
	}},
	"a write that is half there for a moment": {"Readers see whole rows", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			half := r.Clone()
			half.Body = half.Body[:len(half.Body)/2]
			out, err := good.Swap(ctx, half)
			if err == nil {
				runtime.Gosched()
				out.Body = slices.Clone(r.Body)
				out, err = good.Swap(ctx, out)
			}
			return out, err
		}, nil, nil}
	}},
	"a context that is ignored": {"A context that is over", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			return good.Swap(context.WithoutCancel(ctx), r)
		}, nil, nil}
	}},
	"a retry that overwrites": {"A write whose answer was lost happens once", func(good store.Store) store.Store {
		return broken{good, func(ctx context.Context, r store.Row) (store.Row, error) {
			out, err := good.Swap(ctx, r)
			for errors.Is(err, store.ErrConflict) && r.Fields["n"] != "" && len(r.Fields) > 1 {
				old, getErr := good.Get(ctx, r.Group, r.ID)
				if getErr != nil {
					return out, err
				}
				r.Revision = old.Revision
				out, err = good.Swap(ctx, r)
			}
			return out, err
		}, nil, nil}
	}},
	"rows that are shared with callers":      {"Rows are copies", func(store.Store) store.Store { return &shared{Store: memory.New()} }},
	"a store that goes on when it is closed": {"A closed store", func(good store.Store) store.Store { return store.Separate(good) }},
}

// Each mistake is made in a process of its own, since a failing test is what is
// wanted.
func TestPlantedBugsAreFound(t *testing.T) {
	const variable = "VEGAS_TEST_PLANT"
	if name := os.Getenv(variable); name != "" {
		storetest.Run(t, func(*testing.T) store.Store { return bugs[name].plant(memory.New()) })
		return
	}
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlantedBugsAreFound$/^"+strings.ReplaceAll(b.finder, " ", "_")+"$")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestPlantedBugsAreFound/"+strings.ReplaceAll(b.finder, " ", "_")) {
				t.Errorf("%q did not find it: %v\n%s", b.finder, err, out)
			}
		})
	}
}

// broken is a store some of whose methods are others.
type broken struct {
	store.Store
	swap   func(context.Context, store.Row) (store.Row, error)
	delete func(context.Context, store.Row) error
	list   func(ctx context.Context, group, prefix string) ([]store.Row, error)
}

func listed(list func(ctx context.Context, good store.Store, group, prefix string) ([]store.Row, error)) func(store.Store) store.Store {
	return func(good store.Store) store.Store {
		return broken{good, nil, nil, func(ctx context.Context, group, prefix string) ([]store.Row, error) {
			return list(ctx, good, group, prefix)
		}}
	}
}

func (b broken) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if b.swap == nil {
		return b.Store.Swap(ctx, r)
	}
	return b.swap(ctx, r)
}

func (b broken) Delete(ctx context.Context, r store.Row) error {
	if b.delete == nil {
		return b.Store.Delete(ctx, r)
	}
	return b.delete(ctx, r)
}

func (b broken) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if b.list == nil {
		return b.Store.List(ctx, group, prefix)
	}
	return b.list(ctx, group, prefix)
}

// forgetful counts the revisions of each row from 1.
type forgetful struct {
	store.Store
	mu   sync.Mutex
	real map[string]uint64 // revisions of the store beneath
	told map[string]uint64
}

func (f *forgetful) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := r.Group + "/" + r.ID
	if r.Revision != f.told[id] {
		return store.Row{}, store.ErrConflict
	}
	r.Revision = f.real[id]
	out, err := f.Store.Swap(ctx, r)
	if err != nil {
		return out, err
	}
	if f.real == nil {
		f.real, f.told = map[string]uint64{}, map[string]uint64{}
	}
	f.real[id] = out.Revision
	f.told[id]++
	out.Revision = f.told[id]
	return out, nil
}

func (f *forgetful) Delete(ctx context.Context, r store.Row) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := r.Group + "/" + r.ID
	if r.Revision != f.told[id] {
		return store.ErrConflict
	}
	r.Revision = f.real[id]
	err := f.Store.Delete(ctx, r)
	if err == nil {
		delete(f.real, id)
		delete(f.told, id)
	}
	return err
}

// shared gives a row that it has given before, and not a copy.
type shared struct {
	store.Store
	given sync.Map
}

func (s *shared) Get(ctx context.Context, group, id string) (store.Row, error) {
	r, err := s.Store.Get(ctx, group, id)
	if err != nil {
		return r, err
	}
	given, _ := s.given.LoadOrStore(r.Revision, r)
	return given.(store.Row), nil
}
