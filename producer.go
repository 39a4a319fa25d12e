package vegas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/durable"
	"github.com/libvegas/vegas/internal/inner"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/observe"
)

// Producer sends records to one stream. Make one per stream and process and
// share it: it is safe for use by many goroutines, and the more of them send at
// once, the fuller the batches are. Order is kept between calls that are made
// one after the other through one Producer; two Producers have no order between
// them, but share their connections where they share their configuration.
type Producer struct {
	api *kinesisapi.Client
	// One of them:
	engine  *send.Engine
	durable *durable.Producer
}

// ProducerOptions arrive at an option function filled with the defaults named
// here.
type ProducerOptions struct {
	// AWS is the configuration to reach the service with. Default: the zero
	// value, which stands for the SDK's default configuration, loaded at the
	// first use. If it is set it has to hold credentials; its retry settings
	// concern the listing of shards only, records are retried by the Producer.
	AWS aws.Config
	// Kinesis is a client whose settings are used instead of AWS. Default: nil.
	// Answers are decoded past it: middleware that looks at outputs finds none in
	// those of PutRecords. With middleware, interceptors, logging, metrics, tracing,
	// signers or resolvers in it, or in AWS, and in AWS Lambda, every call takes the
	// SDK's whole way.
	Kinesis *kinesis.Client

	// Linger is how long a record may wait for others to share an aggregate
	// with, when its shard is idle. Default 10 ms; 0 sends at once. Behind a
	// request under way records gather anyway. Longer saves payload units
	// (docs/cost.md), shorter saves latency.
	Linger time.Duration
	// Aggregate packs many records into one Kinesis record, in the format of
	// the Kinesis Producer Library, which vegas consumers, the KCL and AWS
	// Lambda's helpers unpack. Default true. Turn it off for readers that do not;
	// then a key reaches 1/round-trip records a second, records cannot carry
	// Headers, and duplicates made by lost answers, or by restarts with Durable,
	// are not removed.
	Aggregate bool
	// RequireOrder makes it an error to send to a stream whose record
	// distribution is AUTO, where no order is kept. Default false: such a stream
	// is used, with a warning in the log.
	RequireOrder bool

	// Deadline is how long a record is tried, from its acceptance. Default 2
	// minutes; 0: for ever. A record whose deadline passes ends with ErrDeadline
	// and the cause of the last attempt. With Durable or Buffer it does not apply:
	// DurableAge does.
	Deadline time.Duration
	// OnFailure says what the failure of a record means for those of the same
	// key behind it. Default FailRecord.
	OnFailure OnFailure
	// RequestTimeout bounds one call to the service. Default 10 s. Records in a
	// call that timed out may have been stored; they are sent again, under the
	// same identities.
	RequestTimeout time.Duration

	// Durable is a directory to keep records in until the stream has them, so that
	// outages, the end of the process and crashes of the machine lose none
	// (docs/durability.md). It has to lie on a local disk that outlives the process
	// and belongs to one Producer at a time, which is of one stream. Default "":
	// records are in memory only. With it
	//   - NewProducer opens the directory and sends what earlier Producers left
	//     there, first and under the identities that they gave;
	//   - a record that is safe in the directory has been sent: Send returns, and
	//     callbacks are called, with a Receipt that says Durable;
	//   - Deadline does not apply. Outages, missing permissions and a missing
	//     stream hold records for as long as they take, and are warned of. What
	//     leaves without being stored (never storable, or older than DurableAge)
	//     is kept in the directory as a dead letter, with its reason;
	//   - Close whose context ends leaves records for the next Producer.
	Durable string
	// DurableBytes bounds the room that records take in the directory. What counts is
	// the size of their files: key, data and headers of each record and about 50
	// bytes. A file holds a sixteenth of the bound, 64 MiB at most, and is removed,
	// or made smaller, when the stream has three quarters of it. Dead letters, bytes
	// set aside as damaged, the list of acknowledgements and the spare file do not
	// count. Default 1 GiB. At the bound calls wait, as at BufferBytes; what is
	// larger than that has room when nothing else is there.
	DurableBytes int64
	// DurableAge makes dead letters of records that the stream did not take for
	// that long. Default 0: none are.
	DurableAge time.Duration
	// WaitStored makes Send and the others wait, and call back, until the stream
	// has the record, as without Durable. Default false. See also
	// [Producer.SendStaged].
	WaitStored bool
	// Buffer is another buffer to use in place of a directory; what is said of
	// Durable holds for it. NewProducer opens it and Close closes it. Default nil.
	Buffer buffer.Buffer

	// BufferBytes bounds the memory for accepted records, about 350 bytes for
	// each and its payload and keys. Default 64 MiB. At the bound calls wait, in
	// the order in which they came. What is under way takes two and a half times
	// its payload on top of that, encoded. With Durable it bounds how far sending
	// looks ahead of a shard that takes nothing: beyond that, it holds up all.
	BufferBytes int64
	// MaxRequests is how many PutRecords calls may be under way at once. Default
	// 16. One call carries many shards; raise it for streams of hundreds of
	// shards over long round trips.
	MaxRequests int

	// Logger gets the Producer's log. Default slog.Default(). Repeated warnings
	// are one line a minute; keys and payloads are never logged.
	Logger *slog.Logger
	// Observer gets the Producer's metrics. Default observe.Nop.
	Observer observe.Observer
}

