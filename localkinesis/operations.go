package localkinesis

import (
	"context"
	"time"
)

// operation is one row of the table that requests are dispatched by and that
// docs/localkinesis.md is generated from.
type operation struct {
	Name string
	// Note says what is special here: for an operation without serve, why.
	Note string
	// Kept tells that what is set is given back and has no other effect.
	Kept bool
	// Rate is how many calls a second an account (PerStream: a stream) has;
	// 0 is no limit of its own. Source: the operation's page.
	Rate      float64
	PerStream bool
	// Claims are the behaviours asserted, each with its source.
	Claims []claim

	serve func(*call) error
}

type claim struct{ What, Source string }

func operationNamed(name string) *operation {
	for i := range operations {
		if operations[i].Name == name {
			return &operations[i]
		}
	}
	return nil
}

// addressed is what an input names: the stream and shards that faults and rates
// are told apart by.
type addressed interface {
	address(*call) (stream string, shards []string)
}

// validator is an input that knows its constraints.
type validator interface{ validate(*violations) }

// unary makes an operation of one request and one answer from a function that
// changes and reads the state at c.now().
func unary[In, Out any](f func(c *call, in *In) (*Out, error)) func(*call) error {
	return func(c *call) error {
		in := new(In)
		if err := begin(c, in); err != nil {
			return err
		}
		if late := c.late; late != nil {
			// The request is remembered, its answer never given.
			again := &call{server: c.server, op: c.op, ctx: context.WithoutCancel(c.ctx), effects: effects{}}
			c.server.faults.later(c)
			c.server.faults.postpone(late, func() { _, _ = f(again, in) })
			c.abort()
		}
		out, err := f(c, in)
		if c.drop {
			c.server.faults.later(c)
			c.abort()
		}
		c.server.faults.later(c)
		if err != nil {
			return err
		}
		c.answer(out)
		return nil
	}
}

// begin decodes and checks an input, counts it against the rate of its
// operation and lets faults have their way with it.
func begin(c *call, in any) error {
	if f := c.decode(in); f != nil {
		return f
	}
	if v, ok := in.(validator); ok {
		var bad violations
		if v.validate(&bad); len(bad) > 0 {
			return bad.failure()
		}
	}
	stream, shards := "", []string(nil)
	if a, ok := in.(addressed); ok {
		stream, shards = a.address(c)
	}
	if f := c.rate(stream); f != nil {
		return f
	}
	c.stream = stream
	if hits := c.server.faults.match(c.op.Name, stream, shards, false); len(hits) > 0 {
		if f := c.suffer(hits, stream); f != nil {
			return f
		}
	}
	return nil
}

// rate counts the request against the rate of its operation.
func (c *call) rate(stream string) error {
	a := &c.server.account
	if c.op.Rate == 0 || !a.limits {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch st := a.streams[stream]; {
	case !c.op.PerStream && !a.rates.take(c.op, c.now()):
		return refuse(codeLimit, "Rate exceeded for account %s: %s takes %v calls a second.", a.id, c.op.Name, c.op.Rate)
	case c.op.PerStream && st != nil && !st.rates.take(c.op, c.now()):
		return refuse(codeLimit, "Rate exceeded for stream %s under account %s: %s takes %v calls a second.", stream, a.id, c.op.Name, c.op.Rate)
	}
	return nil
}

// wait sleeps, unless the request or the server ends first.
func (c *call) wait(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// streamRef is how most inputs name their stream. Source: "When invoking this
// API, you must use either the StreamARN or the StreamName parameter, or both".
type streamRef struct {
	StreamName string
	StreamARN  string
	StreamId   string
}

func (r *streamRef) address(c *call) (string, []string) { return r.resolve(c), nil }

func (r *streamRef) resolve(c *call) string {
	if r.StreamARN != "" {
		name, _ := c.server.account.nameOfARN(r.StreamARN)
		return name
	}
	return r.StreamName
}

func (r *streamRef) check(v *violations) {
	v.pattern("streamName", r.StreamName, streamNameOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.pattern("streamARN", r.StreamARN, streamARNOK, `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
}

// name is the stream named, or why none can be meant.
func (r *streamRef) name(c *call) (string, *failure) {
	a := &c.server.account
	if r.StreamARN == "" {
		if r.StreamName == "" {
			return "", refuse(codeArgument, "Either StreamName or StreamARN must be specified.")
		}
		return r.StreamName, nil
	}
	name, ok := a.nameOfARN(r.StreamARN)
	if !ok {
		return "", refuse(codeNotFound, "%s is not of account %s in %s.", r.StreamARN, a.id, a.region)
	}
	if r.StreamName != "" && r.StreamName != name {
		return "", refuse(codeArgument, "StreamName %s and StreamARN %s name different streams.", r.StreamName, r.StreamARN)
	}
	return name, nil
}

// with finds the stream by one of account's find, live and idle; the account's
// lock is held.
func (r *streamRef) with(c *call, by func(*account, string, time.Time) (*stream, *failure)) (*stream, error) {
	name, f := r.name(c)
	if f != nil {
		return nil, f
	}
	st, f := by(&c.server.account, name, c.now())
	if f != nil {
		return nil, f
	}
	return st, nil
}
