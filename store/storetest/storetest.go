// Package storetest is what every store has to satisfy. A store's own test
// calls Run, and Shared when several processes may use one place at once.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/libvegas/vegas/store"
)

// racers is how many goroutines compete in the races.
const racers = 64

// Run checks a store. open returns a new and empty one each time; Run closes
// it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"A row that is not there", absent},
		{"Swap needs the revision that is stored", swapNeedsRevision},
		{"Delete needs the revision that is stored", deleteNeedsRevision},
		{"A row made anew repeats no revision", revisionsNeverRepeat},
		{"List gives a prefix in order", listsPrefixInOrder},
		{"Groups are apart", groupsAreApart},
		{"Names may hold anything that is text", strangeNames},
		{"Fields unknown to a writer survive", unknownFieldsSurvive},
		{"A body comes back byte for byte", bodyIsExact},
		{"The largest row fits", largeRows},
		{"Rows that no store can keep are refused", refusesBadRows},
		{"Rows are copies", rowsAreCopies},
		{"One of many creators wins", oneCreatorWins},
		{"No increment is lost", noIncrementIsLost},
		{"One of many deleters wins", oneDeleterWins},
		{"Readers see whole rows", readersSeeWholeRows},
		{"A context that is over", contextOver},
		{"A closed store", closedStore},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			c.test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// Shared checks that stores opened on one place see each other's writes and
