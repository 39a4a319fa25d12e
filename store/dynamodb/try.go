package dynamodb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
)

// A call is made again while its caller has time, but not for longer than
// patience. Nearly all answers come within a few hundredths of a second; an
// attempt that has none after a second hangs on a connection that is dead, and a
// heartbeat that hung on with it would lose the lease.
const (
	firstAttempt = time.Second // each later one has twice the time of the one before
	longAttempt  = 4 * time.Second
	patience     = 10 * time.Second
	// fewTries bounds tries that are not answered with a wish to slow down: where
	// nobody listens, a person had better know soon.
	fewTries = 5
)

// pauses are those between attempts: a throttled heartbeat is to get through
// soon, and not all workers at once.
var pauses = backoff.Backoff{Min: 25 * time.Millisecond, Max: 500 * time.Millisecond}

// rule says what follows on an attempt that may have been applied.
type rule bool

const (
	repeat rule = true  // it is made again: being applied twice is being applied once
	once   rule = false // it is the last
)

// try makes attempts at a call until one has an answer that more of them would
// not change. unsure tells that one that failed may have been applied, or may be
// yet; an answer to a later one does not tell.
func (l *line) try(ctx context.Context, again rule, do func(context.Context) error) (unsure bool, err error) {
	defer func() {
		if l.closed.Load() {
			l.drop()
		}
	}()
	started := time.Now()
	var last error // what an attempt met by itself
	for n := 1; ; n++ {
		allowed := min(firstAttempt<<min(n-1, 8), longAttempt)
		attempt, cancel := context.WithTimeout(ctx, allowed)
		err = do(attempt)
		over := attempt.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil {
			return unsure, nil
		}
		v := classify(err)
		hung := over && v.class == unknown // else the answer came at the last moment
		if v.class == unknown {
			unsure = true
		}
		if hung {
			err = noAnswer(allowed)
			l.drop() // the other connections may be as dead
		}
		if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			last = err
		}
		wait := pauses.Full(n, rand.Float64())
		if n == 1 && v.class != throttled {
			wait = 0 // the next connection mostly is better
		}
		switch {
		case v.class == refused:
			return unsure, err
		case ctx.Err() != nil:
			return unsure, &ended{ctx.Err(), last}
		case v.class == unknown && again == once,
			v.class != throttled && n >= fewTries,
			time.Since(started)+wait > patience:
			return unsure, err
		}
		if pause(ctx, wait) != nil {
			return unsure, &ended{ctx.Err(), last}
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ended is the error of a call whose context was over.
type ended struct {
	why  error // the context's
	last error // of an attempt before; may be nil
}

func (e *ended) Error() string {
	if e.last == nil {
		return e.why.Error()
	}
	return e.why.Error() + "; before that: " + brief(e.last)
}

func (e *ended) Unwrap() []error {
	if e.last == nil {
		return []error{e.why}
	}
	return []error{e.why, e.last}
}
