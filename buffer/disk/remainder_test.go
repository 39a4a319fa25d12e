package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/record"
)

// mustOpen opens a log, or ends the test.
func mustOpen(t *testing.T, l *Log) *Log {
	t.Helper()
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func mustClose(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// appendEach appends records one by one, each synced, and returns their numbers.
func appendEach(t *testing.T, l *Log, n, size int) []uint64 {
	t.Helper()
	var seqs []uint64
	for i := range n {
		data := make([]byte, size)
		copy(data, fmt.Sprint("record ", i))
		seq, err := l.Append(t.Context(), []*record.Record{{PartitionKey: "k", Data: data}}, nil)
		if err == nil {
			err = l.Sync(t.Context(), seq)
		}
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	return seqs
}

// readAll reads items until n have come.
func readAll(t *testing.T, l *Log, n int) []buffer.Item {
	t.Helper()
	var all []buffer.Item
	for len(all) < n {
		items, err := l.Next(t.Context(), 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			it.Data = slices.Clone(it.Data)
			all = append(all, it)
		}
	}
	return all
}

func numbers(items []buffer.Item) []uint64 {
	var seqs []uint64
	for i := range items {
		seqs = append(seqs, items[i].Seq)
	}
	return seqs
}

// One record in twenty is stuck: what the others took is given back, and the
// stuck ones keep number, identity, bytes and order.
func TestRemainders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New("/")
		options := func(o *Options) { o.FS, o.SegmentBytes = fs, 8000; silent(o) }
		l := mustOpen(t, New("/buffer", options))
		appendEach(t, l, 2000, 300)
		items := readAll(t, l, 2000)
		var stuck []buffer.Item
		var acked []uint64
		for i, it := range items {
			if i%20 == 7 {
				stuck = append(stuck, it)
			} else {
				acked = append(acked, it.Seq)
			}
		}
		l.Ack(acked)
		synctest.Wait()
		// Segments of 18 records: remainders of one or none, merged
		// by eights as far as they fit a segment.
		s := l.Stats()
		if s.Items != 100 || s.First != 8 || s.Bytes > 120_000 || len(l.segments) > 35 {
			t.Errorf("100 of 2000 records are left, in %d segments: %+v", len(l.segments), s)
		}
		// Some more go, in remainders.
		l.Ack(numbers(stuck[10:40]))
		stuck = slices.Delete(stuck, 10, 40)
		synctest.Wait()
		if s := l.Stats(); s.Items != 70 {
			t.Errorf("70 are left: %+v", s)
		}
		for range 2 {
			mustClose(t, l)
			l = mustOpen(t, New("/buffer", options))
			if s := l.Stats(); s.Items != 70 || s.First != 8 || !s.Oldest.Equal(stuck[0].Accepted) || s.Lost != 0 {
				t.Errorf("opened again: %+v", s)
			}
			again := readAll(t, l, 70)[:70]
			for i, it := range again {
				if w := stuck[i]; it.Seq != w.Seq || it.Producer != w.Producer || !it.Accepted.Equal(w.Accepted) || string(it.Data) != string(w.Data) {
					t.Fatalf("item %d is %d of %x, want %d of %x", i, it.Seq, it.Producer, w.Seq, w.Producer)
				}
			}
		}
		// Acknowledged when only a part of its remainder has been given out.
		mustClose(t, l)
		l = mustOpen(t, New("/buffer", options))
		items, err := l.Next(t.Context(), 1)
		if err != nil || len(items) != 1 {
			t.Fatalf("%d items, %v", len(items), err)
		}
		l.Ack(numbers(items))
		if s := l.Stats(); s.Items != 69 || s.First != stuck[1].Seq {
			t.Errorf("when the first is acknowledged: %+v", s)
		}
		readAll(t, l, 69)
		l.Ack(numbers(stuck))
		synctest.Wait()
		if s := l.Stats(); s.Items != 0 || s.First != 2001 || s.Bytes > 8000 {
			t.Errorf("when all are acknowledged: %+v", s)
		}
		mustClose(t, l)
	})
}

