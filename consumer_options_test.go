package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
)

func TestLayersWrapTheHandler(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(1)
		var trace []string
		layer := func(name string) func(vegas.Handler) vegas.Handler {
			return func(next vegas.Handler) vegas.Handler {
				return func(ctx context.Context, r *vegas.Record) error {
					trace = append(trace, name)
					return next(ctx, r)
				}
			}
		}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Use(layer("outer")); o.Use(layer("inner")) })
		b.consume(c, 5*time.Second)
		if fmt.Sprint(trace) != "[outer inner]" {
			b.Errorf("%v", trace)
		}
		if err := c.RunShards(b.Context(), func(context.Context, *vegas.Shard) error { return nil }); err == nil {
			b.Error("RunShards ignores layers")
		}
	})
}

func TestArgumentsOfNewConsumer(t *testing.T) {
	t.Setenv("VEGAS_STORE", "")
	with := func(f func(*vegas.ConsumerOptions)) func(*vegas.ConsumerOptions) {
		return func(o *vegas.ConsumerOptions) { o.Store = memory.New(); f(o) }
	}
	for name, c := range map[string]struct {
		stream, group string
		opts          func(*vegas.ConsumerOptions)
		want          []string
	}{
		"no stream":      {"", "g", nil, []string{"stream"}},
		"a bad stream":   {"or ders", "g", nil, []string{"or ders"}},
		"a scheme":       {"kafka://host/topic", "g", nil, []string{"kafka"}},
		"no group":       {"orders", "", nil, []string{"group"}},
		"a bad group":    {"orders", "a/b", nil, []string{"a/b"}},
		"a bad poll":     {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.PollBusy = 2 * time.Second }), []string{"o.PollBusy"}},
		"a long name":    {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Worker = strings.Repeat("w", 257) }), []string{"o.Worker"}},
		"no prefetch":    {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.PrefetchBytes = 0 }), []string{"o.PrefetchBytes"}},
		"no parallel":    {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Parallel = 0 }), []string{"o.Parallel"}},
		"bad attempts":   {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.MaxAttempts = -1 }), []string{"o.MaxAttempts"}},
		"bad crashes":    {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.MaxCrashes = -1 }), []string{"o.MaxCrashes"}},
		"bad trimming":   {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.OnTrimmed = vegas.Hold }), []string{"o.OnTrimmed is hold"}},
		"no transaction": {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Transactional = true }), []string{"*memory.Store, which has no transactions", "store/postgres", "#transactional"}},
		"side by side":   {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Transactional, o.Parallel = true, 2 }), []string{"o.Parallel = 2", "#transactional"}},
		"no checkpoints": {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.CheckpointEvery = 0 }), []string{"o.CheckpointEvery"}},
		"a bad policy":   {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.OnError = 9 }), []string{"o.OnError"}},
		"negative grace": {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Grace = -1 }), []string{"o.Grace"}},
		"no worker":      {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.Worker = "" }), []string{"o.Worker"}},
		"bad EFO name":   {"orders", "g", with(func(o *vegas.ConsumerOptions) { o.FanOut, o.FanOutName = true, "a b" }), []string{`o.FanOutName "a b"`, "#group-name"}},
		"not an EFO ARN": {"orders", "arn:aws:sqs:us-east-1:1:q", nil, []string{"ARN"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := c.opts
			if opts == nil {
				opts = with(func(*vegas.ConsumerOptions) {})
			}
			_, err := vegas.NewConsumer(c.stream, c.group, opts)
			if err == nil {
				t.Fatal("taken")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v: want %q in it", err, w)
				}
			}
		})
	}
	for spec, good := range map[string]bool{"file:" + t.TempDir(): true, "memory:": true, "file:": false, "memory:x": false, "dynamodb": true, "dynamodb:t": true, "dynamodb:": false, "": true, "redis:x": false} {
		t.Setenv("VEGAS_STORE", spec)
		if _, err := vegas.NewConsumer("orders", "g"); (err == nil) != good {
			t.Errorf("VEGAS_STORE=%s: %v", spec, err)
		}
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	consumerBench(t, "all is well", 1, func(b *bench) {
		for _, f := range []bool{false, true} {
			if err := b.consumer("g", func(o *vegas.ConsumerOptions) { o.FanOut = f }).Check(b.Context()); err != nil {
				b.Error(err)
			}
		}
		// One that was killed leaves its row.
		named := func(o *vegas.ConsumerOptions) { o.Worker = "w" }
		if _, err := b.rows.Swap(b.Context(), store.Row{Group: "g", ID: "check#w", Fields: map[string]string{"version": "1"}}); err != nil {
			b.Fatal(err)
		}
		if err := b.consumer("g", named).Check(b.Context()); err != nil {
			b.Error(err)
		}
		if rows, err := b.rows.List(b.Context(), "g", ""); err != nil || len(rows) != 0 {
			b.Errorf("it left %v, %v", rows, err)
		}
	})
	consumerBench(t, "no stream, no store", 1, func(b *bench) {
		if err := b.srv.DeleteStream("orders"); err != nil {
			b.Fatal(err)
		}
		m := &mortal{Store: b.rows, dead: true}
		err := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = m }).Check(b.Context())
		if err == nil || !errors.Is(err, errDead) || !strings.Contains(err.Error(), "#stream-not-found") {
			b.Error(err)
		}
	})
	for _, op := range []string{"DescribeStreamSummary", "ListShards", "GetShardIterator", "GetRecords"} {
		consumerBench(t, "without "+op, 1, func(b *bench) {
			b.srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "AccessDeniedException"})
			if err := b.consumer("g").Check(b.Context()); err == nil || !strings.Contains(err.Error(), "kinesis:"+op) {
				b.Error(err)
			}
			if err := b.consumer("g").Run(b.Context(), func(context.Context, *vegas.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "kinesis:"+op) {
				b.Errorf("Run: %v", err)
			}
		})
	}
}

// A store that is something else is an error of Run that names the file and what
// to do, and a store in a directory serves a group across consumers.
func TestStoresInADirectory(t *testing.T) {
	dir := t.TempDir()
	consumerBench(t, "of one group's consumers", 2, func(b *bench) {
		for range 2 {
			b.put(10)
			if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = file.New(filepath.Join(dir, "store")) }), 10*time.Second); n != 10 {
				b.Errorf("%d records", n)
			}
		}
	})
	consumerBench(t, "of something else", 1, func(b *bench) {
		if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
			b.Fatal(err)
		}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = file.New(dir) })
		for what, err := range map[string]error{
			"Run":   c.Run(b.Context(), func(context.Context, *vegas.Record) error { return nil }),
			"Check": c.Check(b.Context()),
		} {
			if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "#store-file") {
				b.Errorf("%s: %v", what, err)
			}
		}
	})
}
