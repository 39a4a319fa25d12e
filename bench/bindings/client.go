package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/store/memory"
)

// goProgram is what the contest has Go do.
type goProgram struct {
	contest.Work
	group, warmStream, warmGroup string
	keys                         []string
}

// client is Go's own program.
func client(ctx context.Context, args []string) error {
	if len(args) != 10 {
		return errors.New("client: ten arguments are wanted")
	}
	var n [5]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(args[5+i]); err != nil {
			return fmt.Errorf("client: %w", err)
		}
	}
	p := &goProgram{
		Work:  contest.Work{Stream: args[1], Size: n[0], Records: n[1], Warm: n[2], Keys: n[3], Aggregated: n[4] == 1},
		group: args[2], warmStream: args[3], warmGroup: args[4],
	}
	p.keys = p.AllKeys()
	do := map[role]func(context.Context) error{
		produce: p.produce, sdk: p.sdk, consume: p.consume, lines: p.lines, latency: p.latency, idle: p.idle,
	}[role(args[0])]
	if do == nil {
		return fmt.Errorf("client: no role %q", args[0])
	}
	return do(ctx)
}

// mark says so, and goes on when it was read what this process has cost so far.
func mark(word string) error {
	fmt.Println(word)
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}

// done says so, and waits until what it had in memory is read.
func done(what told) error {
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	fmt.Printf("done %s\n", b)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// local reaches the server.
func local() aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDPEER", "peer", ""),
	}
}

// measured sends the first records, and then what is measured.
func (p *goProgram) measured(send func(from, to int) error) error {
	if err := send(0, p.Warm); err != nil {
		return err
	}
	if err := mark("begin"); err != nil {
		return err
	}
	if err := send(p.Warm, p.Records); err != nil {
		return err
	}
	if err := mark("end"); err != nil {
		return err
	}
	return done(told{})
}

func (p *goProgram) producer(set func(*vegas.ProducerOptions)) (*vegas.Producer, error) {
	return vegas.NewProducer(p.Stream, func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger = local(), slog.New(slog.DiscardHandler)
		set(o)
	})
}

func (p *goProgram) produce(ctx context.Context) error {
	v, err := p.producer(func(o *vegas.ProducerOptions) { o.Aggregate = p.Aggregated })
	if err != nil {
		return err
	}
	defer func() { _ = v.Close(ctx) }() // Flush tells what failed
	var refused atomic.Int64
	payload := make([]byte, 0, p.Size) // a record is copied when it is accepted
	var r vegas.Record
	return p.measured(func(from, to int) error {
		for i := from; i < to; i++ {
			r.PartitionKey, r.Data = p.keys[p.KeyIndex(i)], p.AppendPayload(payload, i)
			if err := v.SendAsync(ctx, &r, func(_ vegas.Receipt, err error) {
				if err != nil {
					refused.Add(1)
				}
			}); err != nil {
				return err
			}
		}
		if err := v.Flush(ctx); err != nil {
			return err
		}
		if n := refused.Load(); n > 0 {
			return fmt.Errorf("%d records were refused", n)
		}
		return nil
	})
}

// sdk calls PutRecords with 500 records, four calls at once.
func (p *goProgram) sdk(ctx context.Context) error {
	c := kinesis.NewFromConfig(local())
	return p.measured(func(from, to int) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(4)
		for first := from; first < to; first += 500 {
			g.Go(func() error {
				var entries []types.PutRecordsRequestEntry
				for i := first; i < min(to, first+500); i++ {
					entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &p.keys[p.KeyIndex(i)], Data: p.AppendPayload(nil, i)})
				}
				out, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &p.Stream, Records: entries})
				if err == nil && *out.FailedRecordCount > 0 {
					err = fmt.Errorf("%d records were refused", *out.FailedRecordCount)
				}
				return err
			})
		}
		return g.Wait()
	})
}

