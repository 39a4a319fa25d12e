package floor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// serve gives a server with a stream, and the work at it.
func serve(t *testing.T, aggregated bool) (*localkinesis.Server, *contest.Work) {
	t.Helper()
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.NoLimits, o.StateDelay, o.Streams = true, 0, map[string]int{"orders": 4}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return srv, &contest.Work{
		Stream: "orders", Shards: 4, Endpoint: "http://" + l.Addr().String(),
		Size: 101, Aggregated: aggregated, Records: 12_345, Warm: 1_234, Keys: 1_000,
	}
}

// run runs a contender, and says what its process would have said.
func run(t *testing.T, w *contest.Work, f func(context.Context, *contest.Work, *contest.Meter) error) string {
	t.Helper()
	var out bytes.Buffer
	m := contest.NewMeter(w, &out)
	if err := f(t.Context(), w, m); err != nil {
		t.Fatal(err)
	}
	if err := m.End(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWhatIsProducedIsConsumed(t *testing.T) {
	for _, c := range []struct {
		name               string
		protocol           *Protocol
		aggregated, cached bool
	}{
		{"JSON, aggregated", JSON, true, false},
		{"JSON, aggregated, hashes cached", JSON, true, true},
		{"JSON, plain", JSON, false, false},
		{"CBOR, aggregated", CBOR, true, false},
		{"CBOR, plain", CBOR, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, w := serve(t, c.aggregated)
			run(t, w, Produce(c.protocol, c.cached))
			consumer, err := kinesis.NewFromConfig(srv.AWS()).RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
				ConsumerName: aws.String("floor"), StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/orders"),
			})
			if err != nil {
				t.Fatal(err)
			}
			w.ConsumerARN = aws.ToString(consumer.Consumer.ConsumerARN)
			for name, f := range map[string]func(context.Context, *contest.Work, *contest.Meter) error{
				"JSON": Consume(JSON), "CBOR": Consume(CBOR), "fan-out": FanOut,
			} {
				if got := run(t, w, f); !strings.Contains(got, `"handled":12345,"twice":0`) {
					t.Errorf("read by %s: %s", name, got)
				}
			}
			readByVegas(t, srv, w)
		})
	}
}

// readByVegas compares with what a reader of the whole format finds.
func readByVegas(t *testing.T, srv *localkinesis.Server, w *contest.Work) {
	t.Helper()
	m := contest.NewMeter(w, io.Discard)
	c, err := vegas.NewConsumer(w.Stream, "check", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = srv.AWS(), memory.New(), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		select {
		case <-m.Done():
			stop()
		case <-ctx.Done():
		}
	}()
	err = c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
		i, err := contest.Number(r.Data)
		if err != nil {
			return err
		}
		if r.PartitionKey != w.Key(i) || r.Aggregated != w.Aggregated || len(r.Data) != w.Size {
			t.Errorf("record %d: key %q, %d bytes, aggregated %t", i, r.PartitionKey, len(r.Data), r.Aggregated)
		}
		return m.Handle(r.Data)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSignatureIsTheSDKs(t *testing.T) {
	body, now := []byte(`{"StreamName":"orders"}`), time.Date(2026, 11, 28, 7, 0, 0, 0, time.UTC)
	ours := http.Header{"Content-Type": {contentJSON}, "X-Amz-Target": {"Kinesis_20131202.ListShards"}}
	s := newSigner("AKIDFLOOR", "floor", "us-east-1", "kinesis")
	s.sign(ours, "127.0.0.1:4567", body, now)

	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:4567/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {contentJSON}, "X-Amz-Target": {"Kinesis_20131202.ListShards"}}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "AKIDFLOOR", SecretAccessKey: "floor"},
		r, hex.EncodeToString(sum[:]), "kinesis", "us-east-1", now); err != nil {
		t.Fatal(err)
	}
	if got, want := ours.Get("Authorization"), r.Header.Get("Authorization"); got != want {
		t.Errorf("signed\n%s\nwant\n%s", got, want)
	}
}
