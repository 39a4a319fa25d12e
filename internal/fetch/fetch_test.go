package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
)

func reader(t *testing.T, cfg aws.Config, change ...func(*Reader)) *Reader {
	t.Helper()
	name, err := kinesisapi.ParseName("orders")
	if err != nil {
		t.Fatal(err)
	}
	c := kinesisapi.New(name, kinesisapi.Options{AWS: cfg})
	t.Cleanup(c.Close)
	r := &Reader{
		Client: c, Budget: NewBudget(64 << 20), Idle: time.Second, Busy: 250 * time.Millisecond,
		Warn: quiet.New(slog.New(slog.DiscardHandler)), Observer: observe.Nop{}, Where: observe.Where{Stream: "orders"},
	}
	for _, f := range change {
		f(r)
	}
	return r
}

// reads collects what a reading delivers, until it ends.
func reads(ctx context.Context, r *Reader, shard string, from From) (got []string, end *Answer, err error) {
	err = r.Read(ctx, shard, from, func(_ context.Context, a Answer) error {
		for _, x := range a.Records {
			got = append(got, string(x.Data))
		}
		if a.End {
			end = &a
		}
		a.Release()
		return nil
	})
	return got, end, err
}

const first = "shardId-000000000000"

func server(t *testing.T) *localkinesis.Server {
	return localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.StateDelay = map[string]int{"orders": 1}, 0 })
}

func put(t *testing.T, srv *localkinesis.Server, n int) (sequences []string) {
	t.Helper()
	for i := range n {
		r, err := srv.Put("orders", "k", "", fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, r.Sequence)
	}
	return sequences
}

func numbers(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return fmt.Sprint(out)
}

// Both ways to read give the same.
func TestReadingToTheEndOfAShard(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		for name, faults := range map[string][]localkinesis.Fault{
			"quietly":         nil,
			"expired":         {{Do: localkinesis.ExpireIterators, Op: "GetRecords", Rate: 0.5}},
			"throttled":       {{Do: localkinesis.Throttle, Op: "GetRecords", Rate: 0.5}, {Do: localkinesis.Throttle, Op: "GetShardIterator", Count: 3}, {Do: localkinesis.Throttle, Op: "SubscribeToShard", Count: 3}},
			"failing":         {{Do: localkinesis.Fail, Op: "GetRecords", Rate: 0.5}, {Do: localkinesis.Fail, Op: "GetShardIterator", Count: 2}, {Do: localkinesis.Fail, Op: "SubscribeToShard", Count: 2}},
			"answers dropped": {{Do: localkinesis.DropAnswer, Op: "GetRecords", Rate: 0.5}},
			"cut":             {{Do: localkinesis.CutStream, Op: "SubscribeToShard", Rate: 0.3, Count: 5}},
			"repeated":        {{Do: localkinesis.RepeatEvent, Op: "SubscribeToShard", Rate: 0.5}},
			"ended":           {{Do: localkinesis.EndSubscription, Op: "SubscribeToShard", Rate: 0.3, Count: 5}},
		} {
			t.Run(fmt.Sprintf("fan-out %v, %s", fanOut, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := server(t)
					put(t, srv, 5)
					r := reader(t, srv.AWS())
					if fanOut {
						s, _ := srv.Stream("orders")
						var err error
						if r.ConsumerARN, err = Register(t.Context(), r.Client, s.ARN, "g"); err != nil {
							t.Fatal(err)
						}
					}
					for _, f := range faults {
						srv.Inject(f)
					}
					go func() {
						for i := 5; i < 30; i++ {
							time.Sleep(3 * time.Second)
							if _, err := srv.Put("orders", "k", "", fmt.Append(nil, i)); err != nil {
								t.Error(err)
							}
						}
						if _, _, err := srv.Split("orders", first, ""); err != nil {
							t.Error(err)
						}
					}()
					got, end, err := reads(t.Context(), r, first, From{})
					if err != nil || fmt.Sprint(got) != numbers(0, 30) {
						t.Errorf("%v, %v", got, err)
					}
					if end == nil || len(end.Children) != 2 || end.Children[0].Parents[0] != first || end.Children[0].Range.Empty() {
						t.Errorf("the end is %+v", end)
					}
				})
			})
		}
	}
}

func TestWhereReadingStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(t)
		seqs := put(t, srv, 5)
		time.Sleep(time.Second)
		at := time.Now()
		for i := 5; i < 8; i++ {
			if _, err := srv.Put("orders", "k", "", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		for want, from := range map[string]From{
			numbers(0, 8): {},
			numbers(3, 8): {Sequence: seqs[3]},
			numbers(5, 8): {Time: at},
		} {
			if got, _, err := reads(t.Context(), reader(t, srv.AWS()), first, from); err != nil || fmt.Sprint(got) != want {
				t.Errorf("from %+v: %v, %v, want %s", from, got, err, want)
			}
		}
	})
}

