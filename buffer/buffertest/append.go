package buffertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

func order(t *testing.T, p Place) {
	b := open(t, p)
	records := numbered(0, 200)
	first := put(t, b, records[:1]...)
	for i := 1; i < len(records); i += 9 {
		put(t, b, records[i:min(i+9, len(records))]...)
	}
	items := take(t, b, len(records))
	want(t, items, first, records)
	if first != 1 {
		t.Errorf("the first number is %d, want 1", first)
	}
	for i := range items {
		if items[i].Producer != items[0].Producer || items[i].Producer == [16]byte{} {
			t.Fatalf("item %d has producer %x, the first %x", items[i].Seq, items[i].Producer, items[0].Producer)
		}
	}
}

func exact(t *testing.T, p Place) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	records := []*record.Record{
		{PartitionKey: "empty"},
		{PartitionKey: "empty, not nil", Data: []byte{}, Headers: []record.Header{}},
		{PartitionKey: strings.Repeat("\U0010ffff", 256), Data: every},
		{PartitionKey: "a NUL \x00 and 'quotes' \"\" % \\", Data: bytes.Repeat([]byte{0}, 4096)},
		{PartitionKey: "1", ExplicitHashKey: "340282366920938463463374607431768211455", Data: bytes.Repeat([]byte{0xff}, 5000)},
		{PartitionKey: "1", ExplicitHashKey: "0", Data: []byte("x")},
		{PartitionKey: "1e5", ExplicitHashKey: "0007", Data: []byte("2")},
		{PartitionKey: "h", Data: []byte("x"), Headers: []record.Header{{Key: "trace", Value: "1"}, {}, {Key: "trace", Value: "2"}}},
		{PartitionKey: "h", Headers: []record.Header{{Key: string(every), Value: string(every)}, {Value: strings.Repeat("v", 70000)}}},
		{PartitionKey: "h", Headers: slices.Repeat([]record.Header{{Key: "k", Value: "v"}}, 300)},
	}
	b := open(t, p)
	first := put(t, b, records...)
	want(t, take(t, b, len(records)), first, records)
	closeIt(t, b)
	want(t, take(t, open(t, p), len(records)), first, records)
}

func large(t *testing.T, p Place) {
	var records []*record.Record
	for _, size := range []int{1 << 20, 10 << 20, 0, 3 << 20, 10<<20 - 1} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * i >> 7)
		}
		records = append(records, &record.Record{PartitionKey: "k", Data: data})
	}
	b := open(t, p)
	first := put(t, b, records[0])
	put(t, b, records[1:]...)
	want(t, take(t, b, len(records)), first, records)
	closeIt(t, b)
	b = open(t, p)
	want(t, take(t, b, len(records)), first, records)
}

func copied(t *testing.T, p Place) {
	b := open(t, p)
	r := &record.Record{PartitionKey: "k", Data: []byte("data"), Headers: []record.Header{{Key: "a", Value: "b"}}}
	kept := &record.Record{PartitionKey: "k", Data: []byte("data"), Headers: []record.Header{{Key: "a", Value: "b"}}}
	first := add(t, b, r)
	copy(r.Data, "XXXX")
	r.Headers[0].Key = "X"
	r.PartitionKey = "X"
	want(t, take(t, b, 1), first, []*record.Record{kept})
}

func gapless(t *testing.T, p Place) {
	b := open(t, p)
	next := put(t, b, numbered(0, 1)...) + 1
	for n := 1; n < 20; n++ {
		if first := add(t, b, numbered(0, n)...); first != next {
			t.Fatalf("a batch begins at %d, want %d", first, next)
		}
		next += uint64(n)
	}
}

