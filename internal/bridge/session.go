package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// Config is what an engine has besides the protocol.
type Config struct {
	Version    string
	Extensions []Extension
	// Stderr is where a panic is written. Default: nowhere.
	Stderr io.Writer

	aws *aws.Config // for tests: instead of what options ask for
}

// Extension is something that an engine can do beyond what is built in, by name.
type Extension struct {
	Name string
	// Consumer makes a layer around handlers, of the settings that a host gave in the
	// option extensions. An error is one of the settings.
	Consumer func(settings map[string]any) (func(record.Handler) record.Handler, error)
	// Store makes a store of what follows the name in the option store.
	Store func(place string, log *slog.Logger) (store.Store, error)
}

// session is the conversation with one host.
type session struct {
	cfg    Config
	out    *output
	log    *slog.Logger
	level  atomic.Int64 // what is logged
	ctx    context.Context
	cancel context.CancelFunc
	// gone is closed when the host has closed its side, or is to be taken as gone.
	gone  chan struct{}
	left  sync.Once
	group sync.WaitGroup // what the end of the session waits for
	grace time.Duration  // of producers when the host is gone
	awses awsConfigs

	mu        sync.Mutex
	broken    error                // why the session ended, other than by the host's end
	producers map[uint32]*producer // nil when it is closed, and where it could not be opened
	consumers map[uint32]*worker   // nil while it opens and when it is closed
	locals    map[uint32]*local
	answering int // calls of the host
	asked     map[int64]chan arguments
	asks      int64
}

// lastWrite is how long a host has to read what is left when the session has ended.
const lastWrite = 5 * time.Second

// callsAtOnce is how many calls of a host may be without an answer.
const callsAtOnce = 4096

