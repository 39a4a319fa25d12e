package sqlite

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// A transaction that does not fit is told, leaves nothing behind, and what comes
// after it is stored when there is room again.
func TestDiskThatIsFull(t *testing.T) {
	b := New(filepath.Join(t.TempDir(), "buffer.db"), func(o *Options) { o.Logger = slog.New(slog.DiscardHandler) })
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	pages := func(pragma string) {
		b.file.mu.Lock()
		defer b.file.mu.Unlock()
		if _, err := b.file.conn.ExecContext(t.Context(), pragma); err != nil {
			t.Fatal(err)
		}
	}
	put := func() (uint64, error) {
		first, err := b.Append(t.Context(), []*record.Record{{PartitionKey: "k", Data: make([]byte, 50_000)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return first, b.Sync(t.Context(), first)
	}
	if _, err := put(); err != nil {
		t.Fatal(err)
	}
	pages(`PRAGMA max_page_count = 40`)
	stored := int64(1)
	for {
		seq, err := put()
		if err == nil {
			stored++
			b.Ack([]uint64{99}) // unknown
			continue
		}
		if !errors.Is(err, buffer.ErrNotBuffered) || !strings.Contains(err.Error(), "#buffer-disk-full") {
			t.Errorf("sync %d: %v, want ErrNotBuffered and how to make room", seq, err)
		}
		break
	}
	if s := b.Stats(); s.Items != stored || s.Appended != stored {
		t.Errorf("%d records are there: %+v", stored, s)
	}
	b.Ack([]uint64{1})
	if _, err := put(); err != nil {
		t.Errorf("after an acknowledgement: %v", err)
	}
	pages(`PRAGMA max_page_count = 10000`)
	last, err := put()
	if err != nil {
		t.Error(err)
	}
	for n := range stored + 1 {
		items, err := b.Next(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if n == stored && items[0].Seq != last {
			t.Errorf("the last record is %d, want %d", items[0].Seq, last)
		}
	}
	pages(`PRAGMA max_page_count = 40`)
	if _, err := b.Append(t.Context(), []*record.Record{{PartitionKey: "k", Data: make([]byte, 5_000_000)}}, nil); err != nil {
		t.Error(err)
	}
	if err := b.Close(); !errors.Is(err, buffer.ErrNotBuffered) {
		t.Errorf("close, with a record that nobody waited for and that does not fit: %v, want ErrNotBuffered", err)
	}
}
