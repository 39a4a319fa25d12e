//go:build linux

// Command go does what scenarios say, with the library itself.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libvegas/vegas"
)

// command is a line of the runner's.
type command struct {
	ID      int                `json:"id"`
	Do      string             `json:"do"`
	As      string             `json:"as"`
	Of      string             `json:"of"`
	To      string             `json:"to"`
	Stream  string             `json:"stream"`
	Group   string             `json:"group"`
	Options []option           `json:"options"`
	Behave  behaviour          `json:"behave"`
	Records []record           `json:"records"`
	Wait    *bool              `json:"wait"`
	Tell    bool               `json:"tell"`
	Count   int                `json:"count"`
	Keys    int                `json:"keys"`
	Size    int                `json:"size"`
	From    int                `json:"from"`
	Prefix  string             `json:"prefix"`
	Limit   *float64           `json:"limit"`
	Data    string             `json:"data"`
	What    string             `json:"what"`
	Streams map[string]float64 `json:"streams"`
}

type option struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type behaviour struct {
	Hold            *string `json:"hold"`
	Fail            *string `json:"fail"`
	Times           int     `json:"times"`
	Pause           int     `json:"pause"`
	Keep            bool    `json:"keep"`
	Die             *string `json:"die"`
	CheckpointEvery int     `json:"checkpoint_every"`
}

type record struct {
	Key     string      `json:"key"`
	Data    *string     `json:"data"`
	Size    int         `json:"size"`
	Headers [][2]string `json:"headers"`
	HashKey string      `json:"hash_key"`
}

type results map[string]any

var out sync.Mutex

func say(m results) {
	line, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n')) // the runner may be gone
}

// codes are errors as the protocol calls them.
var codes = []struct {
	err  error
	code string
}{
	{vegas.ErrEarlierFailed, "earlier_failed"},
	{vegas.ErrTooLarge, "too_large"},
	{vegas.ErrDeadline, "deadline"},
	{vegas.ErrClosed, "closed"},
	{vegas.ErrBufferFull, "buffer_full"},
	{vegas.ErrLeaseLost, "lease_lost"},
	{vegas.ErrGraceOver, "grace_over"},
	{vegas.ErrTrimmed, "trimmed"},
	{vegas.ErrKillsProcess, "kills_process"},
	{vegas.ErrThrottled, "throttled"},
	{errHandler, "handler"},
}

var words = map[string]string{"stream-not-found": "not_found", "partition-key": "bad_option", "explicit-hash-key": "bad_option", "stream-name": "bad_option"}

var link = regexp.MustCompile(`docs/troubleshooting\.md#([a-z-]+)`)

func failed(err error) results {
	code := "failed"
	m := link.FindStringSubmatch(err.Error())
	if m != nil && words[m[1]] != "" {
		code = words[m[1]]
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			code = c.code
			break
		}
	}
	e := results{"code": code, "text": err.Error(), "unknown": false}
	if m != nil {
		e["remedy"] = m[0]
	}
	if sent, ok := errors.AsType[*vegas.SendError](err); ok {
		e["unknown"] = sent.Outcome == vegas.Unknown
	}
	return e
}

func receipt(r vegas.Receipt) results {
	return results{"shard": r.Shard, "sequence": r.Position.Sequence, "sub": r.Position.SubSequence, "durable": r.Durable}
}

// set puts options into those of the library, whose fields have the same names.
func set(into any, given []option) error {
	v := reflect.ValueOf(into).Elem()
	for _, o := range given {
		name := ""
		for word := range strings.SplitSeq(o.Name, "_") {
			name += strings.ToUpper(word[:1]) + word[1:]
		}
		f := v.FieldByName(name)
		if !f.IsValid() {
			return fmt.Errorf("there is no option %s", o.Name)
		}
		switch value := o.Value.(type) {
		case float64:
			n := int64(value)
			if o.Type == "duration" {
				n *= int64(time.Microsecond)
			}
			f.SetInt(n)
		case bool:
			f.SetBool(value)
		case string:
			f.SetString(value)
		}
	}
	return nil
}

