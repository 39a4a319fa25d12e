//go:build unix

package vegas_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/internal/filesys"
)

var durableNumbers = flag.Bool("producer.numbers", false, "measure, for minutes, what a durable producer costs, and print tables")

// TestDurableNumbers lets what a durable producer is made of send records of 1 KB,
// in turns, so that what the machine does besides strikes all of them. The ratios
// of a round are taken in that round, and the table shows the middle of all.
//
// What those who send have got through in their turn is one figure; that the
// stream has all of it takes longer, where they are faster than it, and what can go
// on for ever is the other figure.
//
//	go test -count=1 -run TestDurableNumbers -v . -args -producer.numbers
func TestDurableNumbers(t *testing.T) {
	rounds, turns, turn, warm, crowds := 1, 1, 20*time.Millisecond, time.Millisecond, []int{16}
	if *durableNumbers {
		rounds, turns, turn, warm, crowds = 5, 6, 200*time.Millisecond, 2*time.Second, []int{1, 16, 64, 256, 500}
	}
	for _, writers := range crowds {
		rivals := durableRivals(t)
		for i := range rivals { // above all, how much the shards take is learnt
			rivals[i].run(t, writers, warm)
		}
		measured := make([][]pace, len(rivals)) // by rival and round
		for range rounds {
			sum := make([]pace, len(rivals))
			for n := range turns {
				for i := range rivals {
					i = (i + n) % len(rivals)
					sum[i].add(rivals[i].run(t, writers, turn))
				}
			}
			for i := range rivals {
				measured[i] = append(measured[i], sum[i])
			}
		}
		for _, r := range rivals {
			r.close()
		}
		t.Logf("%d writers, medians of %d\n%s", writers, rounds, durableTable(rivals, measured))
	}
}

// The rivals, in the order of the table.
const (
	bareLoop = iota
	theLog
	sendAway
	sendDurable
	sendBeside
	sendMemory
)

