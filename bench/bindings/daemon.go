package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas/internal/aggregate"
)

// The MultiLangDaemon is the KCL in a JVM that starts a program of another language for
// each shard, and speaks JSON lines with it. What stands in for it here has less to do
// than the real one, so that a comparison with it does vegas no favour:
//
//   - It asks for records without the KCL's pause between two reads (a second by
//     default), and reads ahead of the program.
//   - It keeps no leases.
//   - It writes lines of 1,000 records, so that what a line costs is spread over many.
//   - Nobody checkpoints while it is measured: the samples of amazon_kclpy and its kin do
//     so once a minute, and vegas writes no position within its five seconds either.
//
// What it has the program do is what the protocol wants of one: read the line as JSON,
// decode each record's data from base64, and answer with a status.

// lineRecords is how many records a line has at most.
const lineRecords = 1000

// message is what the daemon says.
type message struct {
	Action  string `json:"action"`
	Records []struct {
		Data string `json:"data"`
	} `json:"records"`
}

// status is the answer.
type status struct {
	Action      string `json:"action"`
	ResponseFor string `json:"responseFor"`
}

// batch is a line, and what is in it.
type batch struct {
	line    []byte
	records int
}

// daemon runs a program for each shard: daemon STREAM WARM-STREAM RECORDS WARM WARM-TIME COMMAND….
func daemon(ctx context.Context, args []string) error {
	if len(args) < 6 {
		return errors.New("daemon: want STREAM WARM-STREAM RECORDS WARM WARM-TIME COMMAND…")
	}
	stream, warmStream, command := args[0], args[1], args[5:]
	records, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	warm, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	warmTime, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	d := &multilang{client: kinesis.NewFromConfig(local())}
	for range shards {
		p, err := startProcessor(ctx, command)
		if err != nil {
			return err
		}
		d.processors = append(d.processors, p)
	}
	for until, first := time.Now().Add(warmTime), true; first || time.Now().Before(until); first = false {
		if err := d.read(ctx, warmStream, warm); err != nil {
			return err
		}
	}
	if err := mark("begin"); err != nil {
		return err
	}
	d.began.Store(0)
	if err := d.read(ctx, stream, records); err != nil {
		return err
	}
	t := told{Seconds: float64(time.Now().UnixNano()-d.began.Load()) / 1e9}
	if err := mark("end"); err != nil { // before the programs end, and what they have cost is gone
		return err
	}
	for _, p := range d.processors {
		one, err := p.end()
		if err != nil {
			return err
		}
		t.Handled, t.Twice = t.Handled+one.Handled, t.Twice+one.Twice
	}
	return done(t)
}

// multilang stands in for the MultiLangDaemon.
type multilang struct {
	client     *kinesis.Client
	processors []*processor
	began      atomic.Int64 // when the first line of records was written, in nanoseconds
}

// read has the programs handle all records of a stream.
func (d *multilang) read(ctx context.Context, stream string, records int) error {
	list, err := d.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		return err
	}
	if len(list.Shards) != len(d.processors) {
		return fmt.Errorf("daemon: stream %q has %d shards, and there are %d programs", stream, len(list.Shards), len(d.processors))
	}
	var handled atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for n, shard := range list.Shards {
		p, batches := d.processors[n], make(chan batch, 2)
		g.Go(func() error {
			defer close(batches)
			return d.fetch(ctx, stream, *shard.ShardId, batches)
		})
		g.Go(func() error {
			if err := p.ask("initialize", fmt.Appendf(nil, `{"action":"initialize","shardId":%q,"sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}`+"\n", *shard.ShardId)); err != nil {
				return err
			}
			for b := range batches {
				d.began.CompareAndSwap(0, time.Now().UnixNano())
				if err := p.ask("processRecords", b.line); err != nil {
					return err
				}
				handled.Add(int64(b.records))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if n := int(handled.Load()); n != records {
		return fmt.Errorf("daemon: stream %q has %d records, not %d", stream, n, records)
	}
	return nil
}

// fetch reads a shard to its tip.
func (d *multilang) fetch(ctx context.Context, stream, shard string, batches chan<- batch) error {
	first, err := d.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	var l line
	send := func() error {
		select {
		case batches <- l.cut():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for at := first.ShardIterator; ; {
		out, err := d.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: at, Limit: aws.Int32(10_000)})
		if err != nil {
			return err
		}
		var a aggregate.Aggregate
		for i := range out.Records {
			r := &out.Records[i]
			if aggregate.Decode(r.Data, &a) != nil {
				l.add(*r.PartitionKey, r, 0, r.Data)
			} else {
				for n, sub := range a.Subs {
					l.add(sub.Key, r, n, sub.Data)
					if l.records == lineRecords {
						if err := send(); err != nil {
							return err
						}
					}
				}
			}
			if l.records == lineRecords {
				if err := send(); err != nil {
					return err
				}
			}
		}
		if *out.MillisBehindLatest == 0 {
			if l.records == 0 {
				return nil
			}
			return send()
		}
		at = out.NextShardIterator
	}
}

// line is made of records.
type line struct {
	text    []byte
	records int
}

// add appends a record as the daemon writes it.
func (l *line) add(key string, r *types.Record, sub int, data []byte) {
	b := l.text
	if l.records == 0 {
		b = append(b, `{"action":"processRecords","millisBehindLatest":0,"records":[`...)
	} else {
		b = append(b, ',')
	}
	b = append(b, `{"action":"record","data":"`...)
	b = base64.StdEncoding.AppendEncode(b, data)
	b = append(b, `","partitionKey":"`...)
	b = append(b, key...) // of letters and digits
	b = append(b, `","approximateArrivalTimestamp":`...)
	b = strconv.AppendInt(b, r.ApproximateArrivalTimestamp.UnixMilli(), 10)
	b = append(b, `,"sequenceNumber":"`...)
	b = append(b, *r.SequenceNumber...)
	b = append(b, `","subSequenceNumber":`...)
	b = strconv.AppendInt(b, int64(sub), 10)
	l.text = append(b, '}')
	l.records++
}

// cut ends the line, and begins the next one.
func (l *line) cut() batch {
	b := batch{append(l.text, "]}\n"...), l.records}
	*l = line{text: make([]byte, 0, len(b.line)+len(b.line)/8)}
	return b
}

// processor is the program of a shard.
type processor struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProcessor(ctx context.Context, command []string) (*processor, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &processor{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// ask writes a line, and waits for its status.
func (p *processor) ask(action string, line []byte) error {
	if _, err := p.in.Write(line); err != nil {
		return err
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("daemon: %s: no answer: %w", action, err)
	}
	var s status
	if err := json.Unmarshal(answer, &s); err != nil || s.Action != "status" || s.ResponseFor != action {
		return fmt.Errorf("daemon: %s was answered by %q", action, strings.TrimSpace(string(answer)))
	}
	return nil
}

// end ends the program, which then says what it has handled.
func (p *processor) end() (told, error) {
	var t told
	if err := p.in.Close(); err != nil {
		return t, err
	}
	if err := json.NewDecoder(p.out).Decode(&t); err != nil {
		return t, fmt.Errorf("daemon: a program does not say what it has handled: %w", err)
	}
	return t, p.cmd.Wait()
}
