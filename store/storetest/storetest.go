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
	"testing"

	"github.com/libvegas/vegas/store"
)

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
		{"A prefix is no pattern", prefixIsNoPattern},
		{"List gives all, however much it is", listsAll},
		{"A peek sees what was there", peeks},
		{"Groups are apart", groupsAreApart},
		{"Names may hold anything that is text", strangeNames},
		{"Fields unknown to a writer survive", unknownFieldsSurvive},
		{"A field left out is gone", fieldLeftOut},
		{"Text comes back character for character", textIsExact},
		{"A body comes back byte for byte", bodyIsExact},
		{"The largest row fits", largeRows},
		{"Rows that no store can keep are refused", refusesBadRows},
		{"Rows are copies", rowsAreCopies},
		{"One of many creators wins", oneCreatorWins},
		{"No increment is lost", noIncrementIsLost},
		{"One of many deleters wins", oneDeleterWins},
		{"Every revision has one winner", everyRevisionHasOneWinner},
		{"Readers see whole rows", readersSeeWholeRows},
		{"A write whose answer was lost happens once", lostAnswers},
		{"An interrupted write happened or did not", interruptedWrites},
		{"A context that is over", contextOver},
		{"A closed store", closedStore},
		{"Close while others write", closesWhileUsed},
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

// What is not there must be told from what could not be read.
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

// A writer that did not see the last write must not undo it.
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
	ahead := second
	ahead.Revision++
	if _, err := s.Swap(ctx, ahead); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written from a revision to come: %v, want ErrConflict", err)
	}
	// A write that changes nothing is a write: it proves that nobody was faster.
	third := put(t, s, second)
	if third.Revision == second.Revision {
		t.Error("a write of equal contents left the revision as it was")
	}
}

