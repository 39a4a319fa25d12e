package localkinesis

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

type startingPosition struct {
	Type           string
	SequenceNumber string
	Timestamp      moment
}

type subscribeToShardInput struct {
	ConsumerARN      string
	ShardId          string
	StartingPosition *startingPosition
	DryRun           *bool
	StreamId         string
}

func (in *subscribeToShardInput) validate(v *violations) {
	v.required("consumerARN", in.ConsumerARN != "")
	v.pattern("consumerARN", in.ConsumerARN, consumerARNOK, `(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+`)
	v.shardID("shardId", in.ShardId)
	if v.required("startingPosition", in.StartingPosition != nil); in.StartingPosition != nil {
		v.required("startingPosition.type", in.StartingPosition.Type != "")
		v.oneOf("startingPosition.type", in.StartingPosition.Type, fromAfter, fromLatest, fromTime, fromAt, fromTrim)
	}
}

func (in *subscribeToShardInput) address(c *call) (string, []string) {
	name, _ := c.server.account.nameOfARN(in.ConsumerARN)
	return name, []string{in.ShardId}
}

// subscription is one SubscribeToShard call; the account's lock guards what is
// not fixed at its start.
type subscription struct {
	consumer *consumer
	shard    *shard
	started  time.Time

	next     sequence // what was not sent yet is at or above
	sent     time.Time
	reads    bucket
	replaced bool // a newer one took over
}

const (
	// eventBytes and eventRecords bound one event, so that readers get them as
	// they come.
	eventBytes   = 1 << 20
	eventRecords = 10000

	// eventEvery is how often an event is sent though there is nothing to say:
	// "captures your shard progress even when no data is written to the shard",
	// API_SubscribeToShardEvent. The time itself is not documented.
	eventEvery = 5 * time.Second
)

type subscribeToShardEvent struct {
	Records                    []recordOut
	ContinuationSequenceNumber string
	MillisBehindLatest         int64
	ChildShards                []childShard

	raw []stored // of the JSON encoder, instead of Records
}

// subscribeToShard sends events until the subscription ends: after 5 minutes,
// at the end of the shard, when a newer one takes over, or with the consumer or
// the stream.
func subscribeToShard(c *call) error {
	in := &subscribeToShardInput{}
	if err := begin(c, in); err != nil {
		return err
	}
	sub, err := in.open(c)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
	c.w.WriteHeader(http.StatusOK)
	send := c.sender()
	if !send(c.event(nil, "initial-response", map[string]string{})) {
		return nil
	}
	var buffer []byte
	for {
		step := sub.step(c)
		switch {
		case step.failure != nil:
			send(c.exception(nil, step.failure))
			return nil //nolint:nilerr // the client was told, as the last event
		case step.event != nil:
			var more bool
			if buffer, more = c.deliver(sub, step.event, buffer[:0], send); !more {
				return nil
			}
		case step.over:
			return nil
		default:
			if !c.sleep(step) {
				return nil
			}
		}
	}
}

// sleep waits for what a subscription waits for and tells whether anybody still
// wants it.
func (c *call) sleep(s step) bool {
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-s.changed:
	case <-timer.C:
	case <-c.ctx.Done():
		return false
	}
	return true
}

// sender gives a function that sends bytes at once and tells whether the client
// is still there.
func (c *call) sender() func([]byte) bool {
	control := http.NewResponseController(c.w)
	return func(b []byte) bool {
		_, err := c.w.Write(b)
		return err == nil && control.Flush() == nil
	}
}