type driver struct {
	mu        sync.Mutex
	producers map[string]*vegas.Producer
	consumers map[string]*consumer
	positions sync.Map // of shards, kept by the program
}

func (d *driver) producer(c *command) error {
	given := c.Options
	var wrong error
	p, err := vegas.NewProducer(c.Stream, func(o *vegas.ProducerOptions) {
		o.Logger = slog.New(slog.DiscardHandler)
		given = slices.DeleteFunc(given, func(one option) bool {
			if one.Name == "on_failure" && one.Value == "fail_key" {
				o.OnFailure = vegas.FailKey
			}
			return one.Name == "on_failure"
		})
		wrong = set(o, given)
	})
	if err := errors.Join(err, wrong); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.producers[c.As] = p
	return nil
}

func (d *driver) sending(name string) *vegas.Producer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.producers[name]
}

func (d *driver) receiving(name string) *consumer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.consumers[name]
}

func (d *driver) send(ctx context.Context, c *command) results {
	p := d.sending(c.To)
	all := make([]results, len(c.Records))
	var wg sync.WaitGroup
	for i, r := range c.Records {
		v := &vegas.Record{PartitionKey: r.Key, ExplicitHashKey: r.HashKey}
		if r.Data != nil {
			v.Data = []byte(*r.Data)
		} else {
			v.Data = make([]byte, r.Size)
			for i := range v.Data {
				v.Data[i] = byte(i % 251)
			}
		}
		for _, h := range r.Headers {
			v.Headers = append(v.Headers, vegas.Header{Key: h[0], Value: h[1]})
		}
		wg.Add(1)
		ended := func(at vegas.Receipt, err error) {
			defer wg.Done()
			if all[i] = receipt(at); err != nil {
				all[i] = results{"error": failed(err)}
			}
		}
		if err := p.SendAsync(ctx, v, ended); err != nil {
			ended(vegas.Receipt{}, err)
		}
	}
	if c.Wait != nil && !*c.Wait {
		return nil
	}
	wg.Wait()
	return results{"results": all}
}

func (d *driver) many(ctx context.Context, c *command) (results, error) {
	p := d.sending(c.To)
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		wrong = []results{}
	)
	for n := c.From; n < c.From+c.Count; n++ {
		data := fmt.Sprintf("%s%d", c.Prefix, n)
		if len(data) < c.Size {
			data += strings.Repeat(".", c.Size-len(data))
		}
		wg.Add(1)
		err := p.SendAsync(ctx, &vegas.Record{PartitionKey: fmt.Sprintf("%skey-%d", c.Prefix, n%max(c.Keys, 1)), Data: []byte(data)},
			func(_ vegas.Receipt, err error) {
				defer wg.Done()
				if err != nil {
					mu.Lock()
					wrong = append(wrong, results{"number": n, "error": failed(err)})
					mu.Unlock()
				}
				if c.Tell {
					e := results{"event": "sent", "of": c.To, "number": n}
					if err != nil {
						e["error"] = failed(err)
					}
					say(e)
				}
			})
		if err != nil {
			return nil, err
		}
	}
	if c.Wait != nil && !*c.Wait {
		return nil, nil
	}
	wg.Wait()
	return results{"ok": c.Count - len(wrong), "failed": wrong}, nil
}

// consumer is one that runs.
type consumer struct {
	name      string
	positions *sync.Map
	behave    behaviour
	stop      context.CancelFunc
	free      chan struct{}
	ended     chan struct{}
	err       error // once ended

	mu      sync.Mutex
	failed  map[vegas.Position]int // how often
	kept    map[string]kept
	handled int
}

type kept struct {
	shard *vegas.Shard
	at    vegas.Position
}

var errHandler = errors.New("the handler failed")