// A log that was full when it was closed, and whose records are acknowledged,
// takes new ones when it is opened again.
func TestFullWhenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := crashfs.New("/")
		options := func(o *Options) { o.FS, o.SegmentBytes, o.Bytes = fs, 1<<20, 20_800; silent(o) }
		l := mustOpen(t, New("/buffer", options))
		appendEach(t, l, 40, 400)
		items := readAll(t, l, 40)
		mustClose(t, l)
		l = mustOpen(t, New("/buffer", options))
		readAll(t, l, 40)
		l.Ack(numbers(items[:30]))
		appendEach(t, l, 20, 400)
		if s := l.Stats(); s.Items != 30 || s.Bytes > 20_800 {
			t.Errorf("after 30 of 40 made room for 20: %+v", s)
		}
		l.Ack(numbers(items[30:]))
		readAll(t, l, 20)
		mustClose(t, l)
	})
}

// What is appended lately is served from memory, what is older from the disk,
// and a reader that was far behind finds its place.
func TestReaderThatIsBehind(t *testing.T) {
	l := mustOpen(t, New(filepath.Join(t.TempDir(), "buffer"), silent))
	const n, size = 400, 100 << 10 // 40 MB, five times the memory
	batch := make([]*record.Record, 10)
	next := 0
	write := func(records int) {
		for range records / len(batch) {
			for i := range batch {
				data := make([]byte, size)
				copy(data, fmt.Sprint(next))
				batch[i] = &record.Record{PartitionKey: "k", Data: data}
				next++
			}
			seq, err := l.Append(t.Context(), batch, nil)
			if err == nil {
				err = l.Sync(t.Context(), seq+9)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	read := 0
	check := func(records int) {
		for records > 0 {
			items, err := l.Next(t.Context(), 3*size)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range items {
				if want := fmt.Sprint(read); it.Seq != uint64(read)+1 || string(it.Data[:len(want)]) != want || len(it.Data) != size {
					t.Fatalf("record %d came out as %d", it.Seq, read+1)
				}
				read++
			}
			records -= len(items)
		}
	}
	write(n)
	check(30)     // from the disk
	check(n - 30) // and on into memory
	write(20)
	check(20) // from memory
	write(n)  // the reader is left behind again
	check(n)
	if held := l.held; held > cacheBytes+gatherBytes {
		t.Errorf("%d bytes are held in memory", held)
	}
	mustClose(t, l)
}

// A directory is looked at beside the process that has it, and after it.
func TestInspect(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	if _, err := Inspect(dir); err == nil {
		t.Error("a directory that does not exist was inspected")
	}
	l := mustOpen(t, New(dir, silent, func(o *Options) { o.Label, o.SegmentBytes = "orders", 3000 }))
	appendEach(t, l, 20, 300)
	items := readAll(t, l, 20)
	l.Ack(numbers(items[:2]))
	if err := l.Bury(t.Context(), []buffer.Dead{{Item: items[4], Reason: "too large"}}); err != nil {
		t.Fatal(err)
	}
	for _, held := range []bool{true, false} {
		r, err := Verify(dir, func(p Problem) { t.Errorf("problem: %+v", p) })
		if err != nil {
			t.Fatal(err)
		}
		if r.Label != "orders" || r.Version != 1 || r.Held != held || r.Items != 17 || r.Dead != 1 || r.Bytes < 5000 ||
			!r.Oldest.Equal(items[2].Accepted) || len(r.Segments) < 2 || r.Problems != 0 || r.Lost != 0 {
			t.Errorf("held %v: %+v", held, r)
		}
		var dead []buffer.Dead
		if err := Dead(dir, func(d *buffer.Dead) bool { dead = append(dead, *d); return true }); err != nil {
			t.Fatal(err)
		}
		if len(dead) != 1 || dead[0].Seq != 5 || dead[0].Reason != "too large" {
			t.Errorf("dead letters: %+v", dead)
		}
		if label, err := Label(dir); label != "orders" || err != nil {
			t.Errorf("label %q, %v", label, err)
		}
		if held {
			mustClose(t, l)
		}
	}

	first := filepath.Join(dir, segmentName(1))
	image, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	image[1900] ^= 1 // in the third record
	image[headerCopy] ^= 1
	if err := os.WriteFile(first, image, 0o600); err != nil {
		t.Fatal(err)
	}
	var told []Problem
	r, err := Verify(dir, func(p Problem) { told = append(told, p) })
	if err != nil || len(told) != 2 || !told[0].Harmless || told[1].Harmless || told[1].Records != 1 || r.Problems != 1 || r.LostNow != 1 {
		t.Errorf("after damage: %+v, %v: %+v", told, err, r)
	}
}

// Verify tells nothing of what a process does meanwhile.
func TestVerifyBesideAWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	l := mustOpen(t, New(dir, silent, func(o *Options) { o.SegmentBytes = 20_000 }))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if _, err := l.Append(ctx, []*record.Record{{PartitionKey: "k", Data: make([]byte, 1000)}}, nil); err != nil {
				return
			}
			items, err := l.Next(ctx, 1)
			if err != nil {
				return
			}
			if s := items[0].Seq; s%50 != 0 {
				l.Ack([]uint64{s})
			}
		}
	}()
	for range 30 {
		if _, err := Verify(dir, func(p Problem) { t.Errorf("problem: %+v", p) }); err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-ended
	mustClose(t, l)
}

// The segment before the last is not rewritten while what is left of it is about
// to be acknowledged, but is when another one is begun, or room is short: for who
// waits, for who may not, and on a full disk.
func TestRemaindersCanWait(t *testing.T) {
	const size, perSegment = 300, 18
	at := func(t *testing.T, limit int64, then func(t *testing.T, l *troubled)) {
		synctest.Test(t, func(t *testing.T) {
			l := openOn(t, crashfs.New(crashDir), func(o *Options) { o.SegmentBytes, o.Bytes = 8000, limit })
			appendEach(t, l.Log, 2*perSegment, size)
			l.Ack(numbers(readAll(t, l.Log, 2*perSegment))[1:])
			synctest.Wait()
			if n := len(l.segments); n != 2 || l.segments[0].remainder() {
				t.Errorf("%d segments, the first is a remainder: %v", n, l.segments[0].remainder())
			}
			then(t, l)
			synctest.Wait()
			if !l.segments[0].remainder() || l.segments[0].live() != 1 {
				t.Errorf("nothing was moved, %d are left of %d", l.segments[0].live(), l.segments[0].records())
			}
			must(t, l.Close())
		})
	}
	t.Run("another one", func(t *testing.T) {
		at(t, 0, func(t *testing.T, l *troubled) { appendEach(t, l.Log, perSegment, size) })
	})
	t.Run("who waits", func(t *testing.T) {
		at(t, 16_000, func(t *testing.T, l *troubled) { appendEach(t, l.Log, perSegment, size) })
	})
	t.Run("who may not wait", func(t *testing.T) {
		at(t, 16_000, func(t *testing.T, l *troubled) {
			ended, end := context.WithCancel(t.Context())
			end()
			large := []*record.Record{{PartitionKey: "k", Data: make([]byte, 12_000)}}
			if _, err := l.Append(ended, large, nil); err == nil {
				t.Error("it is not refused")
			}
			synctest.Wait()
			if _, err := l.Append(ended, large, nil); err != nil {
				t.Errorf("no room was made: %v", err)
			}
		})
	})
	t.Run("full disk", func(t *testing.T) {
		at(t, 0, func(t *testing.T, l *troubled) {
			l.fs.Room(used(l.fs)+4000, false)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			seq, err := l.Append(ctx, []*record.Record{{PartitionKey: "k", Data: make([]byte, 5000)}}, nil)
			must(t, err)
			must(t, l.Sync(ctx, seq))
		})
	})
}
