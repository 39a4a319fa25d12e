package buffertest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/buffertest"
	"github.com/libvegas/vegas/buffer/memory"
	"github.com/libvegas/vegas/record"
)

// bug is a mistake, which a test of the suite has to find.
type bug struct {
	finder string // the test
	plant  func(b *broken)
}

// broken is a buffer some of whose methods are others.
type broken struct {
	*memory.Buffer
	open   func(ctx context.Context) error
	add    func(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error)
	next   func(ctx context.Context, bytes int) ([]buffer.Item, error)
	ack    func(seqs []uint64)
	bury   func(ctx context.Context, dead []buffer.Dead) error
	replay func(ctx context.Context) (int, error)
	stats  func() buffer.Stats
}

var bugs = map[string]bug{
	"keys in lower case": {"Records come out as they went in", func(b *broken) {
		b.next = func(ctx context.Context, n int) ([]buffer.Item, error) {
			items, err := b.Buffer.Next(ctx, n)
			for i := range items {
				items[i].Key = strings.ToLower(items[i].Key)
			}
			return items, err
		}
	}},
	"headers by name": {"Records come out as they went in", func(b *broken) {
		b.next = func(ctx context.Context, n int) ([]buffer.Item, error) {
			items, err := b.Buffer.Next(ctx, n)
			for i := range items {
				items[i].Headers = slices.CompactFunc(slices.Clone(items[i].Headers), func(a, b record.Header) bool { return a.Key == b.Key })
			}
			return items, err
		}
	}},
	"a batch that is cut": {"Many at once", func(b *broken) {
		b.add = func(ctx context.Context, records []*record.Record, assigned func(uint64)) (first uint64, err error) {
			for i, r := range records {
				seq, err := b.Buffer.Append(ctx, []*record.Record{r}, nil)
				if err != nil {
					return 0, err
				}
				if i == 0 {
					first = seq
				}
				runtime.Gosched() // others get in between, however busy the machine is
			}
			return first, nil
		}
	}},
	"numbers told too late": {"Numbers are assigned before Next", func(b *broken) {
		came := make(chan struct{})
		b.next = func(ctx context.Context, n int) ([]buffer.Item, error) {
			items, err := b.Buffer.Next(ctx, n)
			if len(items) > 0 && items[0].Seq == 1 {
				defer close(came)
			}
			return items, err
		}
		b.add = func(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
			first, err := b.Buffer.Append(ctx, records, nil)
			if err == nil && assigned != nil {
				<-came
				assigned(first)
			}
			return first, err
		}
	}},
	"a producer for good": {"Each opening has an identity of its own", func(b *broken) {
		b.next = func(ctx context.Context, n int) ([]buffer.Item, error) {
			items, err := b.Buffer.Next(ctx, n)
			for i := range items {
				items[i].Producer = [16]byte{1}
			}
			return items, err
		}
	}},
	"a place that is forgotten": {"What is not acknowledged comes again", func(b *broken) {
		b.open = func(ctx context.Context) error {
			b.Buffer = memory.New()
			return b.Buffer.Open(ctx)
		}
	}},
	"numbers that are given twice": {"Numbers are never given twice", func(b *broken) {
		b.open = func(ctx context.Context) error {
			if b.Stats().Items == 0 {
				b.Buffer = memory.New()
			}
			return b.Buffer.Open(ctx)
		}
	}},
	"an acknowledgement of all before": {"Holes", func(b *broken) {
		b.ack = func(seqs []uint64) {
			for first := b.Stats().First; len(seqs) > 0 && first <= slices.Max(seqs); first++ {
				b.Buffer.Ack([]uint64{first})
			}
		}
	}},
	"one write too many": {"A context that is over", func(b *broken) {
		b.add = func(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
			first, err := b.Buffer.Append(context.WithoutCancel(ctx), records, assigned)
			if ctx.Err() != nil {
				return 0, record.ErrBufferFull
			}
			return first, err
		}
	}},
	"no limit": {"A full buffer", func(b *broken) { b.Buffer = memory.New() }},
	"letters that multiply": {"Buried again", func(b *broken) {
		var again []buffer.Dead
		b.bury = func(ctx context.Context, dead []buffer.Dead) error {
			if b.Stats().Dead > 0 {
				again = append(again, dead...)
			}
			return b.Buffer.Bury(ctx, dead)
		}
		b.stats = func() buffer.Stats {
			s := b.Buffer.Stats()
			s.Dead += int64(len(again))
			return s
		}
	}},
	"reasons that are lost": {"Dead letters", func(b *broken) {
		b.bury = func(ctx context.Context, dead []buffer.Dead) error {
			dead = slices.Clone(dead)
			for i := range dead {
				dead[i].Reason = "failed"
			}
			return b.Buffer.Bury(ctx, dead)
		}
	}},
	"a replay that drops": {"Replay", func(b *broken) {
		b.replay = func(ctx context.Context) (int, error) {
			n, err := b.Buffer.Replay(ctx)
			b.Ack([]uint64{b.Stats().First})
			return n, err
		}
	}},
	"data that is shared": {"Records are copied", func(b *broken) {
		var shared []byte
		b.add = func(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
			shared = records[0].Data
			return b.Buffer.Append(ctx, records, assigned)
		}
		b.next = func(ctx context.Context, n int) ([]buffer.Item, error) {
			items, err := b.Buffer.Next(ctx, n)
			items[0].Data = bytes.Clone(shared)
			return items, err
		}
	}},
}

// Each mistake is made in a process of its own, since a failing test is what is
// wanted.
func TestPlantedBugsAreFound(t *testing.T) {
	const variable = "VEGAS_TEST_PLANT"
	if name := os.Getenv(variable); name != "" {
		buffertest.Run(t, func(_ *testing.T, limit int64) buffertest.Place {
			b := &broken{Buffer: memory.New(func(o *memory.Options) { o.Bytes = limit })}
			bugs[name].plant(b)
			return buffertest.Place{New: func(*testing.T) buffer.Buffer { return b }}
		})
		return
	}
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finder := strings.NewReplacer(" ", "_").Replace(b.finder)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlantedBugsAreFound$/^"+finder+"$")
			cmd.Env = append(os.Environ(), variable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestPlantedBugsAreFound/"+finder) {
				t.Errorf("%q did not find it: %v\n%s", b.finder, err, out)
			}
		})
	}
}

func (b *broken) Open(ctx context.Context) error {
	if b.open != nil {
		return b.open(ctx)
	}
	return b.Buffer.Open(ctx)
}

func (b *broken) Append(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
	if b.add != nil {
		return b.add(ctx, records, assigned)
	}
	return b.Buffer.Append(ctx, records, assigned)
}

func (b *broken) Next(ctx context.Context, n int) ([]buffer.Item, error) {
	if b.next != nil {
		return b.next(ctx, n)
	}
	return b.Buffer.Next(ctx, n)
}

func (b *broken) Ack(seqs []uint64) {
	if b.ack != nil {
		b.ack(seqs)
		return
	}
	b.Buffer.Ack(seqs)
}

func (b *broken) Bury(ctx context.Context, dead []buffer.Dead) error {
	if b.bury != nil {
		return b.bury(ctx, dead)
	}
	return b.Buffer.Bury(ctx, dead)
}

func (b *broken) Replay(ctx context.Context) (int, error) {
	if b.replay != nil {
		return b.replay(ctx)
	}
	return b.Buffer.Replay(ctx)
}

func (b *broken) Stats() buffer.Stats {
	if b.stats != nil {
		return b.stats()
	}
	return b.Buffer.Stats()
}