// durableTable prints how fast each rival was, and what it cost.
func durableTable(rivals []rival, measured [][]pace) string {
	var text strings.Builder
	middle := func(f func(round int) float64) float64 {
		var all []float64
		for round := range measured[0] {
			all = append(all, f(round))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	beside := func(of, to int) float64 {
		return middle(func(i int) float64 { return measured[of][i].rate() / measured[to][i].rate() })
	}
	forEver := func(of, to int) float64 {
		return middle(func(i int) float64 { return measured[of][i].lasting() / measured[to][i].lasting() })
	}
	for i, r := range rivals {
		fmt.Fprintf(&text, "%-28s %9.0f records/s, %.2f of the bare loop, for ever %9.0f, %.2f; %6.1f us of CPU a record\n", r.name,
			middle(func(round int) float64 { return measured[i][round].rate() }), beside(i, bareLoop),
			middle(func(round int) float64 { return measured[i][round].lasting() }), forEver(i, bareLoop),
			middle(func(round int) float64 { return measured[i][round].each() }))
	}
	fmt.Fprintf(&text, "Send, durable, of the bare loop with Send in memory beside it: %.2f, for ever %.2f\n",
		beside(sendDurable, sendBeside), forEver(sendDurable, sendBeside))
	fmt.Fprintf(&text, "CPU of Send, durable: %.2f of Send in memory and the log together, %.2f of the bare loop with Send beside it",
		middle(func(i int) float64 {
			return measured[sendDurable][i].each() / (measured[sendMemory][i].each() + measured[theLog][i].each())
		}),
		middle(func(i int) float64 { return measured[sendDurable][i].each() / measured[sendBeside][i].each() }))
	return text.String()
}

// pace is what was sent in some time.
type pace struct {
	records int
	wall    time.Duration
	settle  time.Duration // and then, until the stream had it
	cpu     time.Duration
}

func (p *pace) add(o pace) {
	p.records += o.records
	p.wall += o.wall
	p.settle += o.settle
	p.cpu += o.cpu
}

func (p pace) rate() float64    { return float64(p.records) / p.wall.Seconds() }
func (p pace) lasting() float64 { return float64(p.records) / (p.wall + p.settle).Seconds() }
func (p pace) each() float64    { return float64(p.cpu.Microseconds()) / float64(p.records) }

// rival is one that takes records.
type rival struct {
	name   string
	send   func(*vegas.Record) error
	settle func() // waits until nothing of what was sent is under way
	close  func()
}

// run lets writers send for some time, each of them one record after the other.
// Its CPU is the process's until all has settled.
func (r *rival) run(t *testing.T, writers int, d time.Duration) pace {
	rs := benchRecords(writers, 1000)
	counts := make([]int, writers)
	began := spent()
	end := began.at.Add(d)
	var all sync.WaitGroup
	for i, record := range rs {
		all.Go(func() {
			for time.Now().Before(end) {
				if err := r.send(record); err != nil {
					t.Errorf("%s: %v", r.name, err)
					return
				}
				counts[i]++
			}
		})
	}
	all.Wait()
	p := pace{wall: time.Since(began.at)}
	r.settle()
	p.settle = time.Since(began.at) - p.wall
	p.cpu = spent().cpu - began.cpu
	for _, n := range counts {
		p.records += n
	}
	return p
}

func durableRivals(t *testing.T) []rival {
	ctx := t.Context()
	roomy := func(o *vegas.ProducerOptions) { o.Durable, o.DurableBytes = t.TempDir(), 1<<40 }
	cfg := remote(t, 8)
	away := cfg
	away.BaseEndpoint = aws.String("http://127.0.0.1:1") // nobody listens there
	ended, cancel := context.WithCancel(ctx)
	cancel()
	producer := func(name string, cfg aws.Config, present bool, opts ...func(*vegas.ProducerOptions)) rival {
		p, err := vegas.NewProducer("orders", append(opts, quietly, func(o *vegas.ProducerOptions) { o.AWS = cfg })...)
		if err != nil {
			t.Fatal(err)
		}
		r := rival{name: name, send: func(r *vegas.Record) error { return p.Send(ctx, r.PartitionKey, r.Data) }}
		if present {
			r.settle = func() {
				if err := p.Flush(ctx); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			r.close = func() { p.Close(ctx) }
		} else {
			r.settle = func() {}
			r.close = func() { p.Close(ended) }
		}
		if err := r.send(&vegas.Record{PartitionKey: "warm"}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		return r
	}
	return []rival{
		bareLoop:    newBareLoop(t),
		theLog:      newDrained(t),
		sendBeside:  newBeside(t, cfg),
		sendAway:    producer("Send, durable, stream away", away, false, roomy),
		sendDurable: producer("Send, durable", cfg, true, roomy),
		sendMemory:  producer("Send, in memory", cfg, true),
	}
}

// newBeside is the least that keeps records on a disk and sends them: the bare loop,
// and once it has a record Send in memory takes it too. What is slower than that is
// the durable producer's own.
func newBeside(t *testing.T, cfg aws.Config) rival {
	p, err := vegas.NewProducer("orders", quietly, func(o *vegas.ProducerOptions) { o.AWS = cfg })
	if err != nil {
		t.Fatal(err)
	}
	loop := newBareLoop(t)
	return rival{
		name: "bare loop beside Send",
		send: func(r *vegas.Record) error {
			if err := loop.send(r); err != nil {
				return err
			}
			return p.SendAsync(t.Context(), r, nil)
		},
		settle: func() {
			if err := p.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		},
		close: func() { loop.close(); p.Close(t.Context()) },
	}
}

// newDrained is the durable buffer alone. What comes out of it is acknowledged at
// once.
func newDrained(t *testing.T) rival {
	l := disk.New(t.TempDir())
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken := make(chan struct{}, 1)
	go func() {
		var seqs []uint64
		for {
			items, err := l.Next(context.Background(), 1<<20)
			if err != nil {
				return
			}
			seqs = seqs[:0]
			for i := range items {
				seqs = append(seqs, items[i].Seq)
			}
			l.Ack(seqs)
			select {
			case taken <- struct{}{}:
			default:
			}
		}
	}()
	return rival{
		name: "the log",
		send: func(r *vegas.Record) error {
			seq, err := l.Append(t.Context(), []*vegas.Record{r}, nil)
			if err != nil {
				return err
			}
			return l.Sync(t.Context(), seq)
		},
		settle: func() {
			for l.Stats().Items > 0 {
				<-taken
			}
		},
		close: func() { l.Close() },
	}
}

// bare does the writes and syncs of the log and nothing else: one goroutine
// writes what has gathered and syncs it. Like the log it lets those who can run
// add to a group before.
type bare struct {
	mu    sync.Mutex
	group *bareGroup
	woken chan struct{}
}

type bareGroup struct {
	buf  []byte
	done chan struct{}
	err  error
}

func newBareLoop(t *testing.T) rival {
	f, err := filesys.OS{}.Open(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	b := &bare{woken: make(chan struct{}, 1)}
	go b.run(f)
	return rival{
		name: "bare loop", send: b.append, settle: func() {},
		close: func() { close(b.woken) },
	}
}

func (b *bare) run(f filesys.File) {
	defer f.Close()
	at := int64(0)
	for range b.woken {
		for had := -1; ; runtime.Gosched() {
			b.mu.Lock()
			has := 0
			if b.group != nil {
				has = len(b.group.buf)
			}
			b.mu.Unlock()
			if has == had {
				break
			}
			had = has
		}
		b.mu.Lock()
		g := b.group
		b.group = nil
		b.mu.Unlock()
		if g == nil {
			continue
		}
		_, g.err = f.WriteAt(g.buf, at)
		if g.err == nil {
			g.err = f.Sync()
		}
		at += int64(len(g.buf))
		close(g.done)
	}
}

func (b *bare) append(r *vegas.Record) error {
	b.mu.Lock()
	g := b.group
	if g == nil {
		g = &bareGroup{done: make(chan struct{})}
		b.group = g
	}
	g.buf = append(g.buf, r.Data...)
	b.mu.Unlock()
	select {
	case b.woken <- struct{}{}:
	default:
	}
	<-g.done
	return g.err
}

// TestNoDurableCostsNothing: without a durable buffer what a record takes comes
// from pools; allocated are requests and answers, which many records share.
func TestNoDurableCostsNothing(t *testing.T) {
	p, err := vegas.NewProducer("orders", quietly, func(o *vegas.ProducerOptions) { o.AWS = remote(t, 4) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	rs := benchRecords(10000, 100)
	send := func() {
		for _, r := range rs {
			if err := p.SendAsync(t.Context(), r, func(vegas.Receipt, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	each := testing.AllocsPerRun(5, send) / float64(len(rs))
	t.Logf("%.2f allocations a record", each)
	if each >= 1 {
		t.Errorf("%.2f allocations a record, want less than one", each)
	}
}
