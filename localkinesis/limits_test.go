package localkinesis_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

func TestWriteLimits(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		batch := func(n, size int) (failed int) {
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range n {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
			}
			out, err := c.PutRecords(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range out.Records {
				if (r.ErrorCode != nil) == (r.SequenceNumber != nil) || r.ErrorCode != nil && (*r.ErrorCode != "ProvisionedThroughputExceededException" || !strings.Contains(*r.ErrorMessage, first)) {
					t.Fatalf("entry is %+v", r)
				}
			}
			return int(*out.FailedRecordCount)
		}
		if n := batch(500, 10) + batch(500, 10); n != 0 {
			t.Errorf("%d of the first 1,000 records failed", n)
		}
		if n := batch(500, 10); n != 500 {
			t.Errorf("%d of 500 more failed", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := batch(500, 10); n != 400 {
			t.Errorf("%d of 500 failed 100 ms later, want 400", n)
		}
		time.Sleep(time.Second)
		if n := batch(100, 1<<14); n != 36 {
			t.Errorf("%d of 100 x 16 KiB failed, want 36", n)
		}
		time.Sleep(time.Second)
		// Large records: refused until allowed, then from the tank.
		large := func(size int) error {
			_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
			return err
		}
		expect(t, "a record over MaxRecordSize", large(1<<20+1), "ValidationException")
		st, _ := srv.Stream("orders")
		if _, err := c.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: &st.ARN, MaxRecordSizeInKiB: aws.Int32(10240)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		expect(t, "10 MiB from a full tank", large(10<<20), "")
		expect(t, "256 KiB from an empty tank", large(1<<18), "ProvisionedThroughputExceededException")
		expect(t, "2 MiB from an empty tank", large(2<<20), "ProvisionedThroughputExceededException")
		time.Sleep(500 * time.Millisecond)
		expect(t, "256 KiB half a second later", large(1<<18), "")
		time.Sleep(2500 * time.Millisecond)
		expect(t, "2 MiB three seconds later", large(2<<20), "")
		expect(t, "a record over 10 MiB", large(10<<20+1), "ValidationException")
	})
	bubble(t, func(t *testing.T, _ *localkinesis.Server, c *kinesis.Client) {
		for i := range 3 {
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range 500 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, 10)})
			}
			if out, err := c.PutRecords(t.Context(), in); err != nil || *out.FailedRecordCount != 0 {
				t.Errorf("request %d without limits: %+v, %v", i, out, err)
			}
		}
	}, func(o *localkinesis.Options) { o.NoLimits = true })
}

func TestReadLimits(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		for range 12 {
			if _, err := srv.Put("orders", "k", "", make([]byte, 1<<20-1)); err != nil {
				t.Fatal(err)
			}
		}
		it := iterate(t, c, first, types.ShardIteratorTypeTrimHorizon)
		out := get(t, c, it)
		if len(out.Records) != 10 {
			t.Errorf("%d records of 1 MiB in one answer, want 10", len(out.Records))
		}
		again := func() error {
			_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator, Limit: aws.Int32(1)})
			return err
		}
		time.Sleep(4900 * time.Millisecond)
		expect(t, "after 10 MiB", again(), "ProvisionedThroughputExceededException")
		time.Sleep(101 * time.Millisecond)
		expect(t, "5 s after 10 MiB", again(), "")
		time.Sleep(time.Second)
		empty := iterate(t, c, first, types.ShardIteratorTypeLatest)
		for range 5 {
			get(t, c, empty)
		}
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: empty})
		expect(t, "a sixth call in a second", err, "ProvisionedThroughputExceededException")
		_, err = c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: empty, Limit: aws.Int32(10001)})
		expect(t, "a limit of 10,001", err, "InvalidArgumentException")
		for range 3 { // two were given above
			iterate(t, c, first, types.ShardIteratorTypeLatest)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		put(t, c, "a", strings.Repeat("x", 900))
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: make([]byte, 100)})
		expect(t, "above the bound", err, "LimitExceededException")
		if !strings.Contains(err.Error(), "Options.MemoryBytes") {
			t.Errorf("the error does not name the remedy: %v", err)
		}
		time.Sleep(25 * time.Hour)
		put(t, c, "a", strings.Repeat("x", 900))
		if err := srv.DeleteStream("orders"); err != nil || srv.BytesStored() != 0 {
			t.Errorf("%d bytes after the stream, %v", srv.BytesStored(), err)
		}
	}, func(o *localkinesis.Options) { o.MemoryBytes = 1100 })
	bubble(t, func(t *testing.T, srv *localkinesis.Server, _ *kinesis.Client) {
		n := 0
		for ; n < 10000; n++ {
			if _, err := srv.Put("orders", "a", "", nil); err != nil {
				break
			}
		}
		if n > 1000 {
			t.Errorf("%d records of one byte fit into 100 kB", n)
		}
	}, func(o *localkinesis.Options) { o.MemoryBytes = 100_000 })
}

// TestFailedRecordsAreForgotten: a record that is stored must not keep the
// memory of those of its request that failed.
func TestFailedRecordsAreForgotten(t *testing.T) {
	srv := localkinesis.Start(t, unbounded)
	p := newPoster(srv)
	body := manyRecords(500, 4096)
	most := make([]int, 499)
	for i := range most {
		most[i] = i
	}
	srv.Inject(localkinesis.Fault{Do: localkinesis.FailEntries, Entries: most})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	p.post(t, "PutRecords", jsonContent, body) // what the connection and the pools keep
	before := heap()
	for range 30 {
		p.post(t, "PutRecords", jsonContent, body)
	}
	if grown := int64(heap() - before); grown > 20<<20 || srv.BytesStored() > 1<<20 {
		t.Errorf("30 records of 4 KiB hold %d bytes, %d by the books", grown, srv.BytesStored())
	}
}

func TestControlPlaneRates(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		if err := srv.CreateStream("bills", 1); err != nil {
			t.Fatal(err)
		}
		deregister := func(name string) error {
			st, err := srv.Stream(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: aws.String("x")})
			return err
		}
		for range 5 {
			expect(t, "five at once", deregister("orders"), "ResourceNotFoundException")
		}
		expect(t, "a sixth of the stream", deregister("orders"), "LimitExceededException")
		expect(t, "one of another stream", deregister("bills"), "ResourceNotFoundException")
		describe := func() error {
			_, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: orders})
			return err
		}
		for range 20 {
			expect(t, "twenty at once", describe(), "")
		}
		expect(t, "one more", describe(), "LimitExceededException")
		time.Sleep(50 * time.Millisecond)
		expect(t, "a twentieth of a second later", describe(), "")
	})
}
