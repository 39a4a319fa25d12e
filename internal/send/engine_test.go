package send

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// strange is a service of one shard whose answers name another one.
type strange struct {
	sink
	shard            string // in answers
	auto             bool
	describes, lists atomic.Int32
}

func newStrange(shard string) *strange { return &strange{sink: sink{func() {}}, shard: shard} }

func (s *strange) PutRecords(_ context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	out := make([]wire.PutResult, len(entries))
	for i := range out {
		out[i] = wire.PutResult{Shard: s.shard, Sequence: "49"}
	}
	return &wire.PutAnswer{Results: out}, nil
}

func (s *strange) Describe(ctx context.Context) (kinesisapi.Summary, error) {
	s.describes.Add(1)
	d, err := s.sink.Describe(ctx)
	d.Auto = s.auto
	return d, err
}

func (s *strange) ListShards(ctx context.Context, f *types.ShardFilter) ([]types.Shard, error) {
	s.lists.Add(1)
	return s.sink.ListShards(ctx, f)
}

func engine(t *testing.T, api API, change func(*Config)) *Engine {
	c := Config{API: api, Stream: "orders", BufferBytes: 1 << 20, MaxRequests: 4, RequestTimeout: time.Second,
		Logger: slog.New(slog.DiscardHandler)}
	change(&c)
	e := New(c)
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// A record that ran out of time while its aggregate waits for a map belongs to
// the aggregate still: its memory must not become another record.
func TestMemoryOfARecordThatEndedStaysWithItsAggregate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // memory given back is taken next
	synctest.Test(t, func(t *testing.T) {
		api := newStrange("shardId-000000000007") // nobody ever lists it
		e := engine(t, api, func(c *Config) { c.Linger, c.Deadline = 3*time.Second, 3200*time.Millisecond })
		count := map[string]int{}
		send := func(name string) {
			err := e.SendAsync(t.Context(), &record.Record{PartitionKey: "k", Data: []byte(name)}, func(_ record.Receipt, err error) {
				if errors.Is(err, record.ErrDeadline) {
					count[name]++
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		send("a")
		<-time.After(2900 * time.Millisecond)
		send("b")
		<-time.After(350 * time.Millisecond) // a is over, and its aggregate is not
		synctest.Wait()
		if count["a"] != 1 || count["b"] != 0 {
			t.Fatalf("the story did not happen: %v", count)
		}
		send("c")
		<-time.After(time.Minute)
		synctest.Wait()
		for _, name := range []string{"a", "b", "c"} {
			if count[name] != 1 {
				t.Errorf("%s ended %d times", name, count[name])
			}
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if err := e.machine.Check(); err != nil {
			t.Error(err)
		}
	})
}

// However often answers say that the map is wrong, the service is asked seldom.
func TestLooksAreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newStrange("shardId-000000000007")
		e := engine(t, api, func(c *Config) { c.Deadline = 5 * time.Second })
		for range 600 {
			if err := e.SendAsync(t.Context(), &record.Record{PartitionKey: "k"}, nil); err != nil {
				t.Fatal(err)
			}
			<-time.After(100 * time.Millisecond)
		}
		if n := api.lists.Load(); n < 5 || n > 60 {
			t.Errorf("%d listings in a minute", n)
		}
		if n := api.describes.Load(); n > 13 {
			t.Errorf("%d descriptions in a minute", n)
		}
	})
}

// Room that was granted to a record that is then refused is given back.
func TestARefusedRecordHoldsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newStrange("shardId-000000000007")
		e := engine(t, api, func(c *Config) { c.RequireOrder, c.BufferBytes, c.Deadline = true, 1, time.Minute })
		refused := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := e.Send(context.Background(), &record.Record{PartitionKey: "k"})
				refused <- err
			}()
			synctest.Wait() // the second one waits for room
			api.auto = true
		}
		e.mu.Lock()
		e.shards.described = time.Time{} // it is described with the next look
		e.mu.Unlock()
		for range 2 {
			if err := <-refused; !errors.Is(err, errAuto) {
				t.Error(err)
			}
		}
		if n := e.Stats().BufferBytes; n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}

