//go:build unix

package fleetnumbers

import (
	"context"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/localkinesis"
)

const streamName = "orders"

// stream is an embedded server on a socket, with one stream.
type stream struct {
	server   *localkinesis.Server
	endpoint string
	keys     []string // explicit hash keys, one for each shard
	sent     int64    // records to each shard; for who sends
}

// serve starts a server. It ends with the test.
func serve(t testing.TB, shards int, options ...func(*localkinesis.Options)) *stream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{endpoint: "http://" + l.Addr().String(), keys: hashKeys(shards)}
	s.server = localkinesis.New(append([]func(*localkinesis.Options){func(o *localkinesis.Options) {
		o.Streams, o.StateDelay, o.Log = map[string]int{streamName: shards}, 0, slog.New(slog.DiscardHandler)
	}}, options...)...)
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	t.Cleanup(func() {
		if err := s.server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// hashKeys are one for each of n shards of equal size.
func hashKeys(n int) []string {
	width := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(n)))
	var keys []string
	for i := range int64(n) {
		h := new(big.Int).Mul(width, big.NewInt(i))
		keys = append(keys, h.Add(h, big.NewInt(1000)).String())
	}
	return keys
}

// put puts a record into every shard.
func (s *stream) put(t testing.TB) {
	s.sent++
	for _, key := range s.keys {
		if _, err := s.server.Put(streamName, "k", key, payload(s.sent, time.Now())); err != nil {
			t.Error(err)
			return
		}
	}
}

// trickle puts a record into every shard again and again, until the function
// that it returns is called.
func (s *stream) trickle(t testing.TB, every time.Duration) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			s.put(t)
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}()
	return func() { close(over); <-ended }
}

func awsOf(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	}
}
