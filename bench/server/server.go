// Package server is the process that contenders of package contest work against, the
// same for all of a run: a localkinesis that makes streams, fills them, and counts what
// is in them. A command that uses it has Serve do what it is told by its argument
// "serve".
package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/localkinesis"
)

// The server is a process of its own, the same for all contenders. It takes orders
// on its standard input, one JSON value each, and answers each with one.

// order is what the server is to do with the work's stream.
type order struct {
	Do   string        `json:"do"`
	Work *contest.Work `json:"work"`
}

// Orders.
const (
	Create = "create" // the stream, empty
	Fill   = "fill"   // it with the work's records
	Count  = "count"  // what is in it
	Delete = "delete" // the stream and all that is in it
)

// reply is the server's answer. The first, without an order, has its addresses.
type reply struct {
	Error    string `json:"error"`
	Endpoint string `json:"endpoint"`
	TLS      string `json:"tls"`
	Stored   Stored `json:"stored"`
}

// WithLimits has the server keep the limits that a real shard has.
const WithLimits = "limits"

// Serve is the server's process.
func Serve(_ context.Context, args []string) error {
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.NoLimits, o.StateDelay, o.MemoryBytes = !slices.Contains(args, WithLimits), 0, 64<<30
	})
	defer func() { _ = srv.Close() }()
	var addresses []string
	for _, serve := range []func(net.Listener) error{srv.Serve, srv.ServeTLS} {
		l, err := localkinesis.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, l.Addr().String())
		go func() { _ = serve(l) }() // until the server is closed
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(reply{Endpoint: "http://" + addresses[0], TLS: "https://" + addresses[1]}); err != nil {
		return err
	}
	for in := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		var o order
		switch err := in.Decode(&o); err {
		case nil:
		case io.EOF: // the runner has ended
			return nil
		default:
			return err
		}
		var r reply
		if err := obey(srv, &o, &r); err != nil {
			r.Error = err.Error()
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func obey(srv *localkinesis.Server, o *order, r *reply) (err error) {
	switch o.Do {
	case Create:
		return srv.CreateStream(o.Work.Stream, o.Work.Shards)
	case Fill:
		return fill(srv, o.Work)
	case Count:
		r.Stored, err = count(srv, o.Work)
		return err
	case Delete:
		return srv.DeleteStream(o.Work.Stream)
	}
	return fmt.Errorf("no order %q", o.Do)
}

// Server is the runner's side of it.
type Server struct {
	Endpoint, TLS string

	cmd *exec.Cmd
	mu  sync.Mutex
	in  io.WriteCloser
	out *json.Decoder
}

// Start runs this program anew, as the server.
func Start(ctx context.Context, args ...string) (*Server, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, append([]string{"serve"}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &Server{cmd: cmd, in: in, out: json.NewDecoder(out)}
	var r reply
	if err := s.out.Decode(&r); err != nil {
		return nil, fmt.Errorf("the server does not say where it is: %w", err)
	}
	s.Endpoint, s.TLS = r.Endpoint, r.TLS
	return s, nil
}

// PID is its process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Tell has the server do something.
func (s *Server) Tell(do string, w *contest.Work) (Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r reply
	err := json.NewEncoder(s.in).Encode(order{do, w})
	if err == nil {
		err = s.out.Decode(&r)
	}
	if err == nil && r.Error != "" {
		err = fmt.Errorf("%s", r.Error)
	}
	if err != nil {
		return r.Stored, fmt.Errorf("server, %s stream %q: %w", do, w.Stream, err)
	}
	return r.Stored, nil
}

// Stop ends the server, and waits for that.
func (s *Server) Stop() error {
	if err := s.in.Close(); err != nil {
		return err
	}
	return s.cmd.Wait()
}