// keep them when they are closed. open returns a new handle on the same place
// each time.
func Shared(t *testing.T, open func(t *testing.T) store.Store) {
	ctx := t.Context()
	a, b := open(t), open(t)
	one := put(t, a, row("shared", "lease#1", "n", "1"))
	if got := get(t, b, "shared", "lease#1"); !same(got, one) {
		t.Errorf("the other handle reads %v, want %v", got, one)
	}
	two := put(t, b, edit(one, "n", "2"))
	if _, err := a.Swap(ctx, edit(one, "n", "3")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("write over the other handle's write: %v, want ErrConflict", err)
	}
	if err := b.Delete(ctx, two); err != nil {
		t.Error(err)
	}
	three := put(t, a, row("shared", "lease#1", "n", "4"))
	if three.Revision == one.Revision || three.Revision == two.Revision {
		t.Errorf("made anew with a revision seen before: %d after %d, %d", three.Revision, one.Revision, two.Revision)
	}

	var wg sync.WaitGroup
	const rounds = 8
	put(t, a, row("shared", "counter", "n", "0"))
	for i := range 8 {
		s := open(t)
		wg.Go(func() {
			for range rounds {
				if err := increment(ctx, s, "shared", "counter"); err != nil {
					t.Errorf("handle %d: %v", i, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := get(t, a, "shared", "counter").Fields["n"]; got != strconv.Itoa(8*rounds) {
		t.Errorf("%s increments by 8 handles arrived, want %d", got, 8*rounds)
	}
	for _, s := range []store.Store{a, b} {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	again := open(t)
	if got := get(t, again, "shared", "lease#1"); !same(got, three) {
		t.Errorf("after closing: %v, want %v", got, three)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func absent(t *testing.T, s store.Store) {
	ctx := t.Context()
	if _, err := s.Get(ctx, "g", "lease#1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if rows, err := s.List(ctx, "g", ""); err != nil || len(rows) != 0 {
		t.Errorf("List: %v, %v, want nothing", rows, err)
	}
	if err := s.Delete(ctx, row("g", "lease#1")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Delete: %v, want ErrConflict", err)
	}
	gone := row("g", "lease#1")
	gone.Revision = 7
	if err := s.Delete(ctx, gone); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Delete of revision 7: %v, want ErrConflict", err)
	}
	if _, err := s.Swap(ctx, gone); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Swap of revision 7: %v, want ErrConflict", err)
	}
}

func swapNeedsRevision(t *testing.T, s store.Store) {
	ctx := t.Context()
	first := put(t, s, row("g", "lease#1", "owner", "a"))
	if first.Revision == 0 {
		t.Error("a stored row has revision 0")
	}
	if _, err := s.Swap(ctx, row("g", "lease#1", "owner", "b")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("created twice: %v, want ErrConflict", err)
	}
	second := put(t, s, edit(first, "owner", "b"))
	if second.Revision == first.Revision {
		t.Error("a write left the revision as it was")
	}
	if _, err := s.Swap(ctx, edit(first, "owner", "c")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written from an old reading: %v, want ErrConflict", err)
	}
	if got := get(t, s, "g", "lease#1"); !same(got, second) {
		t.Errorf("refused writes left a trace: %v, want %v", got, second)
	}
	// A write that changes nothing is a write: it proves that nobody was faster.
	third := put(t, s, second)
	if third.Revision == second.Revision {
		t.Error("a write of equal contents left the revision as it was")
	}
}

func deleteNeedsRevision(t *testing.T, s store.Store) {
	ctx := t.Context()
	first := put(t, s, row("g", "lease#1", "owner", "a"))
	second := put(t, s, edit(first, "owner", "b"))
	if err := s.Delete(ctx, first); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted from an old reading: %v, want ErrConflict", err)
	}
	if err := s.Delete(ctx, second); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, "g", "lease#1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after Delete: %v, want ErrNotFound", err)
	}
	if err := s.Delete(ctx, second); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted twice: %v, want ErrConflict", err)
	}
}

func revisionsNeverRepeat(t *testing.T, s store.Store) {
	seen := map[uint64]bool{}
	for round := range 20 {
		r := put(t, s, row("g", "lease#1", "round", strconv.Itoa(round)))
		for range round % 3 {
			if seen[r.Revision] {
				t.Fatalf("revision %d came twice", r.Revision)
			}
			seen[r.Revision] = true
			r = put(t, s, r)
		}
		if seen[r.Revision] {
			t.Fatalf("revision %d came twice", r.Revision)
		}
		seen[r.Revision] = true
		if err := s.Delete(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Swap(t.Context(), r); !errors.Is(err, store.ErrConflict) {
			t.Fatalf("a write brought a deleted row back: %v", err)
		}
	}
}

func listsPrefixInOrder(t *testing.T, s store.Store) {
	want := []string{"lease#10", "lease#2", "lease#Z", "lease#a", "lease#é"}
	ids := append(slices.Clone(want), "lease", "leas#1", "mark#1", "worker#w")
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		put(t, s, row("g", id, "id", id))
	}
	rows, err := s.List(t.Context(), "g", "lease#")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r.ID)
		if r.Fields["id"] != r.ID || r.Revision == 0 || r.Group != "g" {
			t.Errorf("listed row %v", r)
		}
		if one := get(t, s, "g", r.ID); !same(one, r) {
			t.Errorf("listed %v, got %v", r, one)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q (bytes decide the order)", got, want)
	}
	if all, err := s.List(t.Context(), "g", ""); err != nil || len(all) != len(ids) {
		t.Errorf("all: %d rows, %v, want %d", len(all), err, len(ids))
	}
}

func groupsAreApart(t *testing.T, s store.Store) {
	groups := []string{"g", "G", "g/h", "g#", "gg"}
	for _, g := range groups {
		put(t, s, row(g, "lease#1", "group", g))
	}
	for _, g := range groups {
		rows, err := s.List(t.Context(), g, "lease#")
		if err != nil || len(rows) != 1 || rows[0].Fields["group"] != g {
			t.Errorf("group %q: %v, %v", g, rows, err)
		}
	}
}

func strangeNames(t *testing.T, s store.Store) {
	names := []string{
		"a b", "../../etc/passwd", "..", ".", "con", "NUL", "nul.txt", "x:y", "x*?<>|\"", `back\slash`, "tab\tnewline\n",
		"%2F", "=", "日本語", "Ä", "ä", "a.", "a ", strings.Repeat("long", store.NameBytes/4),
		strings.Repeat("long", store.NameBytes/4-1) + "lonG", strings.Repeat("é", store.NameBytes/2),
	}
	for _, n := range names {
		put(t, s, row("a group", n, "name", n))
	}
	for _, n := range names {
		if got := get(t, s, "a group", n); got.Fields["name"] != n || got.ID != n {
			t.Errorf("%.40q: got %v", n, got)
		}
	}
	put(t, s, row(strings.Repeat("g", store.NameBytes), strings.Repeat("i", store.NameBytes), "a", "b"))
}

func unknownFieldsSurvive(t *testing.T, s store.Store) {
	made := put(t, s, row("g", "lease#1", "owner", "a", "from.a.later.version", `{"x": 1}`, "日本", "語"))
	read := get(t, s, "g", "lease#1")
	if !same(read, made) {
		t.Fatalf("read %v, want %v", read, made)
	}
	put(t, s, edit(read, "owner", "b"))
	got := get(t, s, "g", "lease#1").Fields
	want := map[string]string{"owner": "b", "from.a.later.version": `{"x": 1}`, "日本": "語"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	put(t, s, store.Row{Group: "g", ID: "bare"})
	if bare := get(t, s, "g", "bare"); len(bare.Fields) != 0 || len(bare.Body) != 0 {
		t.Errorf("a row without contents came back as %v", bare)
	}
}

func bodyIsExact(t *testing.T, s store.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	r := row("g", "mark#1")
	r.Body = all
	r = put(t, s, r)
	if got := get(t, s, "g", "mark#1"); !bytes.Equal(got.Body, all) {
		t.Errorf("got %x", got.Body)
	}
	r.Body = nil
	put(t, s, r)
	if got := get(t, s, "g", "mark#1"); len(got.Body) != 0 {
		t.Errorf("a body that was taken away came back: %x", got.Body)
	}
}

func largeRows(t *testing.T, s store.Store) {
	r := row("g", "mark#1", "version", "1")
	r.Body = make([]byte, store.RowBytes-len("g")-len("mark#1")-len("version")-len("1"))
	for i := range r.Body {
		r.Body[i] = byte(rand.Uint32())
	}
	want := r.Body
	r = put(t, s, r)
	r = put(t, s, r)
	if got := get(t, s, "g", "mark#1"); !bytes.Equal(got.Body, want) {
		t.Error("the body of a large row came back changed")
	}
	r.Body = append(r.Body, 0)
	if _, err := s.Swap(t.Context(), r); err == nil {
		t.Errorf("a row of more than %d bytes was taken", store.RowBytes)
	}
}

func refusesBadRows(t *testing.T, s store.Store) {
	for _, r := range []store.Row{
		row("", "id"), row("g", ""), row("g", "id", "", "v"), row("g", "id", "k", ""),
		row(strings.Repeat("g", store.NameBytes+1), "id"), row("g", strings.Repeat("i", store.NameBytes+1)),
		row("g\x00", "id"), row("g", "\xff"), row("g", "id", "k", "\xff"),
	} {
		if _, err := s.Swap(t.Context(), r); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("%.40q/%.40q %v: %v, want an error that says what is wrong", r.Group, r.ID, r.Fields, err)
		}
	}
}

func rowsAreCopies(t *testing.T, s store.Store) {
	mine := row("g", "lease#1", "owner", "a")
	mine.Body = []byte("body")
	swapped := put(t, s, mine)
	spoil := func(r store.Row) { r.Fields["owner"] = "spoilt"; r.Body[0] = '!' }
	spoil(mine)
	spoil(swapped)
	got := get(t, s, "g", "lease#1")
	if got.Fields["owner"] != "a" || string(got.Body) != "body" {
		t.Errorf("the caller's changes reached the store: %v", got)
	}
	spoil(got)
	rows, err := s.List(t.Context(), "g", "")
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	spoil(rows[0])
	if got := get(t, s, "g", "lease#1"); got.Fields["owner"] != "a" || string(got.Body) != "body" {
		t.Errorf("a reader's changes reached the store: %v", got)
	}
}

func oneCreatorWins(t *testing.T, s store.Store) {
	won := race(t, func(ctx context.Context, i int) error {
		_, err := s.Swap(ctx, row("g", "lease#1", "owner", strconv.Itoa(i)))
		return err
	})
	if got := get(t, s, "g", "lease#1").Fields["owner"]; got != strconv.Itoa(won) {
		t.Errorf("goroutine %d was told that it won, the row says %s", won, got)
	}
}

func oneDeleterWins(t *testing.T, s store.Store) {
	r := put(t, s, row("g", "lease#1"))
	race(t, func(ctx context.Context, _ int) error { return s.Delete(ctx, r) })
}

// race runs try in many goroutines at once and returns the one that succeeded;
// all others must meet a conflict.
func race(t *testing.T, try func(ctx context.Context, i int) error) int {
	t.Helper()
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			errs[i] = try(t.Context(), i)
		})
	}
	close(start)
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Errorf("goroutines %d and %d both succeeded", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, store.ErrConflict):
			t.Errorf("goroutine %d: %v, want ErrConflict", i, err)
		}
	}
	if won < 0 {
		t.Error("nobody succeeded")
	}
	return won
}

