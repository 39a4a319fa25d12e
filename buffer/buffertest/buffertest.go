// Package buffertest is what every buffer has to satisfy. A buffer's own test
// calls Run.
package buffertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// Place is where a buffer keeps what it has.
type Place struct {
	// New returns a buffer on what is kept here, to be opened by the suite. All
	// that it returned before are closed, but in one test, where the last is open
	// and Open has to refuse the new one. A buffer that keeps nothing elsewhere
	// may return itself.
	New func(t *testing.T) buffer.Buffer
	// Copy returns another place with what is kept here at present: what a process
	// leaves that is killed now, or a backup that is made now. The buffer here may
	// be open, but nothing waits to be made durable.
	Copy func(t *testing.T) Place
}

// Run checks a buffer. place returns a new and empty place each time; its
// buffers take no more room than limit, about, if that is not 0.
func Run(t *testing.T, place func(t *testing.T, limit int64) Place) {
	for _, c := range []struct {
		name  string
		limit int64
		test  func(t *testing.T, p Place)
	}{
		{"Records come out in their order", 0, order},
		{"Records come out as they went in", 0, exact},
		{"Large records", 0, large},
		{"Records are copied", 0, copied},
		{"Numbers have no gap", 0, gapless},
		{"Numbers are assigned before Next", 0, assigns},
		{"What nobody waits for comes out too", 0, unwaited},
		{"Next gives no more than asked for", 0, measured},
		{"Next waits", 0, nextWaits},
		{"A context that is over", 0, contextOver},
		{"Many at once", 0, together},
		{"A full buffer", full, fullRefuses},
		{"A full buffer goes on by itself", full, fullResumes},
		{"A full buffer is closed", full, fullCloses},
		{"More than fits", full, oversize},
		{"What is not acknowledged comes again", 0, backlog},
		{"Each opening has an identity of its own", 0, identities},
		{"Numbers are never given twice", 0, numbersRise},
		{"Holes", 0, holes},
		{"Acknowledgements of what is not there", 0, unknownAcks},
		{"A second one is refused", 0, refused},
		{"Close ends all calls", 0, closes},
		{"Close makes durable", 0, closeKeeps},
		{"Stats", 0, stats},
		{"Dead letters", 0, deadLetters},
		{"Dead letters are kept", 0, deadKept},
		{"Buried again", 0, buriedAgain},
		{"Replay", 0, replays},
		{"Buried while others replay", 0, replaysAtOnce},
		{"Killed after Sync", 0, killed},
		{"Killed after Bury and Replay", 0, killedDead},
		{"Copies that both go on", 0, copies},
		{"A long life", 0, longLife},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, place(t, c.limit)) })
	}
}

const (
	// patience is how long a test waits for what may as well never happen.
	patience = 100 * time.Millisecond
	// lost is when a record that should come is given up.
	lost = 30 * time.Second
)

// open opens the next buffer of a place.
func open(t *testing.T, p Place) buffer.Buffer {
	t.Helper()
	b := p.New(t)
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, b) })
	return b
}

func closeIt(t *testing.T, b buffer.Buffer) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func numbered(from, to int) []*record.Record {
	var records []*record.Record
	for i := from; i < to; i++ {
		records = append(records, &record.Record{PartitionKey: fmt.Sprint("key ", i%7), Data: fmt.Appendf(nil, "record %d", i)})
	}
	return records
}

// add appends in one call and does not wait for anything else.
func add(t *testing.T, b buffer.Buffer, records ...*record.Record) uint64 {
	t.Helper()
	first, err := b.Append(t.Context(), records, nil)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// put appends in one call and makes durable.
func put(t *testing.T, b buffer.Buffer, records ...*record.Record) uint64 {
	t.Helper()
	first := add(t, b, records...)
	if err := b.Sync(t.Context(), first+uint64(len(records))-1); err != nil {
		t.Fatal(err)
	}
	return first
}

// take takes n items out, and copies their data.
func take(t *testing.T, b buffer.Buffer, n int) []buffer.Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lost)
	defer cancel()
	var all []buffer.Item
	for len(all) < n {
		items, err := b.Next(ctx, 1) // one at a time, unless empty
		if err != nil {
			t.Fatalf("next, after %d of %d items: %v", len(all), n, err)
		}
		all = append(all, keep(items)...)
	}
	if len(all) > n {
		t.Fatalf("Next gave %d items, want %d", len(all), n)
	}
	return all
}

// keep copies what is valid only until the next call.
func keep(items []buffer.Item) []buffer.Item {
	items = slices.Clone(items)
	for i := range items {
		items[i].Data = bytes.Clone(items[i].Data)
	}
	return items
}

// want compares what came out with what went in.
func want(t *testing.T, items []buffer.Item, first uint64, records []*record.Record) {
	t.Helper()
	if len(items) != len(records) {
		t.Fatalf("%d items, want %d", len(items), len(records))
	}
	for i, it := range items {
		if it.Seq != first+uint64(i) {
			t.Fatalf("item %d has number %d, want %d", i, it.Seq, first+uint64(i))
		}
		if text := differs(&it, records[i]); text != "" {
			t.Fatalf("item %d is not what went in: %s", it.Seq, text)
		}
	}
}

// differs tells in what an item is not its record; "" if in nothing.
func differs(it *buffer.Item, r *record.Record) string {
	switch {
	case it.Key != r.PartitionKey:
		return fmt.Sprintf("key %q, want %q", it.Key, r.PartitionKey)
	case it.ExplicitHashKey != r.ExplicitHashKey:
		return fmt.Sprintf("explicit hash key %q, want %q", it.ExplicitHashKey, r.ExplicitHashKey)
	case !bytes.Equal(it.Data, r.Data):
		return fmt.Sprintf("data %s, want %s", shown(it.Data), shown(r.Data))
	case !slices.Equal(it.Headers, r.Headers):
		return fmt.Sprintf("headers %q, want %q", it.Headers, r.Headers)
	}
	return ""
}

func shown(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%d bytes that begin with %q", len(data), data[:40])
	}
	return fmt.Sprintf("%q", data)
}

// same tells whether two are one item, also after having been stored.
func same(a, b *buffer.Item) bool {
	r := &record.Record{PartitionKey: b.Key, ExplicitHashKey: b.ExplicitHashKey, Data: b.Data, Headers: b.Headers}
	return a.Producer == b.Producer && a.Seq == b.Seq && differs(a, r) == "" &&
		a.Accepted.UnixMilli() == b.Accepted.UnixMilli()
}

func wantSame(t *testing.T, got, want []buffer.Item) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b buffer.Item) bool { return same(&a, &b) }) {
		t.Fatalf("came out: %s\nwant: %s", list(got), list(want))
	}
}

func list(items []buffer.Item) string {
	var text strings.Builder
	for i := range items {
		it := &items[i]
		fmt.Fprintf(&text, "\n  %x/%d %s %s %s", it.Producer[:4], it.Seq, it.Accepted.UTC().Format(time.StampMilli), it.Key, shown(it.Data))
	}
	return text.String()
}

func seqs(items ...buffer.Item) []uint64 {
	numbers := make([]uint64, len(items))
	for i := range items {
		numbers[i] = items[i].Seq
	}
	return numbers
}

// letters are all dead letters.
func letters(t *testing.T, b buffer.Buffer) []buffer.Dead {
	t.Helper()
	var all []buffer.Dead
	err := b.Dead(t.Context(), func(d *buffer.Dead) bool {
		one := *d
		one.Data = bytes.Clone(d.Data)
		all = append(all, one)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ending is a context that is over soon.
func ending(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want an error that wraps %q", what, err, want)
	}
}
