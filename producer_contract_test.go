package vegas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// bubble runs f in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// lockedBuffer is a log's memory.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// slowly makes the next calls of an operation take their time.
func slowly(srv *localkinesis.Server, op string, d time.Duration, calls int) {
	srv.Inject(localkinesis.Fault{Op: op, Do: localkinesis.Delay, Delay: d, Count: calls})
}

func TestDataIsCopiedAtAcceptance(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // memory given back is taken next
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		for i := range 20 { // the memory of earlier records is used again
			r := &vegas.Record{PartitionKey: "k", Data: []byte("before"), Headers: []vegas.Header{{Key: "h", Value: "v"}}}
			if err := p.SendAsync(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			copy(r.Data, "after!")
			r.Headers[0].Value, r.PartitionKey = "changed", "other"
			p.Flush(t.Context())
			got := contents(t, srv, "orders")
			if len(got) != i+1 || string(got[i].data) != "before" || got[i].key != "k" {
				t.Fatalf("got %+v", got)
			}
			stored, _ := srv.Records("orders", got[i].shard)
			if a, err := aggregate.DecodeBytes(stored[i].Data); err != nil || a.Subs[0].Headers[0].Value != "v" {
				t.Fatalf("got %+v, %v", a, err)
			}
		}
	})
}

// begin is when every bubble starts.
func begin() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestTheReceiptTellsShardSequenceAndSubSequence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2)
		var rs []*vegas.Record
		for i := range 100 {
			rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Append(nil, i)})
		}
		receipts, err := p.SendAll(t.Context(), rs)
		if err != nil {
			t.Fatal(err)
		}
		at := map[vegas.Receipt]string{}
		for _, s := range contents(t, srv, "orders") {
			at[vegas.Receipt{Shard: s.shard, Position: vegas.Position{Sequence: s.sequence, SubSequence: int64(s.index)}}] = s.key
		}
		for i, r := range receipts {
			if at[r] != fmt.Sprint(i) {
				t.Fatalf("record %d: receipt %v holds %q", i, r, at[r])
			}
		}
		if n := p.Stats().Entries; n > 4 {
			t.Errorf("%d entries for 100 records of two shards", n)
		}
	})
}

func TestASendErrorTellsStreamShardKeyOutcomeAttemptsAndCause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 3 * time.Second })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle})
		err := p.Send(t.Context(), "secret-key", []byte("secret-data"))
		e := outcome(t, err)
		if e.Stream != "orders" || e.Shard != "shardId-000000000000" || e.Key != "secret-key" || e.Outcome != vegas.NotStored || e.Attempts < 2 ||
			!errors.Is(err, vegas.ErrDeadline) || !errors.Is(err, vegas.ErrThrottled) {
			t.Errorf("got %+v", e)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the text holds the key: %v", err)
		}
	})
}

func TestUnknownSticks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 3 * time.Second })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.DropAnswer, Count: 1})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, After: 1})
		err := p.Send(t.Context(), "k", []byte("d"))
		if e := outcome(t, err); e.Outcome != vegas.Unknown {
			t.Errorf("a lost answer and then throttling: got %+v", e)
		}
	})
}

func TestAFailureLeavesAGapNeverAnInversion(t *testing.T) {
	for _, onFailure := range []vegas.OnFailure{vegas.FailRecord, vegas.FailKey} {
		bubble(t, func(t *testing.T) {
			srv, p := start(t, 1, func(o *vegas.ProducerOptions) {
				o.Deadline, o.Linger, o.OnFailure = 2*time.Second, 0, onFailure
			})
			srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, Count: 100})
			l := newLedger()
			send := func(key string) int {
				n, r := l.next(key)
				if err := p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) }); err != nil {
					t.Error(err)
				}
				return n
			}
			first, other := send("a"), send("b")
			<-time.After(time.Second)
			behind := send("a")
			<-time.After(1500 * time.Millisecond)
			p.Flush(t.Context())
			err := func(n int) error { return l.results[n][0].err }
			if !errors.Is(err(first), vegas.ErrDeadline) || !errors.Is(err(other), vegas.ErrDeadline) {
				t.Errorf("first %v, other %v", err(first), err(other))
			}
			if onFailure == vegas.FailKey && !errors.Is(err(behind), vegas.ErrEarlierFailed) {
				t.Errorf("behind: %v", err(behind))
			}
			n, r := l.next("a")
			rc, e := p.SendRecord(t.Context(), r)
			l.ended(n, rc, e)
			l.audit(t, srv, "orders")
		})
	}
}

