package dedupe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// What comes while its key is being handled waits for the result.
func TestOneOfAKeyIsHandledAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			results []string
			busy    int
		)
		layered := By(Header("id"), time.Minute)(func(_ context.Context, r *record.Record) error {
			mu.Lock()
			if busy++; busy > 1 {
				t.Error("two at a time")
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			busy--
			switch string(r.Data) {
			case "fails":
				return errNo
			case "panics":
				panic("no")
			}
			results = append(results, string(r.Data))
			return nil
		})
		send := func(ctx context.Context, data string, sequence int) {
			wg.Go(func() {
				defer func() { _ = recover() }()
				err := layered(ctx, &record.Record{Headers: []record.Header{{Key: "id", Value: "7"}}, Data: []byte(data), Position: record.Position{Sequence: fmt.Sprint(sequence)}})
				if ctx.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		send(t.Context(), "fails", 1)
		send(brief, "cannot wait", 2)
		time.Sleep(time.Second)
		synctest.Wait()
		send(t.Context(), "panics", 3)
		time.Sleep(time.Second)
		synctest.Wait()
		send(t.Context(), "first", 4)
		for i := range 3 {
			send(t.Context(), "waits", 5+i)
		}
		wg.Wait()
		if fmt.Sprint(results) != "[first]" {
			t.Error(results)
		}
	})
}

// slow is a store that cannot be read for a while.
type slow struct {
	store.Store
	until time.Time
}

func (s *slow) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if time.Now().Before(s.until) {
		return nil, errNo
	}
	return s.Store.List(ctx, group, prefix)
}

func TestAShardWaitsForWhatWasSavedButNotForLong(t *testing.T) {
	for away, want := range map[time.Duration]bool{0: false, 10 * time.Second: false, time.Hour: true} {
		synctest.Test(t, func(t *testing.T) {
			kept := &slow{Store: memory.New()}
			d := newDedupe(PartitionKey(), time.Minute, nil)
			handle := func(ctx context.Context, s *layer.Shard, sequence string) (handled bool, err error) {
				err = d.handle(layer.With(ctx, s), &record.Record{PartitionKey: "x", Position: record.Position{Sequence: sequence}},
					func(context.Context, *record.Record) error { handled = true; return nil })
				return handled, err
			}
			one := possession(kept, 1)
			if handled, err := handle(t.Context(), one, "1"); !handled || err != nil {
				t.Fatal(handled, err)
			}
			time.Sleep(d.o.SaveEvery + time.Second)
			if got := list(t, kept); len(got) != 1 { // then it dies
				t.Fatalf("%d rows", len(got))
			}
			kept.until = time.Now().Add(away)
			two := possession(kept, 2)
			if away > 0 {
				brief, cancel := context.WithTimeout(t.Context(), time.Second)
				if handled, err := handle(brief, two, "2"); handled || !errors.Is(err, context.DeadlineExceeded) {
					t.Error("before it is known:", handled, err)
				}
				cancel()
			}
			if handled, err := handle(t.Context(), two, "2"); handled != want || err != nil {
				t.Errorf("store away for %v: %v, %v", away, handled, err)
			}
			kept.until = time.Time{}
			two.End(t.Context())
		})
	}
}
