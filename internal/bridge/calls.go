package bridge

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/libvegas/vegas/record"
)

// called answers a call of the host, in a goroutine of its own, since any may take
// long. What has to keep its place among the frames (closing a producer behind the
// records that were sent to it) is noted before that.
func (s *session) called(m arguments) error {
	number, ok := m["call"].(int64)
	method, _ := m["method"].(string)
	if !ok {
		return protocolf("a call without a number")
	}
	do, err := s.method(method, m)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.gone: // the session's end may wait for its goroutines already
		return errHostGone
	default:
	}
	if s.answering == callsAtOnce {
		return protocolf("%d calls without an answer", callsAtOnce+1)
	}
	s.answering++
	s.spawn(func() {
		var r results
		if err == nil {
			r, err = do()
		}
		s.answer(number, r, err)
		if method == methodOpenConsumer && err == nil {
			s.beginConsumer(m)
		}
	})
	return nil
}

func (s *session) answer(number int64, r results, err error) {
	a := results{}
	if err != nil {
		a["error"] = failureOf(err).value()
	} else {
		maps.Copy(a, r)
	}
	a["call"] = number
	s.mu.Lock()
	s.answering--
	s.mu.Unlock()
	s.write(kindAnswer, func(b []byte) []byte { return appendValue(b, a) })
}

// method is what a call does. It is made by the reader, and run beside it.
func (s *session) method(name string, m arguments) (do func() (results, error), err error) {
	switch name {
	case methodOpenProducer:
		number, err := s.reserve(m, "producer")
		return func() (results, error) {
			r, err := s.openProducer(number, m)
			if err != nil {
				s.forget(number)
			}
			return r, err
		}, err
	case methodOpenConsumer:
		number, err := s.reserve(m, "consumer")
		return func() (results, error) { return s.openedConsumer(number, m) }, err
	case methodStartLocal:
		number, err := s.reserve(m, "local")
		return func() (results, error) { return s.startLocal(number, m) }, err
	case methodStopLocal:
		return func() (results, error) { return nil, s.stopLocal(m) }, nil
	case methodFlush, methodCloseProducer:
		p, err := s.producer(m)
		if name == methodCloseProducer && errors.Is(err, record.ErrClosed) {
			return func() (results, error) { return results{"left": 0}, nil }, nil
		}
		if err != nil {
			return nil, err
		}
		limit, given, err := m.timeout()
		if err != nil {
			return nil, err
		}
		if !given {
			limit = time.Hour * 24 * 365
		}
		if name == methodFlush {
			reached := p.mark()
			return func() (results, error) { return p.flush(reached, limit) }, nil
		}
		p.stop()
		return func() (results, error) {
			r := p.close(limit, limit)
			s.forget(p.number)
			return r, nil
		}, nil
	case methodCloseConsumer:
		return func() (results, error) { return nil, s.closeConsumer(m) }, nil
	case methodCheckpoint:
		c, err := s.consumer(m)
		if err != nil {
			return nil, err
		}
		return func() (results, error) { return c.checkpoint(s.ctx, m) }, nil
	case methodCheck:
		check, _, err := s.either(m)
		return func() (results, error) { return nil, check(s.ctx) }, err
	case methodStats:
		_, stats, err := s.either(m)
		return func() (results, error) { return results{"stats": stats()}, nil }, err
	}
	return nil, failuref(codeProtocol, "there is no method %.40q", name)
}

// reserve takes the number of something that will be opened.
func (s *session) reserve(m arguments, kind string) (uint32, error) {
	number, err := m.id(kind)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := false
	switch kind {
	case "producer":
		if _, taken = s.producers[number]; !taken {
			s.producers[number] = newProducer(s, number)
		}
	case "consumer":
		if _, taken = s.consumers[number]; !taken {
			s.consumers[number] = nil
		}
	case "local":
		if _, taken = s.locals[number]; !taken {
			s.locals[number] = &local{}
		}
	}
	if taken {
		return 0, badOption("%s %d is there already: each has a number of its own", kind, number)
	}
	return number, nil
}