func TestWhatCannotSucceedFailsAtOnceWithTheRemedy(t *testing.T) {
	for code, want := range map[string]string{
		"AccessDeniedException":     "kinesis:PutRecords",
		"ResourceNotFoundException": "#stream-not-found",
		"KMSDisabledException":      "#kms",
		"KMSAccessDeniedException":  "#kms",
		"InvalidArgumentException":  "InvalidArgumentException",
		"ValidationException":       "ValidationException",
	} {
		t.Run(code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv, p := start(t, 2)
				srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail, Code: code})
				began := time.Now()
				var rs []*vegas.Record
				for i := range 20 {
					rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: []byte("d")})
				}
				_, err := p.SendAll(t.Context(), rs)
				e := outcome(t, err)
				if e.Outcome != vegas.NotStored || !strings.Contains(e.Error(), want) || time.Since(began) > time.Second {
					t.Errorf("after %v: %v", time.Since(began), &e)
				}
				var each vegas.SendErrors
				if !errors.As(err, &each) || len(each.Unwrap()) != 20 {
					t.Errorf("%d of 20 failed", len(each.Unwrap()))
				}
				if n := p.Stats().Requests; n > 10 {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
	// The look at the stream comes first, and so do its errors.
	for op, want := range map[string]string{"ListShards": "kinesis:ListShards", "DescribeStreamSummary": "kinesis:DescribeStreamSummary"} {
		bubble(t, func(t *testing.T) {
			srv, p := start(t, 1)
			srv.Inject(localkinesis.Fault{Op: op, Do: localkinesis.Fail, Code: "AccessDeniedException"})
			began := time.Now()
			err := p.Send(t.Context(), "k", nil)
			if e := outcome(t, err); e.Outcome != vegas.NotStored || !strings.Contains(err.Error(), want) || time.Since(began) > time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	}
}

func TestTheDeadlineEndsARecordThatNeverLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 5 * time.Second })
		srv.Inject(localkinesis.Fault{Op: "ListShards", Do: localkinesis.Fail})
		began := time.Now()
		err := p.Send(t.Context(), "k", nil)
		e := outcome(t, err)
		if e.Outcome != vegas.NotStored || !errors.Is(err, vegas.ErrDeadline) || !strings.Contains(err.Error(), "list shards") || !strings.Contains(err.Error(), "docs/troubleshooting.md#deadline") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestMemoryIsBoundedAndTheWaitForRoomIsFair(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 10 << 10 })
		slowly(srv, "ListShards", 5*time.Second, 1)
		var mu sync.Mutex
		var order []int
		most := int64(0)
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				<-time.After(time.Duration(i) * time.Millisecond)
				size := 3 << 10
				if i%3 == 0 {
					size = 9 << 10 // starves if small ones may pass it
				}
				err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k", Data: make([]byte, size)}, func(vegas.Receipt, error) {})
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				most = max(most, p.Stats().BufferBytes)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range order {
			if d := order[i] - i; d < -3 || d > 3 { // goroutines woken together run in any order
				t.Errorf("served in the order %v", order)
				break
			}
		}
		if most > 10<<10 {
			t.Errorf("%d bytes were held", most)
		}
		// A record larger than the bound goes alone.
		if err := p.Send(t.Context(), "k", make([]byte, 100<<10)); err != nil {
			t.Error(err)
		}
	})
}

