package fleettest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/record"
)

// sender is a program that produces: one producer after the other, for the same
// keys.
type sender struct {
	*fleet
	p    producerPlan
	name string
	rnd  *rand.Rand
	keys [][]key // of each thread
}

// key is a partition key, and under which hash key its records go.
type key struct{ name, hash string }

func newSender(f *fleet, i int) *sender {
	s := &sender{fleet: f, p: f.plan.producers[i], name: fmt.Sprint("producer", i), rnd: source(f.plan.seed, uint64(100+i))}
	for t := range s.p.threads {
		var keys []key
		for k := range s.p.keys {
			one := key{name: fmt.Sprintf("key-%d.%d.%d", i, t, k)}
			if s.rnd.IntN(6) == 0 {
				one.hash = fmt.Sprint(s.rnd.Uint64()) // all in the first shard
			}
			keys = append(keys, one)
		}
		s.keys = append(s.keys, keys)
	}
	return s
}

// run produces until ctx is over, and leaves nothing open.
func (s *sender) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		s.live(ctx, fmt.Sprintf("%s.%d", s.name, n))
	}
}

// live is one life of the program.
func (s *sender) live(ctx context.Context, name string) {
	crash := s.rnd.Float64() < s.p.crash
	hurried := !crash && s.rnd.Float64() < s.p.hurried
	lifeCtx, cancel := context.WithTimeout(ctx, time.Duration(s.rnd.Int64N(int64(s.p.life))+1))
	defer cancel()
	net, cfg := connect(s.server, s.trace, name, s.p.http2)
	p, err := vegas.NewProducer(streamName, func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger = cfg, s.trace.logger(name)
		o.Aggregate, o.Linger, o.OnFailure, o.Deadline = s.p.aggregate, s.p.linger, s.p.onFailure, s.p.deadline
		o.RequestTimeout, o.BufferBytes, o.MaxRequests = s.p.requestTimeout, s.p.buffer, s.p.maxRequests
	})
	if err != nil {
		s.audit.fail("%s: %v", name, err)
		return
	}
	s.trace.add("%s starts, will crash %v, be hurried %v", name, crash, hurried)
	sure := !crash && !hurried && s.p.deadline == 0
	var threads sync.WaitGroup
	for t, keys := range s.keys {
		th := &thread{sender: s, producer: p, life: name, rnd: rand.New(rand.NewPCG(s.rnd.Uint64(), 1)), keys: keys, sure: sure}
		threads.Go(func() { th.run(lifeCtx, t) })
	}
	if crash {
		<-lifeCtx.Done()
		s.trace.add("%s crashes", name)
		net.cut()
		if err := p.Close(over); err == nil && p.Stats().Open > 0 {
			s.audit.fail("%s: Close returned nil with %d open records", name, p.Stats().Open)
		}
		threads.Wait()
		return
	}
	threads.Wait()
	closeCtx, cancelClose := s.forever, context.CancelFunc(func() {})
	if hurried {
		closeCtx, cancelClose = context.WithTimeout(s.forever, time.Duration(s.rnd.IntN(2000))*time.Millisecond)
	}
	defer cancelClose()
	s.trace.add("%s closes", name)
	if err := p.Close(closeCtx); err != nil && closeCtx.Err() == nil {
		s.audit.fail("%s: close: %v", name, err)
	}
	if st := p.Stats(); st.Open != 0 || st.BufferBytes != 0 {
		s.audit.fail("%s: after Close: %+v", name, st)
	}
	if err := p.Send(s.forever, "late", nil); !errors.Is(err, record.ErrClosed) {
		s.audit.fail("%s: a Send after Close: %v", name, err)
	}
}

// over is a context that is over.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// thread sends the records of its own keys, one call after the other.
type thread struct {
	*sender
	producer *vegas.Producer
	life     string
	rnd      *rand.Rand
	keys     []key
	sure     bool
}