// producer is the one that a call names.
func (s *session) producer(m arguments) (*producer, error) {
	number, err := m.id("producer")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	p, known := s.producers[number]
	s.mu.Unlock()
	switch {
	case !known:
		return nil, badOption("there is no producer %d", number)
	case p == nil:
		return nil, record.ErrClosed
	}
	return p, nil
}

// forget leaves nothing but its number of a producer that has ended, or could not be
// opened.
func (s *session) forget(number uint32) {
	s.mu.Lock()
	p := s.producers[number]
	s.producers[number] = nil
	s.mu.Unlock()
	if p != nil {
		p.cut()
	}
}

// consumer is the one that a call names.
func (s *session) consumer(m arguments) (*worker, error) {
	number, err := m.id("consumer")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c, known := s.consumers[number]
	s.mu.Unlock()
	switch {
	case !known:
		return nil, badOption("there is no consumer %d", number)
	case c == nil:
		return nil, failureAs(codeClosed, record.ErrClosed)
	}
	return c, nil
}

// either is what producers and consumers both answer.
func (s *session) either(m arguments) (check func(context.Context) error, stats func() results, err error) {
	if _, ok := m["consumer"]; ok {
		c, err := s.consumer(m)
		if err != nil {
			return nil, nil, err
		}
		return c.check, c.stats, nil
	}
	p, err := s.producer(m)
	if err != nil {
		return nil, nil, err
	}
	return p.check, p.stats, nil
}

func (s *session) openedConsumer(number uint32, m arguments) (results, error) {
	c, r, err := s.openConsumer(s.ctx, number, m)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.consumers[number] = c
	s.mu.Unlock()
	select {
	case <-s.gone: // drain may have looked before
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_ = c.close(ctx)
	default:
	}
	return r, nil
}

// beginConsumer starts a consumer that the host knows to be open.
func (s *session) beginConsumer(m arguments) {
	if c, err := s.consumer(m); err == nil {
		c.begin()
	}
}

func (s *session) closeConsumer(m arguments) error {
	c, err := s.consumer(m)
	if err != nil {
		return err
	}
	err = c.close(s.ctx)
	number, _ := m.id("consumer")
	s.mu.Lock()
	s.consumers[number] = nil
	s.mu.Unlock()
	return err
}

// errHostGone: the host closed its side before it answered.
var errHostGone = errors.New("the program is gone")

// call calls the host and waits for its answer. The host's error is a *failure.
func (s *session) call(ctx context.Context, method string, args results) (arguments, error) {
	answer := make(chan arguments, 1)
	s.mu.Lock()
	select {
	case <-s.gone:
		s.mu.Unlock()
		return nil, errHostGone
	default:
	}
	s.asks++
	number := s.asks
	s.asked[number] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.asked, number)
		s.mu.Unlock()
	}()
	s.write(kindCall, func(b []byte) []byte {
		m := results{"call": number, "method": method}
		maps.Copy(m, args)
		return appendValue(b, m)
	})
	select {
	case a, ok := <-answer:
		if !ok {
			return nil, errHostGone
		}
		if e, ok := a["error"].(map[string]any); ok {
			return nil, failureFrom(e)
		}
		return a, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// answered gives an answer to whoever called. One that comes late, for a call that
// nobody waits for any more, is dropped.
func (s *session) answered(m arguments) error {
	number, ok := m["call"].(int64)
	if !ok {
		return protocolf("an answer without a number")
	}
	s.mu.Lock()
	answer := s.asked[number]
	delete(s.asked, number)
	known := number > 0 && number <= s.asks
	s.mu.Unlock()
	if !known {
		return protocolf("an answer to call %d, which was not made", number)
	}
	if answer != nil {
		answer <- m
	}
	return nil
}

// failureFrom is an error that came from the host.
func failureFrom(e map[string]any) *failure {
	f := &failure{code: codeFailed}
	if code, ok := e["code"].(string); ok {
		f.code = code
	}
	f.text, _ = e["text"].(string)
	f.remedy, _ = e["remedy"].(string)
	return f
}
