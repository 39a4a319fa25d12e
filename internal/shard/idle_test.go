package shard

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
)

// A process may own a thousand shards of which most are quiet.
func TestWhatAQuietShardCosts(t *testing.T) {
	for name, f := range map[string]func() Func{
		"records": func() Func { return Records((&list{}).handle) },
		"batches": func() Func { return byBatch((&list{}).handle) },
		"shards": func() Func {
			return func(ctx context.Context, s *Shard) error {
				for b, err := range s.Batches() {
					if err != nil {
						return err
					}
					if err := s.Checkpoint(ctx, b.End); err != nil {
						return err
					}
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 200
				memory := func() (goroutines int, bytes uint64) {
					time.Sleep(time.Minute) // something was read, and checkpointed
					synctest.Wait()
					runtime.GC()
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return runtime.NumGoroutine(), m.HeapAlloc
				}
				all := make([]*bench, n)
				for i := range all {
					all[i] = setUp()
					all[i].open = true
					all[i].answers = []fetch.Answer{{Records: numbers(1, 3)}}
				}
				goroutines, bytes := memory()
				done := make(chan error, n)
				for _, b := range all {
					run := f()
					go func() {
						_, err := b.Run(t.Context(), b.stop, run)
						done <- err
					}()
				}
				after, bytesAfter := memory()
				// One that reads, one that handles.
				if per := float64(after-goroutines) / n; per != 2 {
					t.Errorf("%.2f goroutines", per)
				}
				if per := (int64(bytesAfter) - int64(bytes)) / n; per > 8<<10 {
					t.Errorf("%d bytes", per)
				} else {
					t.Logf("%d bytes", per)
				}
				for _, b := range all {
					if len(b.at) != 1 {
						t.Errorf("checkpoints %s", b.checkpoints())
					}
					b.stop.Stop(Shutdown)
				}
				for range all {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}
