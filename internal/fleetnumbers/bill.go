//go:build unix

package fleetnumbers

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/libvegas/vegas/store"
)

// bill counts what a store's calls would cost in DynamoDB: a write takes a unit
// for each KiB begun of the larger of the row before and after, also when its
// condition fails; a read one for each 4 KiB begun of all rows that it touches,
// half of that where it may lag, at least one and half of one.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
type bill struct {
	store.Store

	mu     sync.Mutex
	sizes  map[string]int
	writes map[string]float64 // units by kind of row
	reads  map[string]float64
}

func newBill(s store.Store) *bill {
	return &bill{Store: s, sizes: map[string]int{}, writes: map[string]float64{}, reads: map[string]float64{}}
}

// take is what was spent since it was called last, by kind of row.
func (b *bill) take() (writes, reads map[string]float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	writes, reads = b.writes, b.reads
	b.writes, b.reads = map[string]float64{}, map[string]float64{}
	return writes, reads
}

// size is a row's as an item: names and values of its attributes, and what a map
// takes besides.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func size(r store.Row) int {
	n := len("group") + len(r.Group) + len("id") + len(r.ID)
	n += len("revision") + (len(strconv.FormatUint(r.Revision, 10))+1)/2 + 1
	n += len("fields") + 3
	for k, v := range r.Fields {
		n += len(k) + len(v) + 1
	}
	if len(r.Body) > 0 {
		n += len("body") + len(r.Body)
	}
	return n
}

func units(bytes, of int) float64 { return float64(max(1, (bytes+of-1)/of)) }

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "#")
	return kind
}

func (b *bill) wrote(id string, before, after int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes[kindOf(id)] += units(max(before, after), 1<<10)
}

func (b *bill) read(id string, bytes int, price float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads[kindOf(id)] += price * units(bytes, 4<<10)
}

// Swap implements store.Store.
func (b *bill) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	out, err := b.Store.Swap(ctx, row)
	key := row.Group + "/" + row.ID
	b.mu.Lock()
	before := b.sizes[key]
	if err == nil {
		b.sizes[key] = size(out)
	}
	after := b.sizes[key]
	b.mu.Unlock()
	b.wrote(row.ID, before, after)
	return out, err
}

// Delete implements store.Store.
func (b *bill) Delete(ctx context.Context, row store.Row) error {
	b.wrote(row.ID, size(row), 0)
	return b.Store.Delete(ctx, row)
}

// Get implements store.Store.
func (b *bill) Get(ctx context.Context, group, id string) (store.Row, error) {
	r, err := b.Store.Get(ctx, group, id)
	n := 0
	if err == nil {
		n = size(r)
	}
	b.read(id, n, 1)
	return r, err
}

// List implements store.Store.
func (b *bill) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	return b.list(ctx, group, prefix, 1)
}

// Peek implements store.Peeker.
func (b *bill) Peek(ctx context.Context, group, prefix string) ([]store.Row, error) {
	return b.list(ctx, group, prefix, 0.5)
}

func (b *bill) list(ctx context.Context, group, prefix string, price float64) ([]store.Row, error) {
	rows, err := b.Store.List(ctx, group, prefix)
	n := 0
	for _, r := range rows {
		n += size(r)
	}
	b.read(prefix, n, price)
	return rows, err
}