// OnFailure says what happens to the records of a key behind one that failed
// for good.
type OnFailure uint8

const (
	// FailRecord: later records of the key still go. The stream then has a gap,
	// never an inversion.
	FailRecord OnFailure = iota
	// FailKey: records of the key that are queued behind it fail with it, with
	// ErrEarlierFailed, so that the caller can send all of them again in order.
	// With Durable that is those that sending has come to, which it looks ahead
	// for as far as BufferBytes; those still on the disk go.
	FailKey
)

// NewProducer makes a Producer for a stream, given by name or ARN. It checks
// its arguments and does no I/O, except that it opens the directory of o.Durable,
// and starts to send what is in it. What is wrong with the stream, the credentials
// or the network is the error of the first Send, or of Check. Close it.
func NewProducer(stream string, opts ...func(*ProducerOptions)) (*Producer, error) {
	name, err := kinesisapi.ParseName(stream)
	if err != nil {
		return nil, fmt.Errorf("new producer: %w", err)
	}
	o := ProducerOptions{
		Linger:         10 * time.Millisecond,
		Aggregate:      true,
		Deadline:       2 * time.Minute,
		RequestTimeout: 10 * time.Second,
		DurableBytes:   1 << 30,
		BufferBytes:    64 << 20,
		MaxRequests:    16,
		Logger:         slog.Default(),
		Observer:       observe.Nop{},
	}
	for _, f := range opts {
		f(&o)
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("new producer: stream %q: %w", name.Stream, err)
	}
	p := &Producer{api: kinesisapi.New(name, kinesisapi.Options{AWS: o.AWS, Kinesis: o.Kinesis})}
	c := send.Config{
		API:            p.api,
		Stream:         name.Stream,
		Linger:         o.Linger,
		Raw:            !o.Aggregate,
		Deadline:       o.Deadline,
		BufferBytes:    o.BufferBytes,
		FailKey:        o.OnFailure == FailKey,
		RequireOrder:   o.RequireOrder,
		MaxRequests:    o.MaxRequests,
		RequestTimeout: o.RequestTimeout,
		Logger:         o.Logger,
		Observer:       o.Observer,
	}
	if o.Durable == "" && o.Buffer == nil {
		p.engine = send.New(c)
		return p, nil
	}
	if p.durable, err = newDurable(&o, c); err != nil {
		p.api.Close()
		return nil, fmt.Errorf("new producer: stream %q: %w", name.Stream, err)
	}
	return p, nil
}

