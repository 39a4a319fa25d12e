package localkinesis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options of a server. They arrive filled with the defaults named here.
type Options struct {
	// Region and Account are what ARNs name. Defaults "us-east-1" and
	// "123456789012".
	Region, Account string
	// Streams are there, ACTIVE, from the start: name to number of shards.
	Streams map[string]int
	// StateDelay is how long a stream stays CREATING, UPDATING or DELETING and
	// a consumer CREATING or DELETING. Default 500 ms; 0 changes at once.
	StateDelay time.Duration
	// NoLimits turns off the limits on throughput and on call rates. Limits on
	// sizes and counts within a request stay.
	NoLimits bool
	// MemoryBytes bounds what all stored records take: data, partition keys and
	// 128 bytes each. Above it a put is refused with LimitExceededException.
	// Default 1 GiB.
	MemoryBytes int64
	// Seed of faults that happen at a rate. Default 1.
	Seed uint64
	// Log gets every request, at level debug and without keys or data, and
	// misuse of the Go API of a server made by New, at level error. Default:
	// slog.Default() for misuse, nothing for requests.
	Log *slog.Logger
}

// Server is an embedded Kinesis Data Streams. Make one with [New] or [Start].
type Server struct {
	account account
	clock   clock
	faults  faults
	log     *slog.Logger
	seed    uint64

	http    http.Server
	ctx     context.Context // ends at Close
	stop    context.CancelFunc
	running sync.WaitGroup // requests and Serve calls, entered by enter
	buffers sync.Pool      // *[]byte: bodies of requests and answers

	mu      sync.Mutex
	closed  bool
	memory  *memoryNet // of Start
	address string     // of the first real listener, "host:port"
	secure  bool       // that listener is one of ServeTLS
	tls     *authority // of ServeTLS
	report  func(format string, args ...any)
}

// New makes a server that serves nothing yet: see [Server.Serve].
func New(options ...func(*Options)) *Server { return newServer(nil, options) }

// newServer makes a server that reports misuse of its Go API by report, or to
// its log.
func newServer(report func(format string, args ...any), options []func(*Options)) *Server {
	o := Options{
		Region: "us-east-1", Account: "123456789012", StateDelay: 500 * time.Millisecond,
		MemoryBytes: 1 << 30, Seed: 1,
	}
	for _, f := range options {
		f(&o)
	}
	s := &Server{log: o.Log, seed: o.Seed}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.account = account{
		region: o.Region, id: o.Account, delay: o.StateDelay, limits: !o.NoLimits, bytesMax: o.MemoryBytes,
		streams: map[string]*stream{}, rates: rates{},
	}
	s.buffers.New = func() any { return new([]byte) }
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.faults.server = s
	if s.report = report; report == nil {
		s.report = func(format string, args ...any) {
			cmp.Or(o.Log, slog.Default()).Error(fmt.Sprintf(format, args...))
		}
	}

	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	s.http = http.Server{
		Handler: http.HandlerFunc(s.serveHTTP), Protocols: &protocols,
		ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 10000, MaxReceiveBufferPerStream: 1 << 20, MaxReceiveBufferPerConnection: 16 << 20,
		},
	}
	for _, name := range slices.Sorted(maps.Keys(o.Streams)) {
		if err := s.CreateStream(name, o.Streams[name]); err != nil {
			s.report("localkinesis: Options.Streams: %v", err)
		}
	}
	return s
}

// Serve answers requests on l until Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.begin(l, false); err != nil {
		return err
	}
	defer s.running.Done()
	return s.ended(s.http.Serve(l))
}

// ListenAndServe serves on a TCP address until Close, on loopback if the
// address names no host.
func (s *Server) ListenAndServe(address string) error {
	l, err := Listen(address)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Listen opens a TCP listener, on loopback if the address names no host.
func Listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("localkinesis: listen on %q: %w", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("localkinesis: %w", err)
	}
	return l, nil
}

func (s *Server) begin(l net.Listener, secure bool) error {
	if !s.enter() {
		_ = l.Close()
		return errors.New("localkinesis: serve: the server is closed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" && l.Addr().Network() == "tcp" {
		s.address, s.secure = l.Addr().String(), secure
	}
	return nil
}

// enter counts one more thing that Close waits for, unless Close has begun:
// only so can none begin after Close has returned.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

func (s *Server) ended(err error) error {
	if closed := errors.Is(err, http.ErrServerClosed) || s.ctx.Err() != nil; !closed {
		return fmt.Errorf("localkinesis: serve: %w", err)
	}
	return nil
}

// Close ends all listeners, connections and subscriptions and returns when
// they have ended. What is stored can still be looked at.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	err := s.http.Close()
	s.running.Wait()
	return err
}

// Now is the server's time: the process's, plus what [Server.Advance] added.
func (s *Server) Now() time.Time { return s.clock.now() }

// Advance moves the server's clock forward: iterators and records expire,
// passing states end, limits recover. Subscriptions follow; what a Delay still
// holds back does not. Time does not go back: a negative d is misuse.
func (s *Server) Advance(d time.Duration) {
	if d < 0 {
		s.report("localkinesis: advance %v: the clock only moves forward", d)
		return
	}
	s.clock.offset.Add(int64(d))
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	s.account.settle(s.clock.now())
	for _, st := range s.account.streams {
		st.wake()
	}
}