func (d *driver) consumer(c *command) (results, error) {
	k := &consumer{
		name: c.As, behave: c.Behave, positions: &d.positions, free: make(chan struct{}), ended: make(chan struct{}),
		failed: map[vegas.Position]int{}, kept: map[string]kept{},
	}
	batch, manual := false, false
	var wrong error
	made, err := vegas.NewConsumer(c.Stream, c.Group, func(o *vegas.ConsumerOptions) {
		o.Logger = slog.New(slog.DiscardHandler)
		var plain []option
		for _, one := range c.Options {
			switch one.Name {
			case "batch":
				batch = one.Value == true
			case "checkpoint":
				manual = one.Value == "manual"
			case "window": // of the bridge
			case "external":
				o.Resume = func(_ context.Context, s *vegas.Shard) (vegas.Position, error) {
					say(results{"event": "start", "of": c.As, "shard": s.ID(), "possession": s.Possession()})
					if at, ok := d.positions.Load(s.ID()); ok {
						return at.(vegas.Position), nil
					}
					return s.Start(), nil
				}
			case "on_error":
				o.OnError = map[any]vegas.OnError{"hold": vegas.Hold, "skip": vegas.Skip, "stop": vegas.Stop}[one.Value]
			case "start":
				if one.Value == "latest" {
					o.Start = vegas.Latest()
				}
			case "dead_letter":
				o.DeadLetter = func(_ context.Context, r *vegas.Record, err error) error {
					k.tell(r, results{"event": "dead", "text": err.Error()})
					return nil
				}
			default:
				plain = append(plain, one)
			}
		}
		wrong = set(o, plain)
	})
	if err := errors.Join(err, wrong); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	d.mu.Lock()
	d.consumers[c.As] = k
	d.mu.Unlock()
	go func() {
		defer close(k.ended)
		switch {
		case batch:
			k.err = made.RunBatches(ctx, func(ctx context.Context, b *vegas.Batch) error {
				for _, r := range b.Records {
					k.tell(r, results{"batch": len(b.Records)})
				}
				for _, r := range b.Records {
					if err := k.act(ctx, nil, r); err != nil {
						return err
					}
				}
				return nil
			})
		case manual:
			k.err = made.RunShards(ctx, func(ctx context.Context, s *vegas.Shard) error {
				for b, err := range s.Batches() {
					if err != nil {
						return err
					}
					for _, r := range b.Records {
						k.tell(r, nil)
						if err := k.act(ctx, s, r); err != nil {
							return err
						}
					}
				}
				return nil
			})
		default:
			k.err = made.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
				k.tell(r, nil)
				return k.act(ctx, nil, r)
			})
		}
		if k.err != nil {
			log.Print(k.err) // as a program does
		}
	}()
	return nil, nil
}

// tell tells of a record, which the library does not count the attempts of.
func (k *consumer) tell(r *vegas.Record, more results) {
	k.mu.Lock()
	attempt := k.failed[r.Position] + 1
	k.mu.Unlock()
	headers := [][2]string{}
	for _, h := range r.Headers {
		headers = append(headers, [2]string{h.Key, h.Value})
	}
	e := results{
		"event": "record", "of": k.name, "key": r.PartitionKey, "shard": r.Shard, "sequence": r.Position.Sequence, "sub": r.Position.SubSequence,
		"attempt": attempt, "aggregated": r.Aggregated, "hash_key": r.ExplicitHashKey, "headers": headers,
	}
	if len(r.Data) <= 1024 && !slices.ContainsFunc(r.Data, func(c byte) bool { return c < ' ' || c > '~' }) {
		e["data"] = string(r.Data)
	} else {
		e["size"], e["crc"] = len(r.Data), crc32.ChecksumIEEE(r.Data)
	}
	maps.Copy(e, more)
	say(e)
}

