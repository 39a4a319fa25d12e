package demo

import (
	"context"
	"errors"
	"net/http"

	"github.com/libvegas/vegas/localkinesis"
)

// server is the embedded Kinesis of a demo.
type server struct {
	*localkinesis.Server
	endpoint string
	served   chan error
}

// serve starts it, with the demo's stream.
func serve(ctx context.Context, shards int, seed uint64) (*server, error) {
	s := &server{served: make(chan error, 1)}
	s.Server = localkinesis.New(func(o *localkinesis.Options) {
		o.Streams = map[string]int{Stream: shards}
		o.Seed = seed
	})
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.endpoint = "http://" + l.Addr().String()
	go func() { s.served <- s.Serve(l) }()
	// Its first answer says that it serves, which Server.AWS needs.
	health, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint+"/_vegas/health", nil)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	answer, err := http.DefaultClient.Do(health)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	_ = answer.Body.Close()
	return s, nil
}

func (s *server) close() error { return errors.Join(s.Close(), <-s.served) }