// A place that is refused is looked for among the records that are left.
func TestAPlaceThatIsRefusedIsLookedFor(t *testing.T) {
	for _, op := range []string{"GetShardIterator", "SubscribeToShard"} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(t)
			seqs := put(t, srv, 3)
			if _, _, err := srv.Split("orders", first, ""); err != nil {
				t.Fatal(err)
			}
			r := reader(t, srv.AWS())
			if op == "SubscribeToShard" {
				s, _ := srv.Stream("orders")
				var err error
				if r.ConsumerARN, err = Register(t.Context(), r.Client, s.ARN, "g"); err != nil {
					t.Fatal(err)
				}
			}
			srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "InvalidArgumentException", Count: 1})
			got, _, err := reads(t.Context(), r, first, From{Sequence: seqs[2]})
			if err != nil || fmt.Sprint(got) != numbers(2, 3) {
				t.Errorf("%s: %v, %v", op, got, err)
			}
		})
	}
}

// The same while it is read, by a handler that takes longer than retention.
func TestAPlaceThatIsGoneWhileReadingCostsNothing(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(t)
			put(t, srv, 3)
			r := reader(t, srv.AWS())
			op := "GetShardIterator"
			if fanOut {
				op = "SubscribeToShard"
				s, _ := srv.Stream("orders")
				var err error
				if r.ConsumerARN, err = Register(t.Context(), r.Client, s.ARN, "g"); err != nil {
					t.Fatal(err)
				}
			}
			var gone *localkinesis.Injected
			go func() {
				time.Sleep(10 * time.Second)
				srv.Inject(localkinesis.Fault{Do: localkinesis.ExpireIterators, Op: "GetRecords", Count: 1})
				srv.Inject(localkinesis.Fault{Do: localkinesis.EndSubscription, Op: "SubscribeToShard", Count: 1})
				gone = srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "InvalidArgumentException", Count: 1})
				time.Sleep(10 * time.Second)
				for i := 3; i < 6; i++ {
					if _, err := srv.Put("orders", "k", "", fmt.Append(nil, i)); err != nil {
						t.Error(err)
					}
				}
				if _, _, err := srv.Split("orders", first, ""); err != nil {
					t.Error(err)
				}
			}()
			got, _, err := reads(t.Context(), r, first, From{})
			if err != nil || fmt.Sprint(got) != numbers(0, 6) || gone.Fired() != 1 {
				t.Errorf("%s: %v, %v", op, got, err)
			}
		})
	}
}

func TestWhatFailsForGoodIsAnError(t *testing.T) {
	for _, op := range []string{"GetShardIterator", "GetRecords"} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(t)
			srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "AccessDeniedException"})
			if _, _, err := reads(t.Context(), reader(t, srv.AWS()), first, From{}); err == nil || !strings.Contains(err.Error(), "kinesis:"+op) {
				t.Errorf("%s: %v", op, err)
			}
		})
	}
}

