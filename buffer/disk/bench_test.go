package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

// bare is the floor: one goroutine that takes what has gathered, one write, one
// sync. It promises nothing else.
type bare struct {
	file filesys.File
	at   int64

	mu    sync.Mutex
	group *bareGroup
	woken chan struct{}
}

type bareGroup struct {
	buf  []byte
	done chan struct{}
}

func (b *bare) run(ctx context.Context) error {
	for {
		select {
		case <-b.woken:
		case <-ctx.Done():
			return nil
		}
		b.mu.Lock()
		g := b.group
		b.group = nil
		b.mu.Unlock()
		if g == nil {
			continue
		}
		if _, err := b.file.WriteAt(g.buf, b.at); err != nil {
			return err
		}
		if err := b.file.Sync(); err != nil {
			return err
		}
		b.at += int64(len(g.buf))
		close(g.done)
	}
}

func (b *bare) append(data []byte) {
	b.mu.Lock()
	g := b.group
	if g == nil {
		g = &bareGroup{done: make(chan struct{})}
		b.group = g
	}
	g.buf = append(g.buf, data...)
	b.mu.Unlock()
	poke(b.woken)
	<-g.done
}

// BenchmarkAppend is durable appends of 1 KB by many writers at once, beside a
// bare loop that does the same writes and syncs. Nobody acknowledges.
func BenchmarkAppend(b *testing.B) {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i)
	}
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d/bare", writers), func(b *testing.B) {
			f, err := filesys.OS{}.Open(filepath.Join(b.TempDir(), "x"), os.O_CREATE|os.O_RDWR, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			loop := &bare{file: f, woken: make(chan struct{}, 1)}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			go func() { _ = loop.run(ctx) }()
			b.SetBytes(int64(len(data)))
			concurrently(b, writers, func() { loop.append(data) })
		})
		b.Run(fmt.Sprintf("writers=%d/log", writers), func(b *testing.B) {
			l := New(filepath.Join(b.TempDir(), "x"), silent)
			if err := l.Open(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			concurrently(b, writers, func() {
				seq, err := l.Append(b.Context(), []*record.Record{{PartitionKey: "customer-42", Data: data}}, nil)
				if err == nil {
					err = l.Sync(b.Context(), seq)
				}
				if err != nil {
					b.Error(err)
				}
			})
			s := l.Stats()
			b.ReportMetric(float64(s.Appended)/float64(s.Syncs), "records/sync")
		})
	}
}

func concurrently(b *testing.B, writers int, f func()) {
	work := make(chan struct{}, writers)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range work {
				f()
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	all.Wait()
}

// BenchmarkReopen is how long it takes from Open to the first record, with a
// backlog of 1 GiB that was not closed in order.
func BenchmarkReopen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "x")
	l := New(dir, silent)
	if err := l.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	batch := make([]*record.Record, 1000)
	for i := range batch {
		batch[i] = &record.Record{PartitionKey: "customer-42", Data: make([]byte, 1000)}
	}
	for range 1 << 20 / len(batch) {
		seq, err := l.Append(b.Context(), batch, nil)
		if err == nil {
			err = l.Sync(b.Context(), seq)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	for b.Loop() {
		b.StopTimer()
		unclose(b, dir)
		b.StartTimer()
		l := New(dir, silent)
		if err := l.Open(b.Context()); err != nil {
			b.Fatal(err)
		}
		if items, err := l.Next(b.Context(), 1<<20); err != nil || items[0].Seq != 1 {
			b.Fatal(err)
		}
		b.StopTimer()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// unclose takes the closing group off the last segment.
func unclose(b *testing.B, dir string) {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		b.Fatal(err)
	}
	last := names[len(names)-1]
	info, err := os.Stat(last)
	if err == nil {
		err = os.Truncate(last, info.Size()-groupBytes)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDrain is reading from the disk, 1 KB a record, and acknowledging.
func BenchmarkDrain(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "x")
	l := New(dir, silent)
	if err := l.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if _, err := l.Append(b.Context(), []*record.Record{{PartitionKey: "customer-42", Data: make([]byte, 1000)}}, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	l = New(dir, silent)
	if err := l.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1000)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		items, err := l.Next(b.Context(), 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		seqs := make([]uint64, len(items))
		for i := range items {
			seqs[i] = items[i].Seq
		}
		l.Ack(seqs)
		n += len(items)
	}
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