func (o *ProducerOptions) check() error {
	switch {
	case o.Linger < 0:
		return fmt.Errorf("o.Linger is %v: want 0 or more", o.Linger)
	case o.Deadline < 0:
		return fmt.Errorf("o.Deadline is %v: want 0 (none) or more", o.Deadline)
	case o.RequestTimeout <= 0:
		return fmt.Errorf("o.RequestTimeout is %v: want more than 0", o.RequestTimeout)
	case o.Durable != "" && o.Buffer != nil:
		return errors.New("o.Durable and o.Buffer are both set: want one of them")
	case o.DurableBytes <= 0:
		return fmt.Errorf("o.DurableBytes is %d: want more than 0", o.DurableBytes)
	case o.DurableAge < 0:
		return fmt.Errorf("o.DurableAge is %v: want 0 (none) or more", o.DurableAge)
	case o.BufferBytes <= 0:
		return fmt.Errorf("o.BufferBytes is %d: want more than 0", o.BufferBytes)
	case o.MaxRequests <= 0:
		return fmt.Errorf("o.MaxRequests is %d: want more than 0", o.MaxRequests)
	case o.OnFailure > FailKey:
		return fmt.Errorf("o.OnFailure is %d: want FailRecord or FailKey", o.OnFailure)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Observer == nil {
		o.Observer = observe.Nop{}
	}
	return nil
}

func init() {
	inner.Engine = func(producer any) *send.Engine { return producer.(*Producer).engine }
}

// Send sends one record and returns when the stream has it, or with
// [ProducerOptions.Durable] when it is safe in the buffer. The data is copied. An
// error is a [*SendError]; if its Outcome is Unknown the record may be in the
// stream all the same, or may still get there.
//
// ctx bounds the wait for room in the buffer and for the result. If it ends
// before the record left, the record is withdrawn: it is not stored. Later the
// outcome is unknown, and the Producer goes on trying until the deadline. What is
// in a durable buffer is never withdrawn: it is sent.
//
// Concurrent callers share requests. One goroutine that calls Send in a loop
// reaches 1/(linger + round trip) records a second, under a hundred with the
// defaults: use [Producer.SendAll] or [Producer.SendAsync] for more.
//
// A key has 1 to 256 characters; data may be empty, and with the key as large
// as the stream's MaxRecordSize (1 MiB unless it was raised).
func (p *Producer) Send(ctx context.Context, key string, data []byte) error {
	_, err := p.SendRecord(ctx, &Record{PartitionKey: key, Data: data})
	return err
}

// SendRecord is Send for a record with an explicit hash key or headers. It
// returns where the record was stored.
func (p *Producer) SendRecord(ctx context.Context, r *Record) (Receipt, error) {
	if p.durable != nil {
		return p.durable.Send(ctx, r)
	}
	return p.engine.Send(ctx, r)
}

// SendAll sends records in their order and returns when all have ended: the
// fast way to send from one goroutine. The receipts are one per record; the
// error is nil if all were stored, else a [SendErrors]. A record that fails
// does not stop the others. Any number of records may be given: what does not
// fit into the buffer waits. ctx is that of Send.
func (p *Producer) SendAll(ctx context.Context, rs []*Record) ([]Receipt, error) {
	all := p.engine.SendAll
	if p.durable != nil {
		all = p.durable.SendAll
	}
	receipts, errs := all(ctx, rs)
	if errs == nil {
		return receipts, nil
	}
	return receipts, SendErrors(errs)
}

// SendErrors are the errors of SendAll: one per record, a [*SendError] or nil
// where it was stored.
type SendErrors []error

// Error tells how many failed, and how the first of them did.
func (e SendErrors) Error() string {
	n, first := 0, error(nil)
	for _, err := range e {
		if err != nil {
			if n++; first == nil {
				first = err
			}
		}
	}
	if n == 0 {
		return "no record failed"
	}
	return fmt.Sprintf("%d of %d records failed, the first with: %v", n, len(e), first)
}

// Unwrap gives the errors that are not nil, for errors.Is and errors.As.
func (e SendErrors) Unwrap() []error {
	var out []error
	for _, err := range e {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// SendAsync accepts a record, copies it and returns at once if there is room in
// the buffer; ctx bounds the wait for room and nothing else. done is called once
// with the result: never if SendAsync returns an error, which says that the
// record was not accepted, and always otherwise, also when the Producer is
// closed. done may be nil: then nobody is told. With [ProducerOptions.Durable] done
// is called when the record is safe in the buffer.
//
// Callbacks run one at a time, in the order in which the records ended, which
// for records of one key is the order in which they were accepted; a slow one
// delays the others and, once the buffer is full, new calls, but never sending.
// A callback may send: there SendAsync and Send return ErrBufferFull instead of
// waiting for room. It must not call Flush or Close. A panic of a callback is
// logged and concerns no other record.
func (p *Producer) SendAsync(ctx context.Context, r *Record, done func(Receipt, error)) error {
	if p.durable != nil {
		return p.durable.SendAsync(ctx, r, done)
	}
	return p.engine.SendAsync(ctx, r, done)
}

// SendStaged is SendAsync for a caller that wants to know of both stages of a
// record that is kept in a durable buffer on its way: durable is called when it is
// safe there, and stored when the stream has it or it has become a dead letter.
// Each is called once, durable first, or may be nil; where durable is told of an
// error, stored is told of the same. Without [ProducerOptions.Durable] both are
// called at the end.
//
// The calls that a record still owes take about 250 bytes of memory. At as many as
// fit into BufferBytes, which is on top of what that bounds otherwise, new calls
// wait: an outage then stops those who want to know of its end, and not those who
// call SendAsync. stored is told of an Unknown outcome where Close gave up.
// Callbacks for records of one key run in order, but a dead letter's may overtake
// those of records that are still on their way.
func (p *Producer) SendStaged(ctx context.Context, r *Record, durable func(error), stored func(Receipt, error)) error {
	if p.durable != nil {
		return p.durable.SendStaged(ctx, r, durable, stored)
	}
	return p.engine.SendAsync(ctx, r, func(receipt Receipt, err error) {
		if durable != nil {
			durable(err)
		}
		if stored != nil {
			stored(receipt, err)
		}
	})
}

// Flush sends what was accepted before the call without further lingering and
// waits until it has ended, callbacks included. The results are told to those
// who sent; Flush's own error is that of ctx. With [ProducerOptions.Durable] it
// waits until the stream has what is in the buffer, that of earlier Producers
// included; its error says how many records are left.
func (p *Producer) Flush(ctx context.Context) error {
	if p.durable != nil {
		return p.durable.Flush(ctx)
	}
	return p.engine.Flush(ctx)
}

// Close drains: it refuses further records with ErrClosed, waits until all
// accepted ones have ended, and releases what the Producer held. If ctx ends
// first, what is open ends as not stored or unknown, and Close returns ctx's
// error; callbacks then have a second to run. A Send that races Close gets a
// result or ErrClosed.
//
// With [ProducerOptions.Durable] records that are left when ctx ends stay in the
// buffer, for the next Producer of the directory, and the error says how many. Let
// ctx have a deadline: an outage may last.
func (p *Producer) Close(ctx context.Context) error {
	closing, ended := p.engine.Close, p.engine.Ended
	if p.durable != nil {
		closing, ended = p.durable.Close, p.durable.Ended
	}
	err := closing(ctx)
	select {
	case <-ended():
		p.api.Close()
	default: // a callback called
	}
	return err
}

// Check tries what sending needs, without sending: configuration, credentials,
// the stream, the listing of its shards. Its error names what is missing and
// the remedy. Whether the role may put records shows only when some are put.
func (p *Producer) Check(ctx context.Context) error {
	if p.durable != nil {
		return p.durable.Check(ctx)
	}
	return p.engine.Check(ctx)
}

// ProducerStats is a snapshot of a Producer. Counts are since NewProducer.
type ProducerStats struct {
	// Records that were acknowledged, and their payload bytes.
	Sent, Bytes int64
	// Records that ended as not stored, and as unknown.
	Failed, Unknown int64
	// Resent counts repeated attempts of records.
	Resent int64
	// Requests to the service, and those that failed as a whole.
	Requests, RequestErrors int64
	// Entries are the Kinesis records put: an aggregate is one.
	Entries int64
	// Throttles are entries and requests that were refused for a rate.
	Throttles int64
	// Misplaced are aggregates that another shard took than predicted.
	Misplaced int64
	// MapRefreshes are listings of the stream's shards.
	MapRefreshes int64
	// Open are the records accepted that have not ended; they hold BufferBytes.
	Open        int
	BufferBytes int64
	// Durable is the state of the durable buffer; zero without one.
	Durable buffer.Stats
	// Lanes are the queues of the shards.
	Lanes []LaneStats
}

// LaneStats is the queue of one shard.
type LaneStats struct {
	Shard string
	// Records and Bytes are queued or under way.
	Records, Bytes int
	// InFlight are the Kinesis records under way.
	InFlight int
	// Oldest is how long the oldest record has been waiting.
	Oldest time.Duration
	// PaceBytes is what the Producer allows itself on this shard, in bytes a
	// second, learnt from throttling.
	PaceBytes int
	// Draining: the shard was split or merged, the queue ends.
	Draining bool
}

// Stats takes a snapshot.
func (p *Producer) Stats() ProducerStats {
	var b buffer.Stats
	var s send.Stats
	if p.durable != nil {
		s, b = p.durable.Stats()
	} else {
		s = p.engine.Stats()
	}
	out := ProducerStats{
		Sent: s.Sent, Bytes: s.Bytes, Failed: s.Failed, Unknown: s.Unknown, Resent: s.Resent,
		Requests: s.Requests, RequestErrors: s.RequestErrors, Entries: s.Entries,
		Throttles: s.Throttles, Misplaced: s.Misplaced, MapRefreshes: s.MapRefreshes,
		Open: s.Open, BufferBytes: s.BufferBytes, Durable: b,
	}
	for _, l := range s.Lanes {
		out.Lanes = append(out.Lanes, LaneStats{
			Shard: l.Shard, Records: l.Records, Bytes: l.Bytes, InFlight: l.InFlight,
			Oldest: l.Oldest, PaceBytes: l.Pace, Draining: l.Draining,
		})
	}
	return out
}
