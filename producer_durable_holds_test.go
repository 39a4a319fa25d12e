package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/buffer/memory"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/localkinesis"
)

// logOn is a buffer on a file system.
func logOn(fs *crashfs.FS, opts ...func(*disk.Options)) *disk.Log {
	return disk.New("/buffer", append([]func(*disk.Options){func(o *disk.Options) {
		o.FS, o.Label, o.Logger = fs, "orders", discard
	}}, opts...)...)
}

func letters(t *testing.T, b buffer.Buffer) (all []buffer.Dead) {
	t.Helper()
	if err := b.Dead(t.Context(), func(d *buffer.Dead) bool { all = append(all, *d); return true }); err != nil {
		t.Error(err)
	}
	return all
}

// What ends records at once without a buffer holds them with one, until it is
// mended.
func TestWhatIsWrongWithTheStreamHoldsRecordsUntilItIsMended(t *testing.T) {
	cases := map[string]func(srv *localkinesis.Server) (mend func()){
		"no permission": func(srv *localkinesis.Server) func() {
			f := srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail, Code: "AccessDeniedException"})
			return f.Remove
		},
		"no permission to look": func(srv *localkinesis.Server) func() {
			f := srv.Inject(localkinesis.Fault{Op: "ListShards", Do: localkinesis.Fail, Code: "AccessDeniedException"})
			return f.Remove
		},
		"no key": func(srv *localkinesis.Server) func() {
			f := srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.FailEntries, Code: "KMSDisabledException"})
			return f.Remove
		},
		"no stream yet": func(srv *localkinesis.Server) func() {
			srv.DeleteStream("orders")
			return func() { srv.CreateStream("orders", 3) }
		},
		"no order": func(srv *localkinesis.Server) func() {
			srv.SetAuto("orders", true)
			// Once the producer knows, it takes no more.
			srv.Inject(localkinesis.Fault{Op: "DescribeStreamSummary", Do: localkinesis.Delay, Delay: time.Second})
			return func() { srv.SetAuto("orders", false) }
		},
	}
	for name, wrong := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 2} })
				mend := wrong(srv)
				p := producer(t, srv, on(logOn(crashfs.New("/"))), func(o *vegas.ProducerOptions) { o.RequireOrder = true })
				var l told
				for i := range 5 {
					l.send(t, p, "a", i)
				}
				<-time.After(30 * time.Minute)
				if s := p.Stats(); len(l.durable) != 5 || len(l.stored) != 0 || s.Durable.Items != 5 || s.Durable.Dead != 0 {
					t.Errorf("%+v, %+v", l, s)
				}
				mend()
				<-time.After(2 * time.Minute)
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if got := data(t, srv)["a"]; got != "0 1 2 3 4 " || fmt.Sprint(l.stored) != "[0 1 2 3 4]" {
					t.Errorf("%q, %+v", got, l)
				}
			})
		})
	}
}

func TestWhatGetsTooOldBecomesADeadLetterAndIsReplayedUnderANewIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := logOn(crashfs.New("/"))
		srv, p := start(t, 1, on(b), func(o *vegas.ProducerOptions) { o.DurableAge = 10 * time.Minute })
		over := outage(srv, "PutRecords")
		var l told
		l.send(t, p, "a", 0)
		l.send(t, p, "b", 1)
		<-time.After(5 * time.Minute)
		l.send(t, p, "a", 2)
		<-time.After(6 * time.Minute)
		dead := letters(t, b)
		if len(dead) != 2 || dead[0].Key != "a" || string(dead[1].Data) != "1" || !strings.Contains(dead[0].Reason, "deadline") || !strings.Contains(dead[0].Reason, "InternalFailure") {
			t.Errorf("%+v", dead)
		}
		if fmt.Sprint(l.stored) != "[0 1]" || !errors.Is(l.errs[0], vegas.ErrDeadline) {
			t.Errorf("%+v", l)
		}
		over()
		<-time.After(time.Minute)
		if n, err := b.Replay(t.Context()); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := data(t, srv); got["a"] != "2 0 " || got["b"] != "1 " {
			t.Errorf("%q", got)
		}
	})
}