// The producer has to know a number before its record can be on its way.
func assigns(t *testing.T, p Place) {
	const batches = 50
	b := open(t, p)
	var assigned atomic.Uint64 // the last number
	var calls []uint64         // guarded by the buffer: calls do not overlap
	ended := make(chan error, 1)
	go func() {
		for n := 0; n < 4*batches*3; {
			items, err := b.Next(t.Context(), 1000)
			if err != nil {
				ended <- err
				return
			}
			if last := items[len(items)-1].Seq; last > assigned.Load() {
				ended <- fmt.Errorf("record %d came out before its number was assigned", last)
				return
			}
			n += len(items)
		}
		ended <- nil
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range batches {
				told := uint64(0)
				first, err := b.Append(t.Context(), numbered(0, 3), func(first uint64) {
					told = first
					calls = append(calls, first)
					assigned.Store(first + 2)
				})
				if err != nil || told != first {
					t.Errorf("Append returned %d, %v, and had assigned %d", first, err, told)
				}
				if err := b.Sync(t.Context(), first+2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for i, first := range calls {
		if first != uint64(1+3*i) {
			t.Fatalf("call %d of assigned was for number %d, want %d: calls in the order of the numbers", i, first, 1+3*i)
		}
	}
}

// A caller may give up waiting; its record is accepted all the same.
func unwaited(t *testing.T, p Place) {
	b := open(t, p)
	records := numbered(0, 5)
	first := add(t, b, records...)
	want(t, take(t, b, 5), first, records)
}

func measured(t *testing.T, p Place) {
	b := open(t, p)
	var records []*record.Record
	for i := range 40 {
		records = append(records, &record.Record{PartitionKey: "k", Data: make([]byte, 100*(i%4))})
	}
	put(t, b, records...)
	for n := 0; n < len(records); {
		items, err := b.Next(t.Context(), 450)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, it := range items {
			sum += len(it.Data)
		}
		if len(items) == 0 || sum > 450 && len(items) > 1 {
			t.Fatalf("%d items of %d bytes, want at least one, and at most 450 bytes", len(items), sum)
		}
		n += len(items)
	}
	put(t, b, &record.Record{PartitionKey: "k", Data: make([]byte, 451)}, &record.Record{PartitionKey: "k", Data: make([]byte, 1)})
	if items, err := b.Next(t.Context(), 450); err != nil || len(items) != 1 {
		t.Errorf("%d items, %v: want the one that is larger than asked for alone", len(items), err)
	}
}

func nextWaits(t *testing.T, p Place) {
	b := open(t, p)
	got := make(chan []buffer.Item, 1)
	go func() {
		items, err := b.Next(t.Context(), 1)
		if err != nil {
			t.Error(err)
		}
		got <- keep(items)
	}()
	records := numbered(0, 1)
	first := put(t, b, records...)
	want(t, <-got, first, records)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.Next(ctx, 1)
		ended <- err
	}()
	cancel()
	wantError(t, "Next", <-ended, context.Canceled)
	first = put(t, b, records...)
	want(t, take(t, b, 1), first, records)
}

// What ends with its context leaves nothing behind and swallows nothing.
func contextOver(t *testing.T, p Place) {
	b := open(t, p)
	put(t, b, numbered(0, 3)...)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	count := 3
	if _, err := b.Append(over, numbered(3, 4), nil); err == nil {
		count++
	} else {
		wantError(t, "Append", err, record.ErrBufferFull)
	}
	if n := b.Stats().Items; n != int64(count) {
		t.Fatalf("%d items, want %d: what failed appended nothing", n, count)
	}
	if err := b.Sync(over, 1); err != nil {
		wantError(t, "Sync", err, context.Canceled)
	}
	var items []buffer.Item
	for range 10 {
		some, err := b.Next(over, 1)
		if err != nil {
			wantError(t, "Next", err, context.Canceled)
		}
		if items = append(items, keep(some)...); len(items) == count {
			break
		}
	}
	want(t, append(items, take(t, b, count-len(items))...), 1, numbered(0, count))
	dead := []buffer.Dead{{Item: buffer.Item{Producer: [16]byte{1}, Seq: 99}, Reason: "unknown"}}
	if err := b.Bury(over, dead); err != nil {
		wantError(t, "Bury", err, context.Canceled)
	}
	if n := b.Stats().Dead; n != 0 {
		t.Errorf("%d dead letters, want none: no record has that number", n)
	}
}

// Everything at once; -race looks on.
func together(t *testing.T, p Place) {
	const writers, batches = 8, 40
	b := open(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	went := map[uint64]string{} // what was appended under which number
	size := func(w, n int) int { return 1 + (w+n)%5 }
	total := 0
	var wg sync.WaitGroup
	for w := range writers {
		for n := range batches {
			total += size(w, n)
		}
		wg.Go(func() {
			for n := range batches {
				var records []*record.Record
				for i := range size(w, n) {
					records = append(records, &record.Record{PartitionKey: fmt.Sprint(w), Data: fmt.Appendf(nil, "%d of batch %d", i, n)})
				}
				first, err := b.Append(ctx, records, nil)
				if err == nil {
					err = b.Sync(ctx, first+uint64(len(records))-1)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for i, r := range records {
					went[first+uint64(i)] = r.PartitionKey + ": " + string(r.Data)
				}
				mu.Unlock()
			}
		})
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ctx.Err() == nil {
			b.Stats()
			if err := b.Dead(ctx, func(*buffer.Dead) bool { return true }); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	var came []string
	for len(came) < total {
		items, err := b.Next(t.Context(), 200)
		if err != nil {
			t.Fatal(err)
		}
		var dead []buffer.Dead
		for _, it := range keep(items) {
			came = append(came, it.Key+": "+string(it.Data))
			switch {
			case it.Seq != uint64(len(came)):
				t.Fatalf("number %d came out after %d", it.Seq, len(came)-1)
			case it.Seq%16 == 0:
				dead = append(dead, buffer.Dead{Item: it, Reason: "sixteenth"})
			default:
				b.Ack([]uint64{it.Seq})
			}
		}
		if err := b.Bury(t.Context(), dead); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	cancel()
	<-watched
	for i, text := range came {
		if went[uint64(i)+1] != text {
			t.Fatalf("number %d is %q, and %q was appended under it", i+1, text, went[uint64(i)+1])
		}
	}
	if s := b.Stats(); s.Items != 0 || s.Appended != int64(total) || s.Dead != int64(total/16) || s.First != uint64(total)+1 {
		t.Errorf("after %d records: %+v", total, s)
	}
}

// full is the limit of the tests of a full buffer, whose records are a sixtieth of it.
const full = 4 << 20

func heavy(n int) []*record.Record {
	var records []*record.Record
	for i := range n {
		data := bytes.Repeat([]byte{byte(i)}, full/60)
		records = append(records, &record.Record{PartitionKey: "k", Data: data})
	}
	return records
}

// fill appends until there is no more room, and tells how many fitted.
func fill(t *testing.T, b buffer.Buffer) int {
	t.Helper()
	for n := range 1000 {
		first, err := b.Append(ending(t), heavy(1), nil)
		if err != nil {
			wantError(t, "Append", err, record.ErrBufferFull)
			return n
		}
		if err := b.Sync(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("there is no limit: %+v", b.Stats())
	return 0
}

func fullRefuses(t *testing.T, p Place) {
	b := open(t, p)
	n := fill(t, b)
	s := b.Stats()
	if n < 20 || n > 60 || s.Items != int64(n) || s.Limit != full || s.Bytes > full || s.Stalled == nil {
		t.Errorf("%d records of %d bytes fitted: %+v", n, full/60, s)
	}
	b.Ack(seqs(take(t, b, n)...))
	if first := put(t, b, heavy(1)...); first != uint64(n)+1 {
		t.Errorf("the next number is %d, want %d: what was refused has none", first, n+1)
	}
	if s := b.Stats(); s.Items != 1 || s.Stalled != nil {
		t.Errorf("after there was room again: %+v", s)
	}
	closeIt(t, b)
	want(t, take(t, open(t, p), 1), uint64(n)+1, heavy(1))
}

func fullResumes(t *testing.T, p Place) {
	b := open(t, p)
	n := fill(t, b)
	ended := make(chan error, 1)
	go func() {
		for range 2 * n {
			if _, err := b.Append(t.Context(), heavy(1), nil); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for range 3 * n {
		b.Ack(seqs(take(t, b, 1)...))
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := b.Stats(); s.Items != 0 || s.Appended != int64(3*n) {
		t.Errorf("at the end: %+v", s)
	}
}

// What is larger than the limit is not refused for ever: it has to be alone.
func oversize(t *testing.T, p Place) {
	const many = 70 // records, of a sixtieth each
	b := open(t, p)
	put(t, b, heavy(1)...)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Append(over, heavy(many), nil)
	wantError(t, "Append of more than the limit, beside another record", err, record.ErrBufferFull)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Append(t.Context(), heavy(many), nil)
		ended <- err
	}()
	b.Ack(seqs(take(t, b, 1)...))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	items := take(t, b, many)
	want(t, items, 2, heavy(many))
	_, err = b.Append(over, heavy(1), nil)
	wantError(t, "Append beside more than the limit", err, record.ErrBufferFull)
	b.Ack(seqs(items[1:]...))
	b.Ack(seqs(items[0]))
	put(t, b, heavy(1)...)
	closeIt(t, b)
	b = open(t, p)
	want(t, take(t, b, 1), many+2, heavy(1))
}

func fullCloses(t *testing.T, p Place) {
	b := open(t, p)
	n := fill(t, b)
	ended := make(chan error, 3)
	for range cap(ended) {
		go func() {
			_, err := b.Append(t.Context(), heavy(1), nil)
			ended <- err
		}()
	}
	closeIt(t, b)
	for range cap(ended) {
		wantError(t, "Append, when the buffer is closed", <-ended, record.ErrClosed)
	}
	b = open(t, p)
	if s := b.Stats(); s.Items != int64(n) {
		t.Errorf("there are %d records, want the %d that were accepted", s.Items, n)
	}
	want(t, take(t, b, n)[:1], 1, heavy(1))
}

func closes(t *testing.T, p Place) {
	b := open(t, p)
	first := put(t, b, numbered(0, 2)...)
	items := take(t, b, 2)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Next(t.Context(), 1)
		ended <- err
	}()
	closeIt(t, b)
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("Next, when the buffer is closed: %v, want io.EOF", err)
	}
	if _, err := b.Next(t.Context(), 1); !errors.Is(err, io.EOF) {
		t.Errorf("Next, after Close: %v, want io.EOF", err)
	}
	_, err := b.Append(t.Context(), numbered(0, 1), nil)
	wantError(t, "Append", err, record.ErrClosed)
	wantError(t, "Bury", b.Bury(t.Context(), []buffer.Dead{{Item: items[0], Reason: "x"}}), record.ErrClosed)
	_, err = b.Replay(t.Context())
	wantError(t, "Replay", err, record.ErrClosed)
	wantError(t, "Dead", b.Dead(t.Context(), func(*buffer.Dead) bool { return true }), record.ErrClosed)
	if err := b.Sync(t.Context(), first); err != nil {
		wantError(t, "Sync", err, record.ErrClosed)
	}
	b.Ack([]uint64{first})
	if s := b.Stats(); s.Items < 1 || s.Items > 2 {
		t.Errorf("Stats after Close: %+v", s)
	}
	closeIt(t, b)
}
