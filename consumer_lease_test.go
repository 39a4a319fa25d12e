package vegas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
)

// Somebody takes one lease away: its function is told, and nothing of it is
// written any more. The other shards go on. As nobody else consumes for the group
// the lease is taken again.
func TestALeaseThatSomebodyTakesIsLostAndTakenAgain(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		var seen events
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Observer = &seen })
		var mu sync.Mutex
		possessions := map[string][]uint64{}
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error)
		go func() {
			done <- c.RunShards(ctx, func(ctx context.Context, s *vegas.Shard) error {
				mu.Lock()
				possessions[s.ID()] = append(possessions[s.ID()], s.Possession())
				mu.Unlock()
				for batch, err := range s.Batches() {
					if err != nil {
						if ctx.Err() == nil || !errors.Is(context.Cause(ctx), vegas.ErrLeaseLost) {
							b.Errorf("the context of %s: %v", s.ID(), context.Cause(ctx))
						}
						return err
					}
					if err := s.Checkpoint(ctx, batch.End); err != nil && !errors.Is(err, vegas.ErrLeaseLost) {
						b.Error(err)
					}
				}
				return nil
			})
		}()
		b.put(20)
		time.Sleep(5 * time.Second)
		rows, err := b.rows.List(b.Context(), "g", "lease#")
		if err != nil || len(rows) != 2 {
			b.Fatal(rows, err)
		}
		old, _ := strconv.ParseUint(rows[0].Fields["possession"], 10, 64)
		rows[0].Fields["possession"] = strconv.FormatUint(old+1_000_000_000, 10)
		if _, err := b.rows.Swap(b.Context(), rows[0]); err != nil {
			b.Fatal(err)
		}
		b.put(20)
		time.Sleep(30 * time.Second)
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if p := possessions["shardId-000000000000"]; len(p) != 2 || p[1] <= old+1_000_000_000 || len(possessions["shardId-000000000001"]) != 1 {
			b.Errorf("possessions %v", possessions)
		}
		if s := seen.String(); strings.Count(s, "lost") != 1 || !strings.Contains(s, "lost 0") {
			b.Errorf("events %s", s)
		}
	})
}

// Possession is a fencing token: it rises over the group's life, also when its
// rows were deleted meanwhile.
func TestPossessionRisesAlsoWhenTheGroupWasDeleted(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		last := uint64(0)
		for range 3 {
			ctx, cancel := context.WithTimeout(b.Context(), 35*time.Second)
			err := b.consumer("g").RunShards(ctx, func(_ context.Context, s *vegas.Shard) error {
				if p := s.Possession(); p <= last {
					b.Errorf("possession %d after %d", p, last)
				} else {
					last = p
				}
				return nil // gives it back, to be called again after ten seconds
			})
			cancel()
			if err != nil {
				b.Error(err)
			}
			rows, err := b.rows.List(b.Context(), "g", "")
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range rows {
				if err := b.rows.Delete(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// Some servers end a shard without naming its children.
func TestChildrenThatAreNotNamedAreListed(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(20)
		low, up, err := b.srv.Split("orders", "shardId-000000000000", "")
		if err != nil {
			b.Fatal(err)
		}
		b.put(20)
		cfg := b.srv.AWS()
		cfg.HTTPClient = &nameless{HTTPClient: cfg.HTTPClient}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.AWS = cfg })
		var got deliveries
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		time.Sleep(10 * time.Second)
		// While it runs: of these it has not been told at its start.
		if _, err := b.srv.Merge("orders", low, up); err != nil {
			b.Fatal(err)
		}
		b.put(20)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			b.Error(err)
		}
		if got.len() != 60 {
			b.Errorf("%d records\n%s", got.len(), b.logged())
		}
	})
}

// nameless takes the names of children out of answers.
type nameless struct{ aws.HTTPClient }

func (n *nameless) Do(r *http.Request) (*http.Response, error) {
	resp, err := n.HTTPClient.Do(r)
	if err != nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	body = bytes.ReplaceAll(body, []byte(`"ChildShards"`), []byte(`"Childless"`))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}