func TestWhatCanNeverBeStoredIsADeadLetterAndHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		resize := func(srv *localkinesis.Server, kib int32) {
			s, err := srv.Stream("orders")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kinesis.NewFromConfig(srv.AWS()).UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
				StreamARN: aws.String(s.ARN), MaxRecordSizeInKiB: aws.Int32(kib),
			}); err != nil {
				t.Fatal(err)
			}
		}
		fs := crashfs.New("/")
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
		resize(srv, 4<<10)
		p := producer(t, srv, on(logOn(fs)))
		if err := p.Send(t.Context(), "a", make([]byte, 20<<20)); !errors.Is(err, vegas.ErrTooLarge) {
			t.Errorf("%v", err)
		}
		over := outage(srv, "PutRecords")
		if err := p.Send(t.Context(), "a", []byte("before")); err != nil {
			t.Error(err)
		}
		if err := p.Send(t.Context(), "a", make([]byte, 3<<20)); err != nil {
			t.Error(err)
		}
		if err := p.Send(t.Context(), "a", []byte("after")); err != nil {
			t.Error(err)
		}
		if err := p.Close(canceled); err == nil || !strings.Contains(err.Error(), "3 records") {
			t.Errorf("%v", err)
		}
		resize(srv, 1<<10)
		over()
		b := logOn(fs)
		p = producer(t, srv, on(b))
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		dead := letters(t, b)
		if len(dead) != 1 || len(dead[0].Data) != 3<<20 || !strings.Contains(dead[0].Reason, "too large") {
			t.Errorf("%d dead letters", len(dead))
		}
		if got := data(t, srv)["a"]; got != "before after " {
			t.Errorf("%.60q", got)
		}
	})
}

func TestFailKeyBuriesWhatIsQueuedBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := logOn(crashfs.New("/"))
		srv, p := start(t, 1, on(b), func(o *vegas.ProducerOptions) {
			o.DurableAge, o.OnFailure = 10*time.Minute, vegas.FailKey
		})
		over := outage(srv, "PutRecords")
		var l told
		l.send(t, p, "a", 0)
		<-time.After(5 * time.Minute)
		l.send(t, p, "a", 1)
		l.send(t, p, "b", 2)
		<-time.After(6 * time.Minute)
		over()
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if dead := letters(t, b); len(dead) != 2 || !errors.Is(l.errs[1], vegas.ErrEarlierFailed) {
			t.Errorf("%+v, %+v", dead, l)
		}
		if got := data(t, srv); got["a"] != "" || got["b"] != "2 " {
			t.Errorf("%q", got)
		}
	})
}

func TestAShardThatTakesNothingHoldsUpOthersOnlyBeyondTheLookAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := logOn(crashfs.New("/"))
		srv, p := start(t, 2, on(b), func(o *vegas.ProducerOptions) { o.BufferBytes = 64 << 10 })
		stuck := srv.Inject(localkinesis.Fault{Op: "PutRecords", Shard: "shardId-000000000000", Do: localkinesis.Throttle})
		send := func(hash string, n int) {
			t.Helper()
			for range n {
				r := &vegas.Record{PartitionKey: "k" + hash[:1], ExplicitHashKey: hash, Data: make([]byte, 1000)}
				if _, err := p.SendRecord(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		low, high := "1", "2"+strings.Repeat("0", 38)
		sent := func() int64 { <-time.After(time.Minute); return p.Stats().Sent }
		send(high, 1) // a request to both shards would be throttled as a whole
		if n := sent(); n != 1 {
			t.Errorf("%d sent", n)
		}
		send(low, 30)
		<-time.After(time.Minute)
		send(high, 100)
		if n := sent(); n != 101 {
			t.Errorf("within the look-ahead %d sent", n)
		}
		send(low, 100)
		send(high, 100)
		if n := sent(); n != 101 {
			t.Errorf("beyond the look-ahead %d sent", n)
		}
		if s := p.Stats(); s.BufferBytes > 64<<10 || s.Durable.Items != 230 {
			t.Errorf("%+v", s)
		}
		stuck.Remove()
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if n := p.Stats().Sent; n != 331 {
			t.Errorf("%d sent", n)
		}
	})
}