// The deadline counts from the acceptance, not from the call that waited for room.
func TestTheDeadlineCountsFromAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newScript()
		api.err = errors.New("down")
		e := engine(t, api, func(c *Config) { c.Deadline, c.BufferBytes = time.Minute, parcelBytes })
		began := time.Now()
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute} { // the second one waits for room
			err := e.SendAsync(t.Context(), &record.Record{PartitionKey: "k"}, func(_ record.Receipt, err error) {
				if took := time.Since(began); !errors.Is(err, record.ErrDeadline) || took.Round(10*time.Second) != want {
					t.Errorf("%v after %v, want %v", err, took, want)
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		if err := e.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// unusual is a service whose answers the SDK has to decode.
type unusual struct{ sink }

func (u unusual) PutRecords(ctx context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	a, err := u.sink.PutRecords(ctx, entries)
	a.Fallback = true
	return a, err
}

// fallbacks counts them.
type fallbacks struct {
	observe.Nop
	n atomic.Int64
}

func (f *fallbacks) Count(c observe.Counter, _ observe.Where, n int64) {
	if c == observe.Fallbacks {
		f.n.Add(n)
	}
}

func TestAnswersThatTheSDKDecodesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fallbacks
		e := engine(t, unusual{sink{func() {}}}, func(c *Config) { c.Observer = &f })
		for range 3 {
			if _, err := e.Send(t.Context(), &record.Record{PartitionKey: "k"}); err != nil {
				t.Error(err)
			}
		}
		if n := f.n.Load(); n != 3 {
			t.Errorf("%d, want 3", n)
		}
	})
}

// moody answers put after put as it is told.
type moody struct {
	split
	puts chan func() (*wire.PutAnswer, error)
}

func (m *moody) PutRecords(context.Context, []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	return (<-m.puts)()
}

// A record that everybody's refusal ended waits with its callback for an earlier
// one of its key also when that one leaves once more.
func TestCallbacksWaitForWhatLeavesAgain(t *testing.T) {
	t.Run("callbacks", func(t *testing.T) { waitForWhatLeavesAgain(t, (*Engine).SendAsync) })
	t.Run("rows", func(t *testing.T) {
		var dones []func(record.Receipt, error)
		tell := func(ends []End) {
			for _, end := range ends {
				dones[end.Number](end.Receipt, end.Err)
			}
		}
		waitForWhatLeavesAgain(t, func(e *Engine, ctx context.Context, r *record.Record, done func(record.Receipt, error)) error {
			if dones = append(dones, done); len(dones) == 1 {
				e.TellEnds(tell)
			}
			_, err := e.SendRows(ctx, []Row{{Record: *r, Number: uint64(len(dones) - 1)}})
			return err
		})
	})
}

func waitForWhatLeavesAgain(t *testing.T, sendAsync func(*Engine, context.Context, *record.Record, func(record.Receipt, error)) error) {
	synctest.Test(t, func(t *testing.T) {
		m := &moody{split: keyspace.Split(2), puts: make(chan func() (*wire.PutAnswer, error))}
		e := engine(t, m, func(*Config) {})
		var order []string
		send := func(name string, hash keyspace.Hash) {
			err := sendAsync(e, t.Context(), &record.Record{PartitionKey: "k", ExplicitHashKey: hash.String()}, func(_ record.Receipt, err error) {
				order = append(order, fmt.Sprint(name, " ", err == nil))
			})
			if err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		send("a1", m.split[0].First)
		send("a2", m.split[0].First)
		send("b", m.split[1].First)
		results := []func() (*wire.PutAnswer, error){
			func() (*wire.PutAnswer, error) { // of a1
				return &wire.PutAnswer{Results: []wire.PutResult{{Code: "ProvisionedThroughputExceededException"}}}, nil
			},
			func() (*wire.PutAnswer, error) { // of b
				return nil, &kinesisapi.Error{Class: kinesisapi.Fatal, Err: errors.New("denied")}
			},
		}
		// b's is answered first.
		first, second := make(chan struct{}), make(chan struct{})
		m.puts <- func() (*wire.PutAnswer, error) { <-first; return results[0]() }
		m.puts <- func() (*wire.PutAnswer, error) { <-second; return results[1]() }
		close(second)
		synctest.Wait()
		close(first)
		<-time.After(time.Second)
		m.puts <- func() (*wire.PutAnswer, error) {
			return &wire.PutAnswer{Results: []wire.PutResult{{Shard: "shardId-000000000000", Sequence: "49"}}}, nil
		}
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[b false a1 true a2 false]" {
			t.Errorf("callbacks %s", got)
		}
	})
}