func (k *consumer) act(ctx context.Context, s *vegas.Shard, r *vegas.Record) error {
	text, b := strings.TrimRight(string(r.Data[:min(len(r.Data), 1024)]), "."), k.behave
	begins := func(with *string) bool { return with != nil && strings.HasPrefix(text, *with) }
	k.mu.Lock()
	if b.Keep {
		k.kept[text] = kept{s, r.Position}
	}
	attempt := k.failed[r.Position] + 1
	k.mu.Unlock()
	if begins(b.Die) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	if begins(b.Hold) {
		<-k.free
	}
	if b.Pause > 0 {
		select {
		case <-time.After(time.Duration(b.Pause) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if begins(b.Fail) && (b.Times == 0 || attempt <= b.Times) {
		k.mu.Lock()
		k.failed[r.Position]++
		k.mu.Unlock()
		return fmt.Errorf("cannot handle %s: %w", text, errHandler)
	}
	if b.CheckpointEvery > 0 {
		k.mu.Lock()
		k.handled++
		now := k.handled%b.CheckpointEvery == 0
		k.mu.Unlock()
		if now {
			if err := s.Checkpoint(ctx, r.Position); err != nil {
				return err
			}
		}
	}
	k.positions.Store(r.Shard, r.Position)
	return nil
}

func (c *command) limit(otherwise time.Duration) (context.Context, context.CancelFunc) {
	if c.Limit != nil {
		otherwise = time.Duration(*c.Limit * float64(time.Millisecond))
	}
	return context.WithTimeout(context.Background(), otherwise)
}

func (d *driver) do(ctx context.Context, c *command) (results, error) {
	switch c.Do {
	case "producer":
		return nil, d.producer(c)
	case "consumer":
		return d.consumer(c)
	case "send":
		return d.send(ctx, c), nil
	case "many":
		return d.many(ctx, c)
	case "misuse":
		_, err := d.sending(c.To).SendRecord(ctx, &vegas.Record{PartitionKey: "\x80key", Data: []byte("x")})
		return nil, err
	case "release":
		close(d.receiving(c.Of).free)
		return nil, nil
	case "checkpoint":
		k := d.receiving(c.Of)
		k.mu.Lock()
		at := k.kept[c.Data]
		k.mu.Unlock()
		return nil, at.shard.Checkpoint(ctx, at.at)
	case "wait":
		k := d.receiving(c.Of)
		ctx, cancel := c.limit(time.Hour)
		defer cancel()
		select {
		case <-k.ended:
			return results{"ended": true}, k.err
		case <-ctx.Done():
			return results{"ended": false}, nil
		}
	case "flush":
		ctx, cancel := c.limit(time.Hour)
		defer cancel()
		return nil, d.sending(c.Of).Flush(ctx)
	case "close":
		if k := d.receiving(c.Of); k != nil {
			k.stop()
			<-k.ended
			return nil, nil
		}
		ctx, cancel := c.limit(10 * time.Second)
		defer cancel()
		return nil, d.sending(c.Of).Close(ctx)
	case "check":
		return nil, d.sending(c.Of).Check(ctx)
	}
	return nil, fmt.Errorf("there is no verb %q", c.Do)
}

// closeAll is what a program does at its end.
func (d *driver) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.consumers {
		k.stop()
	}
	for _, k := range d.consumers {
		<-k.ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, p := range d.producers {
		if err := p.Close(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func main() {
	d := &driver{producers: map[string]*vegas.Producer{}, consumers: map[string]*consumer{}}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		d.closeAll()
		os.Exit(130)
	}()
	source := os.Stdin
	if name := os.Getenv("VEGAS_SCENARIO_COMMANDS"); name != "" {
		var err error
		if source, err = os.Open(name); err != nil {
			panic(err)
		}
	}
	lines := bufio.NewReader(source)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			select {} // nobody commands any more
		}
		c := new(command)
		if err := json.Unmarshal(line, c); err != nil {
			panic(err)
		}
		if c.Do == "exit" {
			d.closeAll()
			return
		}
		go func() {
			r, err := d.do(context.Background(), c)
			if r == nil {
				r = results{}
			}
			if err != nil {
				r = results{"error": failed(err)}
			}
			r["id"] = c.ID
			say(r)
		}()
	}
}
