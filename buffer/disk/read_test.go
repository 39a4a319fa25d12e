package disk

import (
	"path/filepath"
	"testing"

	"github.com/libvegas/vegas/record"
)

// A reader that falls behind what is kept in memory, and catches up again, gets
// every record once and in order, wherever in a group that happens.
func TestReaderFallsBehind(t *testing.T) {
	const group = 20
	l := New(filepath.Join(t.TempDir(), "buffer"), silent)
	mustOpen(t, l)
	defer mustClose(t, l)
	var written, read uint64
	batch := make([]*record.Record, group)
	for i := range batch {
		batch[i] = &record.Record{PartitionKey: "k", Data: make([]byte, 50<<10)}
	}
	write := func(groups int) {
		for range groups {
			seq, err := l.Append(t.Context(), batch, nil)
			if err == nil {
				err = l.Sync(t.Context(), seq)
			}
			if err != nil {
				t.Fatal(err)
			}
			written = seq
		}
	}
	// next reads until n records more have come, some at a time.
	next := func(n uint64, some int) {
		for to := read + n; read < to; {
			items, err := l.Next(t.Context(), min(some, int(to-read))*(50<<10))
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range items {
				if read++; it.Seq != read {
					t.Fatalf("record %d came where %d is next", it.Seq, read)
				}
			}
		}
	}
	const behind = 2 * cacheBytes / (group * 50 << 10) // groups that make all before them leave memory
	for _, at := range []uint64{0, 1, 7, group - 1} {
		for _, some := range []int{1, 1000} {
			write(behind)
			next(written-read-group, some) // from the disk, then from memory
			next(at, some)                 // of the last group
			write(behind)                  // which leaves
			next(group, some)
			next(written-read, some)
		}
	}
}
