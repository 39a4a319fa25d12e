package localkinesis_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

// TestFaultsRepeatThemselves: the same requests in the same order meet the same
// faults, and another seed others.
func TestFaultsRepeatThemselves(t *testing.T) {
	run := func(seed uint64) (pattern string) {
		bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
			i := srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: "PutRecord", Rate: 0.3})
			j := srv.Inject(localkinesis.Fault{Do: localkinesis.FailEntries, EntryRate: 0.5})
			for range 60 {
				_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte("x")})
				pattern += fmt.Sprint(err != nil)[:1]
			}
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range 60 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("a"), Data: []byte("x")})
			}
			out, err := c.PutRecords(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range out.Records {
				pattern += fmt.Sprint(r.ErrorCode != nil)[:1]
			}
			if n := i.Fired(); n < 6 || n > 30 || n != strings.Count(pattern[:60], "t") || i.Seen() != 60 || j.Fired() != 1 {
				t.Errorf("%d of %d requests failed, %q", n, i.Seen(), pattern)
			}
		}, func(o *localkinesis.Options) { o.Seed = seed })
		return pattern
	}
	first, again, other := run(1), run(1), run(2)
	if first != again || first == other {
		t.Errorf("patterns are\n%s\n%s and with another seed\n%s", first, again, other)
	}
}

// TestStoreLate: the request is applied after as many later writes, in order.
func TestStoreLate(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		srv.Inject(localkinesis.Fault{Do: localkinesis.StoreLate, Op: "PutRecord", Count: 1, Requests: 3})
		if err := srv.CreateStream("bills", 1); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if i == 1 { // writes to another stream are not later ones
				for range 3 {
					_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("bills"), PartitionKey: aws.String("a"), Data: []byte{}})
					expect(t, "put to another stream", err, "")
				}
			}
			_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte{byte('0' + i)}})
			if (err != nil) != (i == 0) {
				t.Errorf("put %d: %v", i, err)
			}
		}
		if got := stored(t, srv); got != "12304" {
			t.Errorf("stored is %q, want 12304", got)
		}
	})
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		srv.Inject(localkinesis.Fault{Do: localkinesis.StoreLate, Op: "PutRecord", Requests: 2})
		for i := range 5 {
			_, _ = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte{byte('0' + i)}})
		}
		if got := stored(t, srv); got != "012" {
			t.Errorf("stored is %q where every write comes two late, want 012", got)
		}
	})
}

func TestFaultsThatChangeTheStream(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		open := func() int {
			st, _ := srv.Stream("orders")
			n := 0
			for _, sh := range st.Shards {
				if sh.Open {
					n++
				}
			}
			return n
		}
		merge := srv.Inject(localkinesis.Fault{Do: localkinesis.Merge, Op: "PutRecord", Count: 1})
		put(t, c, "a", "x")
		if merge.Fired() != 0 || merge.Seen() != 1 {
			t.Errorf("a single shard was merged %d times", merge.Fired())
		}
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		put(t, c, "a", "x")
		if merge.Fired() != 1 || open() != 1 {
			t.Errorf("the first pair of shards was merged %d times", merge.Fired())
		}
		split := srv.Inject(localkinesis.Fault{Do: localkinesis.Split, Op: "PutRecord", After: 2, Count: 1})
		for i := range 4 {
			if put(t, c, "a", "x"); open() != 1+min(1, i/2) {
				t.Errorf("%d shards are open after %d requests", open(), i+1)
			}
		}
		merge = srv.Inject(localkinesis.Fault{Do: localkinesis.Merge, Op: "GetShardIterator", Target: "shardId-000000000004"})
		iterate(t, c, "shardId-000000000004", "LATEST")
		if open() != 1 || merge.Fired() != 1 || split.Fired() != 1 {
			t.Errorf("%d shards are open", open())
		}
		for _, kind := range []localkinesis.Kind{localkinesis.SwitchToAuto, localkinesis.SwitchToKeys} {
			srv.Inject(localkinesis.Fault{Do: kind, Op: "PutRecord", Count: 1})
			put(t, c, "a", "x")
			if st, _ := srv.Stream("orders"); st.Auto != (kind == localkinesis.SwitchToAuto) {
				t.Errorf("%s: %+v", kind, st)
			}
		}
	})
}

// recorder is a test that must fail.
type recorder struct{ failures []string }

func (r *recorder) Helper()        {}
func (r *recorder) Cleanup(func()) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestMisuseFailsTheTest(t *testing.T) {
	for want, misuse := range map[string]func(*localkinesis.Server){
		`no kind of fault "dance"`: func(s *localkinesis.Server) { s.Inject(localkinesis.Fault{Do: "dance"}) },
		`no operation "Dance"`:     func(s *localkinesis.Server) { s.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: "Dance"}) },
		"must not be negative":     func(s *localkinesis.Server) { s.Inject(localkinesis.Fault{Do: localkinesis.Fail, Count: -1}) },
		"not 30 and 0":             func(s *localkinesis.Server) { s.Inject(localkinesis.Fault{Do: localkinesis.Fail, Rate: 30}) },
		"how long is missing":      func(s *localkinesis.Server) { s.Inject(localkinesis.Fault{Do: localkinesis.Delay}) },
		"only moves forward":       func(s *localkinesis.Server) { s.Advance(-time.Second) },
		"happens to PutRecords": func(s *localkinesis.Server) {
			s.Inject(localkinesis.Fault{Do: localkinesis.StoreSome, Op: "PutRecord"})
		},
	} {
		r := &recorder{}
		srv := localkinesis.Start(r)
		misuse(srv)
		_ = srv.Close()
		if len(r.failures) != 1 || !strings.Contains(r.failures[0], want) {
			t.Errorf("failures are %q, want %s", r.failures, want)
		}
	}
	r := &recorder{}
	_ = localkinesis.Start(r, func(o *localkinesis.Options) { o.Streams = map[string]int{"no spaces": 1} }).Close()
	if len(r.failures) != 1 || !strings.Contains(r.failures[0], "no spaces") {
		t.Errorf("failures are %q", r.failures)
	}
}

// TestMisuseIsLogged: a server of New has no test to fail.
func TestMisuseIsLogged(t *testing.T) {
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	defer slog.SetDefault(before)
	srv := localkinesis.New(func(o *localkinesis.Options) { o.Log = nil })
	if i := srv.Inject(localkinesis.Fault{Do: "dance"}); i.Fired() != 0 || !strings.Contains(b.String(), "dance") {
		t.Errorf("the log says %q", b.String())
	}
}

func TestLogTellsOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		srv := localkinesis.Start(t, oneShard, func(o *localkinesis.Options) {
			o.Log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		c := kinesis.NewFromConfig(srv.AWS(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
		srv.Inject(localkinesis.Fault{Do: localkinesis.DropAnswer, Op: "PutRecord", After: 1})
		for range 2 {
			_, _ = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("secret"), Data: []byte("secret")})
		}
		_, _ = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("bills")})
		time.Sleep(time.Second)
		for _, want := range []string{"outcome=answered", "closed by a fault", "ResourceNotFoundException", "stream=orders"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, b.String())
			}
		}
		if strings.Contains(b.String(), "secret") {
			t.Errorf("the log tells keys or data:\n%s", b.String())
		}
	})
}