func TestASendThatRacesCloseGetsAResultOrErrClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2, func(o *vegas.ProducerOptions) { o.BufferBytes = 3 << 10 })
		slowly(srv, "PutRecords", 50*time.Millisecond, 0)
		l := newLedger()
		var wg sync.WaitGroup
		var closed int
		var mu sync.Mutex
		for g := range 20 {
			wg.Go(func() {
				for i := range 10 {
					n, r := l.next(fmt.Sprint(g))
					rc, err := p.SendRecord(context.Background(), r)
					l.ended(n, rc, err)
					if errors.Is(err, vegas.ErrClosed) {
						mu.Lock()
						closed++
						mu.Unlock()
					} else if err != nil {
						t.Error(i, err)
					}
				}
			})
		}
		<-time.After(300 * time.Millisecond)
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		acked := l.audit(t, srv, "orders")
		if closed == 0 || acked == 0 || closed+acked != 200 {
			t.Errorf("%d closed, %d acknowledged", closed, acked)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

func TestWhoWaitsForRoomIsToldOfCloseAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 1 })
		slowly(srv, "PutRecords", 5*time.Second, 1)
		p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, nil)
		told := make(chan time.Time, 1)
		go func() {
			if err := p.Send(context.Background(), "k", nil); !errors.Is(err, vegas.ErrClosed) {
				t.Error(err)
			}
			told <- time.Now()
		}()
		<-time.After(time.Second)
		p.Close(context.Background())
		if d := (<-told).Sub(begin()); d > 2*time.Second {
			t.Errorf("told after %v", d)
		}
	})
}

// Two records in one aggregate, the first of which runs out of time while the
// aggregate waits to be sent again; its memory must not be used again until the
// aggregate has ended.
func TestARecordThatEndedDoesNotGoOutWithItsNeighbours(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // memory given back is taken next
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Linger, o.Deadline = 16*time.Second, 20*time.Second })
		if _, err := p.SendRecord(t.Context(), &vegas.Record{PartitionKey: "warm", Data: []byte("0")}); err != nil {
			t.Fatal(err)
		}
		warm := time.Now()
		throttle := srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle})
		l := newLedger()
		l.next("warm")
		send := func(key string) {
			n, r := l.next(key)
			p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) })
		}
		send("a")
		<-time.After(15 * time.Second)
		send("b")
		<-time.After(7 * time.Second)
		synctest.Wait()
		if len(l.results[1]) != 1 || len(l.results[2]) != 0 {
			t.Fatalf("the first alone is over after %v: %v", time.Since(warm), l.results)
		}
		for range 20 {
			send("c")
		}
		throttle.Remove()
		p.Flush(t.Context())
		count := map[string]int{}
		for _, s := range contents(t, srv, "orders") {
			count[s.key+string(s.data)]++
		}
		for k, n := range count {
			if n != 1 {
				t.Errorf("%q is stored %d times", k, n)
			}
		}
		if len(count) != 22 {
			t.Errorf("stored: %v", count)
		}
	})
}

func TestCloseWhoseContextEndsLeavesNothingOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2)
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Delay, Delay: time.Hour, After: 1})
		l := newLedger()
		send := func(key string) {
			n, r := l.next(key)
			p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) })
		}
		send("a")
		p.Flush(t.Context())
		for i := range 50 {
			send(fmt.Sprint(i))
		}
		<-time.After(time.Second)
		send("late")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		err := p.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "51 records") || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if acked := l.audit(t, srv, "orders"); acked != 1 {
			t.Errorf("%d acknowledged", acked)
		}
		for n, r := range l.results {
			if e := r[0].err; n > 0 && !errors.Is(e, vegas.ErrClosed) {
				t.Errorf("record %d: %v", n, e)
			}
		}
	})
}

func TestFlushCutsLingerShortAndWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Linger = time.Hour })
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		n := 0
		for range 10 {
			p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, func(vegas.Receipt, error) { n++ })
		}
		began := time.Now()
		if err := p.Flush(t.Context()); err != nil || n != 10 || time.Since(began) > time.Second {
			t.Errorf("%v, %d callbacks after %v", err, n, time.Since(began))
		}
		p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, func(vegas.Receipt, error) { n++ })
		<-time.After(time.Minute)
		if n != 10 {
			t.Error("what came after Flush did not linger")
		}
		srv.Inject(localkinesis.Fault{Do: localkinesis.Delay, Op: "PutRecords", Delay: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush ignores its context: %v", err)
		}
	})
}

func TestRecordsUpToMaxRecordSizeTravelAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 32 << 20 })
		if err := p.Send(t.Context(), "k", make([]byte, 1<<20-1)); err != nil {
			t.Errorf("1 MiB with the key: %v", err)
		}
		err := p.Send(t.Context(), "k", make([]byte, 1<<20))
		if !errors.Is(err, vegas.ErrTooLarge) || !strings.Contains(err.Error(), "1048576") || outcome(t, err).Outcome != vegas.NotStored {
			t.Errorf("a byte more: %v", err)
		}
		_ = srv
	})
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
		s, _ := srv.Stream("orders")
		client := kinesis.NewFromConfig(srv.AWS())
		if _, err := client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(s.ARN), MaxRecordSizeInKiB: aws.Int32(10 << 10),
		}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		p := producer(t, srv)
		for _, size := range []int{10<<20 - 1000, 10<<20 - 1} {
			if err := p.Send(t.Context(), "k", make([]byte, size)); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			<-time.After(time.Minute)
		}
	})
}

func TestWithoutAggregationOneUnacknowledgedRecordPerKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Aggregate, o.Linger = false, 0 })
		p.Send(t.Context(), "warm", nil)
		slowly(srv, "PutRecords", 100*time.Millisecond, 0)
		began := time.Now()
		var rs []*vegas.Record
		for i := range 50 {
			rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i % 5)})
		}
		if _, err := p.SendAll(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		// Ten records a key, one round trip each; keys side by side.
		if d := time.Since(began); d < time.Second || d > 1200*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

func TestWithoutAggregationExplicitHashKeysRoute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 4, func(o *vegas.ProducerOptions) { o.Aggregate = false })
		for i, r := range keyspace.Split(4) {
			got, err := p.SendRecord(t.Context(), &vegas.Record{PartitionKey: "k", ExplicitHashKey: r.Last.String()})
			if want := fmt.Sprint("shardId-00000000000", i); err != nil || got.Shard != want {
				t.Errorf("stored in %s, want %s: %v", got.Shard, want, err)
			}
		}
	})
}

func TestAPayloadThatLooksLikeAnAggregateIsWrappedOrRefused(t *testing.T) {
	payload := []byte("\xf3\x89\x9a\xc2\x0a\x01\x61\x0a\x02\x62\x63\x12\x03\x31\x32\x33\x1a\x05\x08\x00\x1a\x01\x78\x1a\x08\x08\x01\x10\x00\x1a\x02\x79\x7a" +
		"\xd9\x28\xd6\xfb\x6e\x49\xac\x46\x72\x94\x68\xcc\x82\x0f\x58\x96")
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		if err := p.Send(t.Context(), "k", payload); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, srv, "orders"); len(got) != 1 || got[0].key != "k" || !bytes.Equal(got[0].data, payload) {
			t.Errorf("read back as %+v", got)
		}
		raw := producer(t, srv, func(o *vegas.ProducerOptions) { o.Aggregate = false })
		if err := raw.Send(t.Context(), "k", payload); err == nil || !strings.Contains(err.Error(), "#looks-like-aggregate") {
			t.Errorf("unwrapped: %v", err)
		}
		if err := raw.Send(t.Context(), "k", payload[1:]); err != nil {
			t.Error(err)
		}
	})
}