func TestAFullBufferBlocksAndResumesByItself(t *testing.T) {
	for name, b := range map[string]func() buffer.Buffer{
		"limit in memory": func() buffer.Buffer { return memory.New(func(o *memory.Options) { o.Bytes = 256 << 10 }) },
		"limit on disk":   func() buffer.Buffer { return logOn(crashfs.New("/"), func(o *disk.Options) { o.Bytes = 256 << 10 }) },
		"full disk": func() buffer.Buffer {
			fs := crashfs.New("/")
			fs.Room(256<<10, false)
			return logOn(fs, func(o *disk.Options) { o.SegmentBytes = 64 << 10 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				srv, p := start(t, 2, on(b()))
				over := outage(srv, "PutRecords")
				n := 0
				var err error
				for ; err == nil && n < 1000; n++ {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					err = p.Send(ctx, fmt.Sprint("k", n%3), fmt.Appendf(nil, "%4d%996s", n, ""))
					cancel()
				}
				// What was appended when the disk was full is in the buffer, whatever
				// its Send was told.
				if e := outcome(t, err); n < 100 || n > 300 || e.Outcome == vegas.NotStored && !errors.Is(err, vegas.ErrBufferFull) {
					t.Fatalf("after %d records: %v", n, err)
				}
				if err := p.SendAsync(canceled, &vegas.Record{PartitionKey: "k"}, nil); err == nil {
					t.Error("accepted with a context that had ended")
				}
				var wg sync.WaitGroup
				for i := range 20 {
					wg.Go(func() {
						if err := p.Send(t.Context(), fmt.Sprint("later", i), make([]byte, 1000)); err != nil {
							t.Error(err)
						}
					})
				}
				<-time.After(10 * time.Minute)
				if err := p.Check(t.Context()); err == nil {
					t.Error("Check finds nothing wrong")
				}
				over()
				wg.Wait()
				if err := p.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				if s := p.Stats(); s.Sent < int64(n-1+20) || s.Durable.Items != 0 || s.Durable.Stalled != nil {
					t.Errorf("%d records: %+v", n, s)
				}
				if err := p.Check(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestACopiedDirectoryStartedTwiceLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fs := crashfs.New("/")
		srv, p := start(t, 2, on(logOn(fs)))
		over := outage(srv, "PutRecords")
		for i := range 40 {
			if err := p.Send(t.Context(), fmt.Sprint("k", i%4), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		one, other := fs.Kill(), fs.Kill()
		p.Close(canceled)
		over()
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.DropAnswer, Rate: 0.3, Count: 5})
		var wg sync.WaitGroup
		for n, disk := range []*crashfs.FS{one, other} {
			wg.Go(func() {
				p := producer(t, srv, on(logOn(disk)))
				for i := range 20 {
					if err := p.Send(t.Context(), fmt.Sprint("k", n, "-", i%4), fmt.Append(nil, i)); err != nil {
						t.Error(err)
					}
				}
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		seen := map[string]int{}
		for _, s := range firsts(contents(t, srv, "orders")) {
			seen[s.key+" "+string(s.data)]++
		}
		for i := range 40 {
			if n := seen[fmt.Sprintf("k%d %d", i%4, i)]; n != 1 {
				t.Errorf("record %d of the backlog is there %d times", i, n)
			}
		}
		if len(seen) != 80 {
			t.Errorf("%d records", len(seen))
		}
	})
}

func TestCallbacksOfADurableProducer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, on(memory.New()), func(o *vegas.ProducerOptions) { o.BufferBytes = 8 << 10 })
		over := outage(srv, "PutRecords")
		rec := func(i int) *vegas.Record { return &vegas.Record{PartitionKey: "k", Data: fmt.Append(nil, i)} }
		var order []int
		hold := make(chan struct{})
		var inside error
		for i := range 10 {
			err := p.SendAsync(t.Context(), rec(i), func(r vegas.Receipt, err error) {
				order = append(order, i)
				if !r.Durable || err != nil {
					t.Errorf("%+v, %v", r, err)
				}
				switch i {
				case 1:
					panic("a callback's")
				case 2:
					<-hold
					for inside == nil {
						inside = p.SendAsync(t.Context(), rec(0), func(vegas.Receipt, error) {})
					}
					if err := p.Send(t.Context(), "k", nil); err != nil { // nobody is told: no room is needed
						t.Error(err)
					}
					if p.Flush(t.Context()) == nil || p.Close(t.Context()) == nil {
						t.Error("Flush and Close let a callback wait for itself")
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		// A callback that does not return holds up those who want to be called,
		// at the bound, and nobody else.
		blocked := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for {
				if err := p.SendAsync(ctx, rec(0), func(vegas.Receipt, error) {}); err != nil {
					blocked <- err
					return
				}
			}
		}()
		if err := <-blocked; !errors.Is(err, vegas.ErrBufferFull) {
			t.Errorf("%v", err)
		}
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Error(err)
		}
		close(hold)
		synctest.Wait()
		if !errors.Is(inside, vegas.ErrBufferFull) || !slices.IsSorted(order) || len(order) != 10 {
			t.Errorf("inside: %v; %v", inside, order)
		}
		over()
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
