package disk

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/record"
)

// repair makes the checksums valid that are not, wherever behind the header
// something looks like a group or a frame, so that fuzzing gets behind them.
func repair(b []byte) {
	var h header
	if len(b) < dataStart || !h.get(b) && !h.get(b[headerCopy:]) {
		return
	}
	for at := dataStart; at < len(b); at++ {
		at += nextMagic(b[at:], 0)
		switch head := b[min(at, len(b)):]; {
		case len(head) >= groupBytes && bytes.HasPrefix(head, []byte(groupMagic)):
			endian.PutUint32(head[36:], checksum(h.salt, int64(at), head[:36]))
		case len(head) >= frameBytes && bytes.HasPrefix(head, []byte(frameMagic)):
			body := head[frameBytes:]
			body = body[:min(int64(len(body)), int64(endian.Uint32(head[4:])))]
			endian.PutUint32(head[24:], crc32.Checksum(body, castagnoli))
			endian.PutUint32(head[28:], checksum(h.salt, int64(at), head[:28]))
		}
	}
}

// fuzzImage is a small directory: two lives, acknowledgements, a dead letter.
func fuzzImage(t testing.TB) map[string][]byte {
	fs := crashfs.New(crashDir)
	ctx := context.Background()
	for life := range 2 {
		l := New(bufferDir, func(o *Options) {
			o.Label, o.SegmentBytes, o.FS, o.Logger = "orders", 2048, fs, slog.New(slog.DiscardHandler)
		})
		if err := l.Open(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			first, err := l.Append(ctx, []*record.Record{
				{PartitionKey: "key", Data: bytes.Repeat([]byte{byte(i)}, 100)},
				{PartitionKey: "key", ExplicitHashKey: "1", Headers: []record.Header{{Key: "a", Value: "b"}}},
			}, nil)
			if err == nil {
				err = l.Sync(ctx, first+1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		items, err := l.Next(ctx, 1000)
		if err != nil {
			t.Fatal(err)
		}
		l.Ack([]uint64{items[0].Seq, items[2].Seq})
		if err := l.Bury(ctx, []buffer.Dead{{Item: items[1], Reason: "invalid", At: time.Unix(int64(life), 0)}}); err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		dead := fs
		fs = fs.Kill()
		dead.Stop()
		_ = l.Close()
	}
	return fs.Image(bufferDir)
}

// survive opens an image, whatever is in it: nothing panics or hangs, and numbers
// rise. If no checksum lies, what comes out once also comes out again.
func survive(t *testing.T, image map[string][]byte, lies bool) {
	fs := crashfs.Of(bufferDir, image)
	synctest.Test(t, func(t *testing.T) {
		var before []uint64
		for again := range 2 {
			l := New(bufferDir, func(o *Options) { o.FS, o.Logger = fs, slog.New(slog.DiscardHandler) })
			if err := l.Open(t.Context()); err != nil {
				return
			}
			var seqs []uint64
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				items, err := l.Next(ctx, 3000)
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("next: %v", err)
					}
					break
				}
				for _, it := range items {
					seqs = append(seqs, it.Seq)
				}
			}
			if !slices.IsSorted(seqs) || len(slices.Compact(slices.Clone(seqs))) != len(seqs) {
				t.Errorf("numbers do not rise: %v", seqs)
			}
			if again == 0 {
				before = seqs
			} else if !lies && !slices.Equal(seqs, before) {
				t.Errorf("first %v came out, then %v", before, seqs)
			}
			must(t, l.Dead(t.Context(), func(*buffer.Dead) bool { return true }))
			s := l.Stats()
			if !lies && s.Items != int64(len(seqs)) || s.Dead < 0 || s.Lost < 0 || s.Quarantined < 0 || s.Bytes < 0 {
				t.Errorf("%d records came out, and it says %+v", len(seqs), s)
			}
			must(t, l.Close())
		}
	})
}

func FuzzFrames(f *testing.F) {
	image := fuzzImage(f)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(image)), func(name string) bool { return !isSegment(name) })
	for at, name := range names {
		f.Add(uint8(at), image[name], false)
		f.Add(uint8(at), image[name], true)
	}
	f.Fuzz(func(t *testing.T, at uint8, data []byte, repaired bool) {
		if repaired {
			data = bytes.Clone(data)
			repair(data)
		}
		damaged := maps.Clone(image)
		damaged[names[int(at)%len(names)]] = data
		survive(t, damaged, repaired)
	})
}

func FuzzAcks(f *testing.F) {
	image := fuzzImage(f)
	for name, data := range image {
		if !isSegment(name) && len(data) > dataStart {
			f.Add(data[dataStart:], true)
			f.Add(data[dataStart:], false)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, repaired bool) {
		damaged := maps.Clone(image)
		for name, was := range image {
			if !isSegment(name) && len(was) > dataStart {
				file := slices.Concat(was[:dataStart], data)
				if repaired {
					repair(file)
				}
				damaged[name] = file
			}
		}
		survive(t, damaged, repaired)
	})
}