// open checks a subscription against the rules and lets it take over. Source:
// "If you call SubscribeToShard again with the same ConsumerARN and ShardId
// within 5 seconds of a successful call, you'll get a ResourceInUseException. If
// you call SubscribeToShard 5 seconds or more after a successful call, the
// second call takes over the subscription and the previous connection expires or
// fails with a ResourceInUseException", API_SubscribeToShard.
func (in *subscribeToShardInput) open(c *call) (*subscription, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	co, f := a.consumerOf(in.ConsumerARN, now)
	if f != nil {
		return nil, f
	}
	st := co.stream
	switch {
	case st.status != statusActive && st.status != statusUpdating:
		return nil, refuse(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", st.name, a.id, st.status)
	case co.status != statusActive:
		return nil, refuse(codeInUse, "Consumer %s under account %s not ACTIVE, instead in state %s", co.arn, a.id, co.status)
	}
	sh, f := st.shard(in.ShardId, now)
	if f != nil {
		return nil, f
	}
	sh.trim(now)
	p := in.StartingPosition
	from, f := sh.position(p.Type, p.SequenceNumber, p.Timestamp, now)
	if f != nil {
		return nil, f
	}
	if in.DryRun != nil && *in.DryRun {
		return nil, dryRun()
	}
	if old := co.latest[sh.index]; old != nil {
		if now.Sub(old.started) < limits.SubscriptionInterval {
			return nil, refuse(codeInUse, "Another active subscription exists for this consumer: %s, shard %s", co.arn, sh.id)
		}
		old.replaced = true
		sh.wake()
	}
	sub := &subscription{consumer: co, shard: sh, started: now, next: from}
	co.latest[sh.index] = sub
	return sub, nil
}

// step is what a subscription does next: one of a failure, an event, the end,
// or to wait for a change, at most that long.
type step struct {
	failure *failure
	event   *subscribeToShardEvent
	over    bool
	wait    time.Duration
	changed <-chan struct{}
}

func (sub *subscription) step(c *call) step {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	sh, st, co := sub.shard, sub.shard.stream, sub.consumer
	if a.streams[st.name] == st {
		st.settle(now)
	}
	end := sub.started.Add(limits.SubscriptionLife)
	switch {
	case a.streams[st.name] != st:
		return step{failure: refuse(codeNotFound, "Stream %s under account %s not found.", st.name, a.id)}
	case co.gone:
		return step{failure: refuse(codeNotFound, "Consumer %s under account %s not found.", co.arn, a.id)}
	case sub.replaced:
		return step{failure: refuse(codeInUse, "Another active subscription exists for this consumer: %s, shard %s", co.arn, sh.id)}
	case !now.Before(end):
		return step{over: true}
	}
	sh.trim(now)
	until := end
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(until) {
			until = t
		}
	}
	sooner(st.due)
	sooner(co.due)
	records, next := []stored(nil), sub.next
	// "at a rate of up to 2 MiB per second for every shard you subscribe to",
	// API_RegisterStreamConsumer.
	if sub.reads.refill(now, limits.ShardReadBytes, limits.ShardReadBytes); sub.reads.level > 0 || !a.limits {
		records, next = sh.take(sub.next, eventRecords, eventBytes)
		for i := range records {
			sub.reads.level -= float64(records[i].size())
		}
	} else {
		sooner(now.Add(time.Duration((1 - sub.reads.level) / limits.ShardReadBytes * float64(time.Second))))
	}
	// Source of the end: an event without ContinuationSequenceNumber and with
	// ChildShards is the last one, FanOutRecordsPublisher of the Java KCL.
	finished := sh.finished(next)
	if len(records) == 0 && !finished && now.Sub(sub.sent) < eventEvery {
		sooner(sub.sent.Add(eventEvery))
		return step{wait: max(until.Sub(now), time.Millisecond), changed: sh.change()}
	}
	e := &subscribeToShardEvent{raw: records, MillisBehindLatest: sh.behind(next, now)}
	if finished {
		e.ChildShards = childrenOf(sh)
	} else {
		e.ContinuationSequenceNumber = sh.progress(next).String()
	}
	sub.next, sub.sent = next, now
	return step{event: e}
}

// progress is a number that a reader at q can go on from, AT or AFTER it alike:
// above the record before q and below the one at q.
func (sh *shard) progress(q sequence) sequence {
	i := sh.from(q)
	switch {
	case i > 0:
		return sh.records[i-1].number.between()
	case i < len(sh.records):
		return makeSequence(sh.start.created(), sh.index, sh.records[i].number.counter()-1, sh.start.second()).between()
	}
	return sh.last.between()
}

// deliver sends an event, unless a fault ends the subscription, and tells
// whether the subscription goes on.
func (c *call) deliver(sub *subscription, e *subscribeToShardEvent, b []byte, send func([]byte) bool) ([]byte, bool) {
	if c.cbor {
		e.Records = recordsOut(e.raw)
	}
	b = c.event(b, "SubscribeToShardEvent", e)
	times := 1
	if len(e.raw) > 0 || e.ChildShards != nil {
		sh := sub.shard
		for _, h := range c.server.faults.match("SubscribeToShard", sh.stream.name, []string{sh.id}, true) {
			switch h.fault.Do {
			case EndSubscription:
				return b, false
			case RepeatEvent:
				times++
			case CutStream:
				send(b[:len(b)/2])
				c.abort()
			}
		}
	}
	for range times {
		if !send(b) {
			return b, false
		}
	}
	return b, e.ChildShards == nil
}

// appendJSON is the encoder of the hot path.
func (e *subscribeToShardEvent) appendJSON(b []byte) []byte {
	b = slices.Grow(b, encodedSize(e.raw)+1024)
	b = append(b, `{"Records":[`...)
	for i := range e.raw {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.raw[i].appendJSON(b)
	}
	b = append(b, `],"MillisBehindLatest":`...)
	b = strconv.AppendInt(b, e.MillisBehindLatest, 10)
	if e.ContinuationSequenceNumber != "" {
		b = append(b, `,"ContinuationSequenceNumber":`...)
		b = appendString(b, e.ContinuationSequenceNumber)
	}
	if e.ChildShards != nil {
		b = append(b, `,"ChildShards":`...)
		b = appendAny(b, e.ChildShards)
	}
	return append(b, '}')
}