// An idle shard is read once a second, and a busy one four times.
func TestHowOftenAShardIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(t)
		r := reader(t, srv.AWS())
		count := &calls{}
		r.Observer = count
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, _, err := reads(ctx, r, first, From{})
			done <- err
		}()
		time.Sleep(10 * time.Second)
		before := count.n()
		time.Sleep(100 * time.Second)
		if n := count.n() - before; n < 85 || n > 100 {
			t.Errorf("idle: %d calls in 100 s", n)
		}
		before = count.n()
		for range 1000 {
			put(t, srv, 1)
			time.Sleep(100 * time.Millisecond)
		}
		if n := count.n() - before; n < 330 || n > 400 {
			t.Errorf("busy: %d calls in 100 s", n)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

type calls struct {
	observe.Nop
	mu  sync.Mutex
	all int
}

func (c *calls) Count(k observe.Counter, _ observe.Where, n int64) {
	if k == observe.Requests {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all += int(n)
	}
}

func (c *calls) n() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// silentServer answers a subscription with one event, and then says nothing for
// as long as the connection lives.
type silentServer struct {
	mu   sync.Mutex
	from []string
	tail []byte // what it sends behind the event, before it closes the connection; nil: nothing, and it stays open
}

func (s *silentServer) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(req.Header.Get("X-Amz-Target"), ".SubscribeToShard") {
		return &http.Response{ // it allows nothing else
			StatusCode: 400, Status: "400 Bad Request", Proto: "HTTP/2.0", ProtoMajor: 2, Request: req, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(`{"__type":"AccessDeniedException"}`)),
		}, nil
	}
	s.mu.Lock()
	s.from = append(s.from, string(body))
	n := len(s.from)
	s.mu.Unlock()
	var out bytes.Buffer
	enc := eventstream.NewEncoder()
	frame := func(kind, payload string) {
		m := eventstream.Message{Payload: []byte(payload)}
		m.Headers.Set(":message-type", eventstream.StringValue("event"))
		m.Headers.Set(":event-type", eventstream.StringValue(kind))
		m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
		if err := enc.Encode(&out, m); err != nil {
			panic(err)
		}
	}
	frame("initial-response", "{}")
	frame("SubscribeToShardEvent", fmt.Sprintf(`{"ContinuationSequenceNumber":"%d","MillisBehindLatest":0,"Records":[
		{"SequenceNumber":"%d","PartitionKey":"k","Data":"MQ==","ApproximateArrivalTimestamp":1}]}`, 100+n, 100+n))
	r, w := io.Pipe()
	go func() {
		w.Write(append(out.Bytes(), s.tail...))
		if s.tail != nil {
			w.Close()
		}
		<-req.Context().Done()
		w.CloseWithError(req.Context().Err())
	}()
	return &http.Response{
		StatusCode: 200, Status: "200 OK", Proto: "HTTP/2.0", ProtoMajor: 2, Request: req, Body: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}},
	}, nil
}

func TestASilentSubscriptionIsGivenUpAndTakenUpWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := &silentServer{}
		r := reader(t, aws.Config{
			Region: "eu-west-1", BaseEndpoint: aws.String("http://kinesis"), HTTPClient: &http.Client{Transport: silent},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
			}),
		})
		r.ConsumerARN = "arn:aws:kinesis:eu-west-1:1:stream/orders/consumer/g:1"
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		got, _, err := reads(ctx, r, first, From{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := len(got); n < 4 || n > 6 {
			t.Errorf("%d events in three minutes", n)
		}
		for i, body := range silent.from {
			if want := fmt.Sprintf(`"SequenceNumber":"%d"`, 100+i); i > 0 && (!strings.Contains(body, want) || !strings.Contains(body, "AFTER_SEQUENCE_NUMBER")) {
				t.Errorf("subscription %d: %s", i, body)
			}
		}
	})
}

// What is no frame of an event stream costs a subscription and no record.
func TestAMalformedFrameIsFollowedByAnotherSubscription(t *testing.T) {
	var whole bytes.Buffer
	m := eventstream.Message{Payload: []byte("{}")}
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	m.Headers.Set(":event-type", eventstream.StringValue("SubscribeToShardEvent"))
	if err := eventstream.NewEncoder().Encode(&whole, m); err != nil {
		t.Fatal(err)
	}
	spoilt := bytes.Clone(whole.Bytes())
	spoilt[len(spoilt)-1] ^= 1 // the checksum
	for name, tail := range map[string][]byte{
		"a wrong checksum":        spoilt,
		"a frame cut short":       whole.Bytes()[:20],
		"an enormous length":      {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
		"an answer of a web page": []byte("<html><body>502 Bad Gateway</body></html>"),
		"an event without a type": frameOf(t, nil, "{}"),
		"a payload that is no JSON": frameOf(t, map[string]string{
			":message-type": "event", ":event-type": "SubscribeToShardEvent", ":content-type": "application/json"}, "hello"),
		"an exception of tomorrow": frameOf(t, map[string]string{
			":message-type": "exception", ":exception-type": "TomorrowException", ":content-type": "application/json"}, "{}"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := reader(t, aws.Config{
					Region: "eu-west-1", BaseEndpoint: aws.String("http://kinesis"), HTTPClient: &http.Client{Transport: &silentServer{tail: tail}},
					Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
						return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
					}),
				})
				r.ConsumerARN = "arn:aws:kinesis:eu-west-1:1:stream/orders/consumer/g:1"
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, _, err := reads(ctx, r, first, From{})
				if !errors.Is(err, context.DeadlineExceeded) || len(got) < 6 || len(got) > 13 {
					t.Errorf("%d events in a minute, %v", len(got), err)
				}
			})
		})
	}
}

func frameOf(t *testing.T, headers map[string]string, payload string) []byte {
	t.Helper()
	m := eventstream.Message{Payload: []byte(payload)}
	for k, v := range headers {
		m.Headers.Set(k, eventstream.StringValue(v))
	}
	var out bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