// Nor must it delete what it has not seen.
func deleteNeedsRevision(t *testing.T, s store.Store) {
	ctx := t.Context()
	first := put(t, s, row("g", "lease#1", "owner", "a"))
	second := put(t, s, edit(first, "owner", "b"))
	if err := s.Delete(ctx, first); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted from an old reading: %v, want ErrConflict", err)
	}
	if err := s.Delete(ctx, row("g", "lease#1")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted as if it were not there: %v, want ErrConflict", err)
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

// A sleeper that wakes up with an old reading must be refused, also if the row
// was deleted and made anew, often, while it slept.
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

// Rows of a kind are those that start alike; all who list see the same order.
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

// Databases look for prefixes by patterns or by the next larger text, and both
// have corners: wildcards, case, and characters that nothing is larger than.
func prefixIsNoPattern(t *testing.T, s store.Store) {
	ids := []string{
		"a", "a%", "a%b", "a_", "a_b", "ab", "aXb", "a*", "a?", "a[b]", `a\`, `a\%`, "A%b", "a'b", `a"b`, "a\x7f", "a\x7fb",
		"é", "e\u0301", "É", "ée", "日", "日本", "a\ud7ff", "a\ue000", "a\uffff", "a\uffffb", "a\U00010000",
		"a\U0010ffff", "a\U0010ffffb", "a\U0010ffff\U0010ffff", "\U0010ffff", "\U0010ffff\U0010ffff", "b",
	}
	for _, id := range ids {
		put(t, s, row("g", id, "id", id))
	}
	slices.Sort(ids)
	for _, prefix := range append(ids, "", "a\u00ff", "%", "_", "_%", ".*", "zz") {
		var want, got []string
		for _, id := range ids {
			if strings.HasPrefix(id, prefix) {
				want = append(want, id)
			}
		}
		rows, err := s.List(t.Context(), "g", prefix)
		if err != nil {
			t.Errorf("prefix %q: %v", prefix, err)
			continue
		}
		for _, r := range rows {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: listed %q, want %q", prefix, got, want)
		}
	}
}

// A database gives a megabyte or a hundred rows at a time; a lease that is not
// listed would be made anew.
func listsAll(t *testing.T, s store.Store) {
	const many, large = 150, 4
	for i := range many {
		put(t, s, row("g", fmt.Sprintf("lease#%03d", i), "n", strconv.Itoa(i)))
	}
	for i := range large {
		r := row("g", fmt.Sprintf("mark#%03d", i))
		r.Body = make([]byte, store.RowBytes-1000)
		put(t, s, r)
	}
	for prefix, want := range map[string]int{"lease#": many, "mark#": large, "": many + large} {
		rows, err := s.List(t.Context(), "g", prefix)
		if err != nil || len(rows) != want || !slices.IsSortedFunc(rows, func(a, b store.Row) int { return strings.Compare(a.ID, b.ID) }) {
			t.Errorf("prefix %q: %d rows, %v, want %d in order", prefix, len(rows), err, want)
		}
	}
}

// A peek may be late, but it shows nothing that never was.
func peeks(t *testing.T, s store.Store) {
	r := row("g", "worker#1")
	was := map[uint64]store.Row{}
	for i := range 5 {
		r = put(t, s, edit(r, "beat", strconv.Itoa(i)))
		was[r.Revision] = r
		rows, err := store.Peek(t.Context(), s, "g", "worker#")
		if err != nil || len(rows) > 1 {
			t.Fatalf("%v, %v", rows, err)
		}
		if len(rows) == 1 && !same(rows[0], was[rows[0].Revision]) {
			t.Errorf("peeked %v, which the row never was", rows[0])
		}
	}
}

// One store serves many groups.
func groupsAreApart(t *testing.T, s store.Store) {
	groups := []string{"g", "G", "g/h", "g#", "gg", "%", "_", "g ", "é", "e\u0301"}
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

// Names hold what users call their groups and streams; neither a file system nor
// a database may fold, trim or interpret them.
func strangeNames(t *testing.T, s store.Store) {
	names := []string{
		"a b", "../../etc/passwd", "..", ".", "con", "NUL", "nul.txt", "x:y", "x*?<>|\"", `back\slash`, "tab\tnewline\n",
		"%2F", "=", "日本語", "Ä", "ä", "A\u0308", "a\u0308", "ß", "ss", "\u200b", "\ufeff", "\U0010ffff", "'; --", "$1", "{{.}}", "0", "null", "a.", "a ", strings.Repeat("long", store.NameBytes/4),
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

// Processes of several releases write the same rows.
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

// A row is replaced, not merged with what was there.
func fieldLeftOut(t *testing.T, s store.Store) {
	r := put(t, s, row("g", "lease#1", "owner", "a", "heir", "b"))
	delete(r.Fields, "heir")
	r = put(t, s, r)
	if got := get(t, s, "g", "lease#1").Fields; !maps.Equal(got, map[string]string{"owner": "a"}) {
		t.Errorf("got %v, want the owner alone", got)
	}
	r.Fields = nil
	put(t, s, r)
	if got := get(t, s, "g", "lease#1").Fields; len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

// Numbers of 56 digits, spaces and escapes are text; nothing may parse, trim or
// normalise them.
func textIsExact(t *testing.T, s store.Store) {
	want := map[string]string{"$set": "a.b", "a.b[0]": "#x", ":v": "x", "Owner": "A", "owner": "a", "null": "null"}
	for i, v := range []string{
		" ", "  both ends  ", "\t\r\n", "0012", "1e3", "true", "null", "49652305827368720000000000000000000000000000000000000001",
		`"quoted"`, `{"a": [1, 2]}`, `back\slash \u0041 \x00`, "</script>&amp;", "\u2028\u2029", "\x01\x1f\x7f", "\ufffd", "é e\u0301", "𝔘\U0010ffff", "\ufeffmark",
	} {
		want["f"+strconv.Itoa(i)] = v
		want["f"+v] = "x"
	}
	put(t, s, store.Row{Group: "g", ID: "lease#1", Fields: want})
	if got := get(t, s, "g", "lease#1").Fields; !maps.Equal(got, want) {
		for k, v := range want {
			if got[k] != v {
				t.Errorf("field %q: got %q, want %q", k, got[k], v)
			}
		}
	}
}

// A body is whatever somebody packed.
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

// What fits RowBytes fits every store; more is refused before it can do harm.
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
	if got := get(t, s, "g", "mark#1"); !bytes.Equal(got.Body, want) || got.Revision != r.Revision {
		t.Errorf("the refused row left a trace: %s", show(got))
	}

	// In fields, of characters that grow when a store escapes them.
	many := row("g", "mark#2")
	many.Fields = map[string]string{}
	for i := range 10 {
		many.Fields["field"+strconv.Itoa(i)] = strings.Repeat("\"\\\n\x01", 9_980)
	}
	many = put(t, s, many)
	if got := get(t, s, "g", "mark#2"); !same(got, many) {
		t.Error("the fields of a large row came back changed")
	}
}

// A row that one store takes and another refuses would bind its writer to one.
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

// Callers edit the rows that they hold.
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

// Whoever gave up waiting does not get what it no longer expects.
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

// After Close an answer would come from nowhere; in particular "conflict" and
// "not found" would be taken for facts.
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