func (t *thread) run(ctx context.Context, number int) {
	wait(ctx, time.Duration(number)*t.p.gap/4)
	for ctx.Err() == nil {
		n := 1 + t.rnd.IntN(t.p.burst)
		switch t.rnd.IntN(6) {
		case 0:
			t.one()
		case 1:
			t.all(min(n, 8))
		case 2:
			t.flush()
		default:
			for range n {
				t.async()
			}
		}
		wait(ctx, time.Duration(t.rnd.Int64N(2*int64(t.p.gap)+1)))
	}
}

// wait until d is over, or ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// patience is the context of a call.
func (t *thread) patience() (ctx context.Context, cancel context.CancelFunc, patient bool) {
	if t.rnd.Float64() < t.p.impatient {
		ctx, cancel := context.WithTimeout(t.forever, time.Duration(t.rnd.IntN(300))*time.Millisecond)
		return ctx, cancel, false
	}
	return t.forever, func() {}, true
}

func (t *thread) next(patient bool) (*sent, *vegas.Record) {
	k := t.keys[t.rnd.IntN(len(t.keys))]
	size := t.rnd.IntN(40)
	switch x := t.rnd.Float64(); {
	case x < t.p.huge:
		size = limits.RecordBytes - len(k.name)
	case x < t.p.huge+t.p.large:
		size = 1 + t.rnd.IntN(300<<10)
	}
	s, r := t.audit.next(k.name, t.life, size, t.sure && patient)
	r.ExplicitHashKey = k.hash
	if t.p.aggregate && size < limits.RecordBytes/2 && t.rnd.IntN(10) == 0 {
		r.Headers = []vegas.Header{{Key: "n", Value: fmt.Sprint(s.n)}}
	}
	return s, r
}

func (t *thread) one() {
	ctx, cancel, patient := t.patience()
	defer cancel()
	s, r := t.next(patient)
	receipt, err := t.producer.SendRecord(ctx, r)
	t.audit.ended(s, receipt, err)
}

func (t *thread) all(n int) {
	ctx, cancel, patient := t.patience()
	defer cancel()
	var ss []*sent
	var rs []*vegas.Record
	for range n {
		s, r := t.next(patient)
		ss, rs = append(ss, s), append(rs, r)
	}
	receipts, err := t.producer.SendAll(ctx, rs)
	errs, ok := errors.AsType[vegas.SendErrors](err)
	if err != nil && (!ok || len(errs) != n) || len(receipts) != n {
		t.audit.fail("%s: SendAll of %d gives %d receipts and %T: %v", t.life, n, len(receipts), err, err)
		return
	}
	for i, s := range ss {
		var err error
		if errs != nil {
			err = errs[i]
		}
		t.audit.ended(s, receipts[i], err)
	}
}

func (t *thread) async() {
	ctx, cancel, patient := t.patience()
	defer cancel()
	s, r := t.next(patient)
	if err := t.producer.SendAsync(ctx, r, func(r vegas.Receipt, err error) { t.audit.ended(s, r, err) }); err != nil {
		t.audit.ended(s, vegas.Receipt{}, err)
	}
}

func (t *thread) flush() {
	ctx, cancel, patient := t.patience()
	defer cancel()
	if err := t.producer.Flush(ctx); err != nil && patient && t.sure {
		t.audit.fail("%s: flush: %v", t.life, err)
	}
}

// foreigner writes without vegas: single records, put by the SDK.
func (f *fleet) foreigner(ctx context.Context) {
	rnd := source(f.plan.seed, 90)
	_, cfg := connect(f.server, f.trace, "foreigner", false)
	client := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
	for ctx.Err() == nil {
		s, r := f.audit.next(fmt.Sprint("foreign-", rnd.IntN(5)), "", rnd.IntN(60), false)
		out, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String(streamName), PartitionKey: &r.PartitionKey, Data: r.Data})
		var receipt vegas.Receipt
		if err == nil {
			receipt = vegas.Receipt{Shard: aws.ToString(out.ShardId), Position: vegas.Position{Sequence: aws.ToString(out.SequenceNumber)}}
		}
		f.audit.ended(s, receipt, err)
		wait(ctx, time.Duration(rnd.IntN(1000))*time.Millisecond)
	}
}
