package vegas_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

func TestAMissingStreamIsSaidAtOnceAndTheProducerRecoversWhenItIsMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t)
		p := producer(t, srv)
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "#stream-not-found") {
			t.Errorf("check: %v", err)
		}
		err := p.Send(t.Context(), "k", nil)
		if !strings.Contains(fmt.Sprint(err), "#stream-not-found") || outcome(t, err).Outcome != vegas.NotStored {
			t.Errorf("send: %v", err)
		}
		client := kinesis.NewFromConfig(srv.AWS())
		if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(1)}); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Error(err)
		}
		if err := p.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
	})
}

func TestAMissingStreamIsNotAskedForWhileThereIsNothingToSend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t)
		p := producer(t, srv)
		if err := p.Send(t.Context(), "k", nil); err == nil {
			t.Fatal("sent to nowhere")
		}
		<-time.After(time.Hour)
		if n := p.Stats().MapRefreshes; n > 2 {
			t.Errorf("%d looks in an idle hour", n)
		}
		began := time.Now()
		if err := p.Send(t.Context(), "k", nil); err == nil || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// Known of the KPL: a stream that is deleted and made again gets records by the old map of
// its shards, whose names are the same and whose ranges are not.
func TestAStreamMadeAnewGetsNothingByTheOldMap(t *testing.T) {
	for _, pause := range []time.Duration{100 * time.Millisecond, 5 * time.Minute} { // seen to be gone; not
		bubble(t, func(t *testing.T) {
			srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 30 * time.Second })
			client := kinesis.NewFromConfig(srv.AWS())
			send := func(n int) error {
				var rs []*vegas.Record
				for i := range n {
					rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Append(nil, i)})
				}
				rs[0].ExplicitHashKey = "0" // routes the aggregate to the first shard of either stream
				_, err := p.SendAll(t.Context(), rs)
				return err
			}
			if err := send(10); err != nil {
				t.Fatal(err)
			}
			if _, err := client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
			if pause < time.Minute {
				began := time.Now()
				for range 3 {
					if err := send(10); err == nil || !strings.Contains(err.Error(), "#stream-not-found") {
						t.Errorf("while it is gone: %v", err)
					}
				}
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("said after %v", d)
				}
			}
			if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(3)}); err != nil {
				t.Fatal(err)
			}
			<-time.After(pause)
			slowly(srv, "DescribeStreamSummary", time.Second, 1) // records do not leave meanwhile
			acked := 0
			for range 20 {
				if err := send(10); err == nil {
					acked++
				}
				<-time.After(time.Second)
			}
			if acked < 10 {
				t.Errorf("%d of 20 batches went through", acked)
			}
			// Read like the strictest reader.
			got := map[string]int{}
			for _, s := range firsts(contents(t, srv, "orders")) {
				got[s.key]++
			}
			for i := range 10 {
				if n := got[fmt.Sprint(i)]; n < acked {
					t.Errorf("key %d: %d acknowledged, %d there", i, acked, n)
				}
			}
		})
	}
}

// A service that is slow to tell about the stream holds up no record for long.
func TestTheLookAfterIdleTimeHoldsUpNobodyForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		slow := srv.Inject(localkinesis.Fault{Op: "DescribeStreamSummary", Do: localkinesis.Delay, Delay: time.Minute})
		began := time.Now()
		if err := p.Send(t.Context(), "k", nil); err != nil || time.Since(began) > 3*time.Second || slow.Fired() == 0 {
			t.Errorf("after %v and %d calls: %v", time.Since(began), slow.Fired(), err)
		}
		slow.Remove()
	})
}

func TestARaisedMaxRecordSizeIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		big := make([]byte, 3<<20)
		if err := p.Send(t.Context(), "k", big); !errors.Is(err, vegas.ErrTooLarge) {
			t.Errorf("%v", err)
		}
		s, _ := srv.Stream("orders")
		if _, err := kinesis.NewFromConfig(srv.AWS()).UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(s.ARN), MaxRecordSizeInKiB: aws.Int32(4 << 10),
		}); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		p.Send(t.Context(), "k", big) // asks
		<-time.After(time.Second)
		if err := p.Send(t.Context(), "k", big); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestAutoDistributionIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		srv, p := start(t, 4, func(o *vegas.ProducerOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		strict := producer(t, srv, func(o *vegas.ProducerOptions) { o.RequireOrder = true })
		send := func(p *vegas.Producer, n int) (err error) {
			for i := range n {
				if e := p.Send(t.Context(), fmt.Sprint(i), []byte("d")); e != nil {
					err = e
				}
			}
			return err
		}
		if err := errors.Join(send(p, 5), send(strict, 5)); err != nil {
			t.Fatal(err)
		}
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.SwitchToAuto, Count: 1})
		<-time.After(10 * time.Second)
		if err := send(p, 40); err != nil {
			t.Errorf("without RequireOrder: %v", err)
		}
		if !strings.Contains(log.String(), "distributes records itself") {
			t.Error("the log does not tell")
		}
		if err := send(strict, 40); err == nil || !strings.Contains(err.Error(), "#order") {
			t.Errorf("with RequireOrder: %v", err)
		}
		if err := strict.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "#order") {
			t.Errorf("check with RequireOrder: %v", err)
		}
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.SwitchToKeys, Count: 1})
		if err := send(p, 1); err != nil {
			t.Error(err)
		}
		<-time.After(5 * time.Minute)
		if err := send(strict, 1); err != nil {
			t.Errorf("back to keys: %v", err)
		}
	})
}

// What was under way while the distribution changed comes back misplaced: it is
// not sent again without order.
func TestRequireOrderHoldsForWhatWasUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 8, func(o *vegas.ProducerOptions) { o.RequireOrder, o.Linger = true, 0 })
		send := func(i int, done func(vegas.Receipt, error)) {
			r := &vegas.Record{PartitionKey: "k", ExplicitHashKey: keyspace.Split(8)[i].First.String()}
			if err := p.SendAsync(t.Context(), r, done); err != nil && !strings.Contains(err.Error(), "#order") {
				t.Error(err)
			}
		}
		send(0, nil)
		p.Flush(t.Context())
		<-time.After(10 * time.Second) // so that the stream is described again
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.SwitchToAuto, Count: 1})
		slowly(srv, "PutRecords", 5*time.Second, 1)
		refused := 0
		for i := range 8 {
			send(7-i, func(_ vegas.Receipt, err error) { // the server goes round its shards the other way
				if err != nil && strings.Contains(err.Error(), "#order") {
					refused++
				}
			})
			synctest.Wait()
		}
		p.Flush(t.Context())
		if refused == 0 {
			t.Error("nobody was told")
		}
		s, _ := srv.Stream("orders")
		for _, sh := range s.Shards {
			records, _ := srv.Records("orders", sh.ID)
			for _, r := range records {
				if a, err := aggregate.DecodeBytes(r.Data); err != nil || !a.Identity.Laned {
					t.Errorf("sent without order: %+v, %v", a.Identity, err)
				}
			}
		}
	})
}