// handled is the handler's side: it counts each record once.
type handled struct {
	seen        []atomic.Bool
	handled     atomic.Int64
	twice       atomic.Int64
	first, last atomic.Int64 // nanoseconds
	all         chan struct{}
}

func newHandled(records int) *handled {
	return &handled{seen: make([]atomic.Bool, records), all: make(chan struct{})}
}

func (h *handled) handle(data []byte) error {
	i, err := contest.Number(data)
	if err != nil || i >= len(h.seen) {
		return fmt.Errorf("a record that nobody sent: %w", err)
	}
	if h.seen[i].Swap(true) {
		h.twice.Add(1)
		return nil
	}
	n := int(h.handled.Add(1))
	if n == 1 {
		h.first.Store(time.Now().UnixNano())
	}
	if n == len(h.seen) {
		h.last.Store(time.Now().UnixNano())
		close(h.all)
	}
	return nil
}

func (h *handled) told() told {
	return told{Handled: int(h.handled.Load()), Twice: int(h.twice.Load()), Seconds: float64(h.last.Load()-h.first.Load()) / 1e9}
}

// read has a consumer handle all records of a stream; stop ends it.
func read(ctx context.Context, stream, group string, h *handled) (stop func() error, err error) {
	c, err := vegas.NewConsumer(stream, group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = local(), memory.New(), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func(_ context.Context, r *vegas.Record) error { return h.handle(r.Data) })
	}()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	}), nil
}

func (p *goProgram) consume(ctx context.Context) error {
	before := newHandled(p.Warm)
	stop, err := read(ctx, p.warmStream, p.warmGroup, before)
	if err != nil {
		return err
	}
	<-before.all
	if err := stop(); err != nil {
		return err
	}
	if err := mark("begin"); err != nil {
		return err
	}
	h := newHandled(p.Records)
	if stop, err = read(ctx, p.Stream, p.group, h); err != nil {
		return err
	}
	<-h.all
	if err := mark("end"); err != nil {
		return err
	}
	return errors.Join(done(h.told()), stop())
}

// lines does what a MultiLangDaemon says.
func (p *goProgram) lines(context.Context) error {
	var h *handled
	in, out := bufio.NewReaderSize(os.Stdin, 1<<16), json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return out.Encode(h.told())
		}
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		switch m.Action {
		case "initialize":
			h = newHandled(p.Records)
		case "processRecords":
			for _, r := range m.Records {
				data, err := base64.StdEncoding.DecodeString(r.Data)
				if err != nil {
					return err
				}
				if err := h.handle(data); err != nil {
					return err
				}
			}
		}
		if err := out.Encode(status{"status", m.Action}); err != nil {
			return err
		}
	}
}

func (p *goProgram) latency(ctx context.Context) error {
	v, err := p.producer(func(o *vegas.ProducerOptions) { o.Linger = 0 })
	if err != nil {
		return err
	}
	defer func() { _ = v.Close(ctx) }()
	var t told
	for i := range p.Records {
		if i == p.Warm {
			if err := mark("begin"); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := v.Send(ctx, p.keys[p.KeyIndex(i)], p.AppendPayload(nil, i)); err != nil {
			return err
		}
		t.Micros = append(t.Micros, float64(time.Since(began))/1e3)
	}
	if err := mark("end"); err != nil {
		return err
	}
	t.Micros = t.Micros[p.Warm:]
	return done(t)
}

func (p *goProgram) idle(ctx context.Context) error {
	v, err := p.producer(func(*vegas.ProducerOptions) {})
	if err != nil {
		return err
	}
	defer func() { _ = v.Close(ctx) }()
	h := newHandled(1)
	stop, err := read(ctx, p.Stream, "idle", h)
	if err != nil {
		return err
	}
	if err := mark("begin"); err != nil {
		return err
	}
	if err := v.Send(ctx, p.keys[0], p.AppendPayload(nil, 0)); err != nil {
		return err
	}
	<-h.all
	if err := mark("end"); err != nil {
		return err
	}
	return errors.Join(done(h.told()), stop())
}