func noIncrementIsLost(t *testing.T, s store.Store) {
	// Two rows, so that a store may not serialise by luck alone.
	const rounds = 1
	for _, id := range []string{"a", "b"} {
		put(t, s, row("g", id, "n", "0"))
	}
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			for range rounds {
				if err := increment(t.Context(), s, "g", []string{"a", "b"}[i%2]); err != nil {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"a", "b"} {
		if got := get(t, s, "g", id).Fields["n"]; got != strconv.Itoa(racers/2*rounds) {
			t.Errorf("row %s: %s increments arrived, want %d", id, got, racers/2*rounds)
		}
	}
}

// increment adds one to the field n, again and again until it meets no
// conflict.
func increment(ctx context.Context, s store.Store, group, id string) error {
	for {
		r, err := s.Get(ctx, group, id)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(r.Fields["n"])
		if err != nil {
			return err
		}
		_, err = s.Swap(ctx, edit(r, "n", strconv.Itoa(n+1)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func readersSeeWholeRows(t *testing.T, s store.Store) {
	write := func(r store.Row, i int) store.Row {
		r.Fields = map[string]string{"n": strconv.Itoa(i)}
		r.Body = bytes.Repeat([]byte{byte(i)}, 1000+i*100)
		return r
	}
	r := put(t, s, write(row("g", "mark#1"), 0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	check := func(r store.Row) {
		i, err := strconv.Atoi(r.Fields["n"])
		if err != nil || len(r.Body) != 1000+i*100 || bytes.Count(r.Body, []byte{byte(i)}) != len(r.Body) {
			t.Errorf("a torn row: n=%q and %d bytes", r.Fields["n"], len(r.Body))
		}
	}
	for i := range 4 {
		wg.Go(func() {
			var last uint64
			seen := map[uint64]bool{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				var got store.Row
				if i%2 == 0 {
					got = get(t, s, "g", "mark#1")
				} else if rows, err := s.List(t.Context(), "g", "mark#"); err != nil || len(rows) != 1 {
					t.Errorf("List: %d rows, %v", len(rows), err)
					return
				} else {
					got = rows[0]
				}
				check(got)
				if got.Revision != last && seen[got.Revision] {
					t.Errorf("went back to revision %d", got.Revision)
				}
				last = got.Revision
				seen[last] = true
			}
		})
	}
	for i := range 50 {
		r = put(t, s, write(r, i))
	}
	close(stop)
	wg.Wait()
}

func contextOver(t *testing.T, s store.Store) {
	r := put(t, s, row("g", "lease#1", "owner", "a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, "g", "lease#1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v, want context.Canceled", err)
	}
	if _, err := s.List(ctx, "g", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v, want context.Canceled", err)
	}
	if _, err := s.Swap(ctx, edit(r, "owner", "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("Swap: %v, want context.Canceled", err)
	}
	if err := s.Delete(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v, want context.Canceled", err)
	}
}

func closedStore(t *testing.T, s store.Store) {
	ctx := t.Context()
	r := put(t, s, row("g", "lease#1", "owner", "a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(ctx, "g", "lease#1")
	_, listErr := s.List(ctx, "g", "")
	_, swapErr := s.Swap(ctx, r)
	for what, err := range map[string]error{"Get": getErr, "List": listErr, "Swap": swapErr, "Delete": s.Delete(ctx, r)} {
		if err == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want an error that says closed", what, err)
		}
	}
}

func row(group, id string, fields ...string) store.Row {
	r := store.Row{Group: group, ID: id}
	for i := 0; i+1 < len(fields); i += 2 {
		if r.Fields == nil {
			r.Fields = map[string]string{}
		}
		r.Fields[fields[i]] = fields[i+1]
	}
	return r
}

func edit(r store.Row, field, value string) store.Row {
	r = r.Clone()
	if r.Fields == nil {
		r.Fields = map[string]string{}
	}
	r.Fields[field] = value
	return r
}

func put(t *testing.T, s store.Store, r store.Row) store.Row {
	t.Helper()
	out, err := s.Swap(t.Context(), r)
	if err != nil {
		t.Fatalf("write %.40q/%.40q: %v", r.Group, r.ID, err)
	}
	if out.Group != r.Group || out.ID != r.ID || !maps.Equal(out.Fields, r.Fields) || !bytes.Equal(out.Body, r.Body) {
		t.Fatalf("wrote %s, was given back %s", show(r), show(out))
	}
	return out
}

func get(t *testing.T, s store.Store, group, id string) store.Row {
	t.Helper()
	r, err := s.Get(t.Context(), group, id)
	if err != nil {
		t.Errorf("read %.40q/%.40q: %v", group, id, err)
	}
	return r
}

func same(a, b store.Row) bool {
	return a.Group == b.Group && a.ID == b.ID && a.Revision == b.Revision && maps.Equal(a.Fields, b.Fields) && bytes.Equal(a.Body, b.Body)
}

func show(r store.Row) string {
	return fmt.Sprintf("%.40q/%.40q revision %d %.200v and %d bytes", r.Group, r.ID, r.Revision, r.Fields, len(r.Body))
}