func TestASaturatedShardRunsAboveNinetyPercentOfItsLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 0 })
		slowly(srv, "PutRecords", 20*time.Millisecond, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r := &vegas.Record{PartitionKey: "k", Data: make([]byte, 1000)}
		for p.SendAsync(ctx, r, func(vegas.Receipt, error) {}) == nil {
		}
		s := p.Stats()
		rate := float64(s.Bytes) / 10
		if rate < 0.9*(1<<20) || float64(s.Throttles) > 0.05*float64(s.Entries) {
			t.Errorf("%.0f bytes a second, %d of %d entries throttled", rate, s.Throttles, s.Entries)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		p.Close(ctx)
	})
}

func TestBadInputIsNamedWithItsRemedy(t *testing.T) {
	for arg, want := range map[string]string{"": "#stream-name", "a b": "#stream-name", "kafka://x/y": "no adapter", "arn:aws:s3:::x": "#stream-name"} {
		if _, err := vegas.NewProducer(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("stream %q: %v", arg, err)
		}
	}
	for want, f := range map[string]func(*vegas.ProducerOptions){
		"o.Linger": func(o *vegas.ProducerOptions) { o.Linger = -1 }, "o.Deadline": func(o *vegas.ProducerOptions) { o.Deadline = -1 },
		"o.BufferBytes": func(o *vegas.ProducerOptions) { o.BufferBytes = 0 }, "o.MaxRequests": func(o *vegas.ProducerOptions) { o.MaxRequests = 0 },
		"o.RequestTimeout": func(o *vegas.ProducerOptions) { o.RequestTimeout = 0 }, "o.OnFailure": func(o *vegas.ProducerOptions) { o.OnFailure = 9 },
	} {
		if _, err := vegas.NewProducer("orders", f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1)
		for want, r := range map[string]*vegas.Record{
			"#partition-key":     {},
			"257 characters":     {PartitionKey: strings.Repeat("é", 257)},
			"UTF-8":              {PartitionKey: "\xff"},
			"#explicit-hash-key": {PartitionKey: "k", ExplicitHashKey: "0x12"},
			"#record-too-large":  {PartitionKey: "k", Data: make([]byte, 11<<20)},
		} {
			_, err := p.SendRecord(t.Context(), r)
			if err == nil || !strings.Contains(err.Error(), want) || outcome(t, err).Outcome != vegas.NotStored {
				t.Errorf("%s: %v", want, err)
			}
			if err := p.SendAsync(t.Context(), r, nil); err == nil {
				t.Errorf("%s: accepted by SendAsync", want)
			}
		}
		for _, r := range []*vegas.Record{{PartitionKey: strings.Repeat("é", 256)}, {PartitionKey: "k", ExplicitHashKey: "340282366920938463463374607431768211455"}} {
			if _, err := p.SendRecord(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
		// Bad ones among good ones cost these nothing.
		_, err := p.SendAll(t.Context(), []*vegas.Record{{PartitionKey: "a"}, {}, {PartitionKey: "b"}})
		var errs vegas.SendErrors
		if !errors.As(err, &errs) || errs[0] != nil || errs[1] == nil || errs[2] != nil || !strings.Contains(err.Error(), "1 of 3 records failed") {
			t.Errorf("%v", err)
		}
		raw := producer(t, mustServer(t), func(o *vegas.ProducerOptions) { o.Aggregate = false })
		if _, err := raw.SendRecord(t.Context(), &vegas.Record{PartitionKey: "k", Headers: []vegas.Header{{Key: "a", Value: "b"}}}); err == nil ||
			!strings.Contains(err.Error(), "#headers-need-aggregation") {
			t.Errorf("headers: %v", err)
		}
	})
}

func mustServer(t *testing.T) *localkinesis.Server {
	return localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
}