// Serve talks with the host at the other end until that closes its side or does not
// keep to the protocol, ctx is over or nothing can be written. Then consumers stop,
// producers have their grace, and Serve returns. The error is nil if it was the
// host's end. It closes r if that is a Closer and the host has not ended.
func Serve(ctx context.Context, r io.Reader, w io.Writer, c Config) error {
	s := &session{
		cfg: c, out: newOutput(w), gone: make(chan struct{}), grace: 10 * time.Second,
		producers: map[uint32]*producer{}, consumers: map[uint32]*worker{}, locals: map[uint32]*local{}, asked: map[int64]chan arguments{},
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer s.cancel()
	s.log = slog.New(&logTo{s: s})
	s.awses.s = s
	go s.out.run()
	go func() {
		defer s.caught()
		s.end(s.read(newFrameReader(r)))
	}()
	select {
	case <-s.gone:
	case <-s.out.done: // nothing more can be written
		s.end(s.out.failed())
	case <-ctx.Done():
		s.end(context.Cause(ctx))
	}
	if c, ok := r.(io.Closer); ok {
		_ = c.Close() // who still writes is told
	}
	s.drain()
	s.out.close()
	select {
	case <-s.out.done:
	case <-time.After(lastWrite): // the host neither reads nor goes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// end ends the session; nil is the host's own end.
func (s *session) end(err error) { s.endWith(err, func() {}) }

// fail ends the session with its last frame.
func (s *session) fail(err error) {
	s.endWith(err, func() {
		s.write(kindFail, func(b []byte) []byte { return appendValue(b, results{"error": failureOf(err).value()}) })
	})
}

// endWith ends the session, once, after last.
func (s *session) endWith(err error, last func()) {
	s.left.Do(func() {
		s.mu.Lock()
		s.broken = err
		s.mu.Unlock()
		last()
		close(s.gone)
	})
}

// caught, deferred, makes of a panic the end of the session. Whatever panicked may
// have left locks held, so nothing is drained.
func (s *session) caught() {
	v := recover()
	if v == nil {
		return
	}
	text := fmt.Sprintf("the engine panicked: %v", v)
	if s.cfg.Stderr != nil {
		_, _ = fmt.Fprintf(s.cfg.Stderr, "%s\n%s", text, debug.Stack())
	}
	s.cancel()
	s.fail(failuref(codeFailed, "%s (see docs/troubleshooting.md#engine-panic)", text))
}

// spawn runs f beside the rest; the session's end waits for it.
func (s *session) spawn(f func()) {
	s.group.Go(func() {
		defer s.caught()
		f()
	})
}

// protocolf is a breach of the protocol.
func protocolf(format string, args ...any) error {
	return failuref(codeProtocol, format+" (see docs/troubleshooting.md#bridge-protocol)", args...)
}

// read takes frames until the host closes its side.
func (s *session) read(r *frameReader) error {
	kind, body, err := r.next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && kind != kindHello {
		err = protocolf("the first frame is of kind %d: want hello", kind)
	}
	if err == nil {
		err = s.hello(body)
	}
	for err == nil {
		if kind, body, err = r.next(); err == nil {
			err = s.take(kind, body)
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errHostFailed):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return err // nobody is there to be told
	case errors.Is(err, errFrameSize):
		err = protocolf("%w", err)
	}
	s.fail(err)
	return err
}

// hello agrees on a version.
func (s *session) hello(body []byte) error {
	m, err := parseMap(body)
	if err != nil {
		return protocolf("hello: %w", err)
	}
	span, _ := m["protocol"].([]any)
	if len(span) != 2 {
		return protocolf("hello names no versions")
	}
	low, ok := span[0].(int64)
	high, too := span[1].(int64)
	if !ok || !too {
		return protocolf("hello names no versions")
	}
	if low > protocolVersion || high < protocolVersion {
		return failuref(codeVersion, "the program speaks versions %d to %d of the bridge protocol, this engine (vegas %s) version %d: install packages and engine of one release (see docs/troubleshooting.md#bridge-version)",
			low, high, s.cfg.Version, protocolVersion)
	}
	if us, ok := m["grace"].(int64); ok && us >= 0 {
		s.grace = time.Duration(min(us, int64(time.Hour/time.Microsecond))) * time.Microsecond
	}
	word, _ := m["log"].(string)
	level := slog.LevelInfo
	if word != "" && level.UnmarshalText([]byte(word)) != nil {
		level = slog.LevelInfo
	}
	s.level.Store(int64(level))
	extensions, capabilities := []string{}, []string{"dynamodb", "file", "memory", "local_kinesis", "durable"}
	for _, e := range s.cfg.Extensions {
		if e.Consumer != nil {
			extensions = append(extensions, e.Name)
		}
		if e.Store != nil {
			capabilities = append(capabilities, e.Name)
		}
	}
	s.write(kindHello, func(b []byte) []byte {
		return appendValue(b, results{
			"protocol": protocolVersion, "version": s.cfg.Version, "pid": os.Getpid(),
			"capabilities": capabilities, "extensions": extensions,
		})
	})
	return nil
}

var errHostFailed = errors.New("the host failed")

// take handles one frame; its body is valid until take returns.
func (s *session) take(kind byte, body []byte) error {
	switch kind {
	case kindCall:
		m, err := parseMap(body)
		if err != nil {
			return protocolf("call: %w", err)
		}
		return s.called(m)
	case kindAnswer:
		m, err := parseMap(body)
		if err != nil {
			return protocolf("answer: %w", err)
		}
		return s.answered(m)
	case kindSend:
		return s.sent(body)
	case kindSettle:
		return s.settled(body)
	case kindFail:
		m, _ := parseMap(body)
		e, _ := m["error"].(map[string]any)
		s.log.Warn("the program found the engine to be wrong", slog.Any("error", e["text"]))
		return errHostFailed
	case kindHello, kindReport, kindDeliver, kindStop:
		return protocolf("a frame of kind %d, which a host does not send", kind)
	}
	return nil // of a later version, or an event
}

// settled passes a settle frame on.
func (s *session) settled(body []byte) error {
	if len(body) < 4 {
		return protocolf("settle: cut off")
	}
	number := littleEndian.Uint32(body)
	s.mu.Lock()
	c, known := s.consumers[number]
	s.mu.Unlock()
	switch {
	case !known:
		return protocolf("settle: there is no consumer %d", number)
	case c == nil:
		return nil // it has just been closed
	}
	return c.settle(body)
}

func (s *session) write(kind byte, fill func(b []byte) []byte) { s.out.write(kind, fill) }

// event tells the host something.
func (s *session) event(e results) {
	s.write(kindEvent, func(b []byte) []byte { return appendValue(b, e) })
}

// drain ends what the host had open. Consumers go first and at once, so that their
// shards are free; producers have their grace; servers of the program's own are
// needed until then.
func (s *session) drain() {
	if s.ctx.Err() != nil {
		return // the engine panicked
	}
	s.mu.Lock()
	for call, c := range s.asked {
		delete(s.asked, call)
		close(c)
	}
	var closers sync.WaitGroup
	for _, c := range s.consumers {
		if c != nil {
			closers.Go(func() {
				defer s.caught()
				ctx, cancel := context.WithCancel(s.ctx)
				cancel()
				_ = c.close(ctx)
			})
		}
	}
	for _, p := range s.producers {
		if p == nil {
			continue
		}
		accepting, storing := p.patience(s.grace)
		defer time.AfterFunc(max(accepting, storing), p.cut).Stop() // whoever closes it already may have more time
		closers.Go(func() {
			defer s.caught()
			p.close(accepting, storing)
		})
	}
	s.mu.Unlock()
	closers.Wait()
	s.cancel()
	s.group.Wait() // from here on nothing is started
	s.mu.Lock()
	for _, l := range s.locals {
		closers.Go(l.close)
	}
	s.mu.Unlock()
	closers.Wait()
}
