package file

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas/store"
)

const (
	leases  = 1000
	workers = 10
	writers = 64
)

// BenchmarkHeartbeat is one row written again and again, in a group of many.
func BenchmarkHeartbeat(b *testing.B) {
	s := New(b.TempDir())
	fleet(b, s)
	row, err := s.Get(b.Context(), "g", "worker#0")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if row, err = s.Swap(b.Context(), row); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstStart makes the leases of a large stream.
func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		fleet(b, New(b.TempDir()))
	}
}

// BenchmarkHeartbeatBesideBulk tells how long a heartbeat takes while another
// handle, or the same, is kept busy by many goroutines.
func BenchmarkHeartbeatBesideBulk(b *testing.B) {
	for name, handle := range map[string]func(bulk *Store) *Store{
		"handle=same":  func(bulk *Store) *Store { return bulk },
		"handle=other": func(bulk *Store) *Store { return New(bulk.dir) },
	} {
		b.Run(name, func(b *testing.B) {
			bulk := New(b.TempDir())
			fleet(b, bulk)
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			for i := range writers {
				wg.Go(func() {
					row, err := bulk.Get(ctx, "g", "lease#"+strconv.Itoa(i))
					for err == nil {
						row, err = bulk.Swap(ctx, row)
					}
				})
			}
			s := handle(bulk)
			row, err := s.Get(b.Context(), "g", "worker#0")
			if err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if row, err = s.Swap(b.Context(), row); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			cancel()
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkList is a worker's look at its fleet, when nothing has changed and
// when another process has written a row since.
func BenchmarkList(b *testing.B) {
	for _, c := range []struct {
		name, prefix string
		rows         int
		write        bool
	}{
		{"rows=10", "worker#", workers, false},
		{"rows=1000", "lease#", leases, false},
		{"rows=10/changed", "worker#", workers, true},
		{"rows=1000/changed", "lease#", leases, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			s, other := New(dir), New(dir)
			fleet(b, other)
			row, err := other.Get(b.Context(), "g", "worker#0")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.List(b.Context(), "g", ""); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if c.write {
					b.StopTimer()
					if row, err = other.Swap(b.Context(), row); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				if rows, err := s.List(b.Context(), "g", c.prefix); err != nil || len(rows) != c.rows {
					b.Fatal(len(rows), err)
				}
			}
		})
	}
}

// BenchmarkOpen is a process's first look at a fleet.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	fleet(b, New(dir))
	for b.Loop() {
		if rows, err := New(dir).List(b.Context(), "g", "lease#"); err != nil || len(rows) != leases {
			b.Fatal(len(rows), err)
		}
	}
}

// fleet fills a store as a fleet of ten does at its first start on a stream of
// 1,000 shards.
func fleet(b *testing.B, s *Store) {
	b.Helper()
	write := func(id string) {
		row := store.Row{Group: "g", ID: id, Fields: map[string]string{
			"version": "1", "owner": "host-4711-abcdef", "sequence": strings.Repeat("4", 56), "possession": "17",
		}}
		if _, err := s.Swap(b.Context(), row); err != nil {
			b.Error(err)
		}
	}
	ids := make(chan int)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range ids {
				write("lease#" + strconv.Itoa(i))
			}
		})
	}
	for i := range leases {
		ids <- i
	}
	close(ids)
	wg.Wait()
	for i := range workers {
		write("worker#" + strconv.Itoa(i))
	}
}
