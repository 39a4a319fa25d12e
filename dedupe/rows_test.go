package dedupe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

func entriesOf(from, to int) (all []entry) {
	for i := from; i < to; i++ {
		all = append(all, entry{key: hash([]byte(fmt.Sprintf("%016d", i))), origin: uint64(i), at: int64(i)})
	}
	return all
}

func bodyOf(entries []entry) store.Row {
	return store.Row{Group: "g", ID: "i", Fields: map[string]string{fieldVersion: rowVersion}, Body: encode(entries)}
}

func TestRowsAreReadAsWritten(t *testing.T) {
	for _, n := range []int{0, 1, 1000, rowEntries} {
		row := bodyOf(entriesOf(0, n))
		row.Group, row.ID = strings.Repeat("g", 200), strings.Repeat("i", 1000)
		if err := store.Check(row); err != nil {
			t.Errorf("%d entries: %v", n, err)
		}
		if got, err := decode(row); err != nil || !slices.Equal(got, entriesOf(0, n)) {
			t.Errorf("%d entries: %d, %v", n, len(got), err)
		}
	}
	row := bodyOf(entriesOf(0, 9))
	for i := range row.Body {
		bad := row
		bad.Body = bytes.Clone(row.Body)
		bad.Body[i] ^= 4
		if _, err := decode(bad); !errors.Is(err, errDamaged) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		bad.Body = row.Body[:i]
		if _, err := decode(bad); !errors.Is(err, errDamaged) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	row.Fields[fieldVersion] = "2"
	if _, err := decode(row); !errors.Is(err, errNewer) {
		t.Errorf("of a later version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		f.Add(encode(entriesOf(0, n)))
	}
	f.Add([]byte("vd\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := decode(store.Row{Body: b})
		if err != nil {
			return
		}
		if again := encode(entries); !bytes.Equal(again, b) {
			t.Errorf("%x is read and written as %x", b, again)
		}
		// Whatever it says, it can be restored.
		st := &state{table: table{window: 1 << 40, limit: 4}}
		st.observer = nopObserver
		st.restore(0, entries)
	})
}

func possession(rows store.Store, number uint64, ancestors ...string) *layer.Shard {
	return &layer.Shard{
		ID: "shardId-9", Ancestors: ancestors, Possession: number, Store: rows, Group: "g", Rows: "layer#s:",
		Checkpoint: func() record.Position { return record.ShardEnd }, Observer: nopObserver, Warn: func(string, ...any) {},
	}
}

func list(t *testing.T, rows store.Store) (all []store.Row) {
	t.Helper()
	all, err := rows.List(context.Background(), "g", "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRowsAreAddedToAndCleared(t *testing.T) {
	kept := memory.New()
	rs := &rows{shard: possession(kept, 7), name: "dedupe-1", limit: 1 << 20}
	at := 0
	write := func(n int) {
		t.Helper()
		if written, err := rs.write(t.Context(), entriesOf(at, at+n)); err != nil || written != n {
			t.Fatal(written, err)
		}
		at += n
	}
	for range 10 {
		write(40)
	}
	if got := list(t, kept); len(got) != 1 || got[0].ID != "layer#s:shardId-9:dedupe-1:0000000000000007:000001" {
		t.Errorf("few keys are in %d rows", len(got))
	}
	write(2*rowEntries + 5)
	if got := list(t, kept); len(got) != 3 {
		t.Errorf("%d rows", len(got))
	}
	again := &rows{shard: possession(kept, 8), name: "dedupe-1", limit: 1 << 20}
	if all, err := again.read(t.Context(), nil); err != nil || !slices.Equal(all, entriesOf(0, at)) || again.keys != at {
		t.Errorf("%d keys of %d, %v", len(all), at, err)
	}
	// A new possession leaves the rows of others alone, and deletes what is over.
	rs = again
	write(3)
	if got := list(t, kept); len(got) != 4 {
		t.Errorf("%d rows", len(got))
	}
	if err := rs.clear(t.Context(), int64(rowEntries-1)); err != nil || len(list(t, kept)) != 3 {
		t.Errorf("%d rows, %v", len(list(t, kept)), err)
	}
	rs.limit = 400
	if err := rs.clear(t.Context(), 0); err != nil || len(list(t, kept)) != 2 {
		t.Errorf("%d rows, %v", len(list(t, kept)), err)
	}
	if err := rs.clear(t.Context(), int64(at)); err != nil || len(list(t, kept)) != 1 {
		t.Errorf("%d rows, %v", len(list(t, kept)), err)
	}
	if rs.keys != 3 {
		t.Errorf("%d keys", rs.keys)
	}
}

// lossy applies writes and loses the answers.
type lossy struct {
	store.Store
	lost bool
}

func (l *lossy) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	out, err := l.Store.Swap(ctx, r)
	if l.lost && err == nil {
		return store.Row{}, errors.New("no answer")
	}
	return out, err
}

func TestALostAnswerLosesNothing(t *testing.T) {
	kept := &lossy{Store: memory.New()}
	rs := &rows{shard: possession(kept, 1), name: "d", limit: 1000}
	for i := range 20 {
		kept.lost = i%3 == 1
		written, err := rs.write(t.Context(), entriesOf(10*i, 10*i+10))
		if (err != nil) != kept.lost || written != 0 && kept.lost {
			t.Fatal(i, written, err)
		}
		if kept.lost {
			kept.lost = false
			if _, err := rs.write(t.Context(), entriesOf(10*i, 10*i+10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := (&rows{shard: possession(kept, 2), name: "d"}).read(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b entry) int { return int(a.at - b.at) })
	if got := slices.Compact(all); !slices.Equal(got, entriesOf(0, 200)) {
		t.Errorf("%d keys", len(got))
	}
}

func TestDamagedRowsCountAsNoneAndAreDeleted(t *testing.T) {
	kept := memory.New()
	rs := &rows{shard: possession(kept, 1), name: "d", limit: 1000}
	if _, err := rs.write(t.Context(), entriesOf(0, 5)); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]store.Row{
		"damaged": {Fields: map[string]string{fieldVersion: rowVersion}, Body: []byte("vd\x01rubbish")},
		"newer":   {Fields: map[string]string{fieldVersion: "2"}, Body: []byte("??")},
	} {
		row.Group, row.ID = "g", "layer#s:shardId-9:d:"+name
		if _, err := kept.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	rs = &rows{shard: possession(kept, 2), name: "d", limit: 1000}
	warned := 0
	all, err := rs.read(t.Context(), func(string, ...any) { warned++ })
	if err != nil || len(all) != 5 || warned != 2 {
		t.Errorf("%d keys, %d warnings, %v", len(all), warned, err)
	}
	if err := rs.clear(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	if left := list(t, kept); len(left) != 2 || !strings.HasSuffix(left[1].ID, ":newer") {
		t.Errorf("%d rows", len(left))
	}
}
