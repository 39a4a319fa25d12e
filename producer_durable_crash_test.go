package vegas_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
)

var everyStep = flag.Bool("producer.everystep", false, "let a durable producer's machine stop in every way at every step of its disk, instead of in one")

// A machine with a durable producer stops at every step that its disk makes, in
// the middle of a bad hour. The power comes back, what the disk remembers is
// found, and another producer goes on.
func TestAMachineThatStopsAtAnyStepLosesNothing(t *testing.T) {
	var steps int
	bubble(t, func(t *testing.T) {
		var w crashing
		steps = w.run(t, 0, 0)
		w.audit(t.Errorf)
	})
	if t.Logf("%d steps", steps); steps < 100 {
		t.Fatal("the workload has become too small")
	}
	ways := []crashfs.How{crashfs.Before, crashfs.Half, crashfs.After}
	for k := 1; k <= steps; k++ {
		for i, how := range ways {
			if !*everyStep && k%len(ways) != i {
				continue
			}
			failed := false
			bubble(t, func(t *testing.T) {
				var w crashing
				w.run(t, k, how)
				w.audit(t.Errorf)
				failed = t.Failed()
			})
			if failed {
				t.Fatalf("the machine stopped at step %d, %v", k, how)
			}
		}
	}
}

// The ring finds what it is for.
func TestTheCrashRingCatchesPlantedBugs(t *testing.T) {
	for name, plant := range map[string]func(*crashing){
		"sent before synced": func(w *crashing) {
			w.fs = func(fs *crashfs.FS) filesys.FS { return &hastyFS{fs} }
			w.wrap = func(b buffer.Buffer, fs filesys.FS) buffer.Buffer { return &lateSync{b, fs.(*hastyFS)} }
		},
		"acknowledged before stored": func(w *crashing) {
			w.wrap = func(b buffer.Buffer, _ filesys.FS) buffer.Buffer { return &hastyAck{b} }
		},
		"counter reused": func(w *crashing) {
			w.wrap = func(b buffer.Buffer, _ filesys.FS) buffer.Buffer { return &recount{Buffer: b} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			for k := 10; k < 200; k++ {
				found := ""
				bubble(t, func(t *testing.T) {
					var w crashing
					plant(&w)
					w.run(t, k, crashfs.Before)
					w.audit(func(format string, args ...any) { found = fmt.Sprintf(format, args...) })
				})
				if found != "" {
					t.Logf("step %d: %s", k, found)
					return
				}
			}
			t.Error("not caught")
		})
	}
}

// crashing is a stream and what was sent to it.
type crashing struct {
	// Planted bugs.
	fs   func(*crashfs.FS) filesys.FS
	wrap func(buffer.Buffer, filesys.FS) buffer.Buffer

	srv *localkinesis.Server

	mu   sync.Mutex
	next map[string]int // numbers of records, by key
	safe map[string]map[int]bool
	over []string // what was found to be wrong on the way

	contents []stored
}

// run has a machine stop at a step, 0: at its end, starts the next one, and tells
// how many steps the first made.
func (w *crashing) run(t *testing.T, step int, how crashfs.How) (steps int) {
	w.next, w.safe = map[string]int{}, map[string]map[int]bool{}
	w.srv = localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 2} })
	for _, f := range []localkinesis.Fault{
		{Do: localkinesis.DropAnswer, After: 2, Count: 2},
		{Do: localkinesis.Throttle, After: 6, Count: 3},
		{Do: localkinesis.StoreLate, After: 12, Count: 1, Requests: 2},
		{Do: localkinesis.FailEntries, After: 14, Count: 3, Entries: []int{0}},
		{Do: localkinesis.DropAnswer, After: 20, Rate: 0.3},
	} {
		f.Op = "PutRecords"
		w.srv.Inject(f)
	}
	fs := crashfs.New("/")
	if step > 0 {
		fs.StopAt(step, how)
	}
	w.live(t, fs, 30)
	steps = fs.Steps()
	random := rand.New(rand.NewPCG(uint64(step), uint64(how)))
	found := fs.Crash(random)
	w.remembers(t, found.Kill())
	if step%2 == 0 { // and once more, early
		found.StopAt(1+random.IntN(40), how)
		w.live(t, found, 10)
		found = found.Crash(random)
	}
	w.live(t, found, 10)
	w.contents = contents(t, w.srv, "orders")
	return steps
}

// live is a process that sends until its machine stops, or for n rounds.
func (w *crashing) live(t *testing.T, fs *crashfs.FS, rounds int) {
	var on filesys.FS = fs
	if w.fs != nil {
		on = w.fs(fs)
	}
	var b buffer.Buffer = disk.New("/buffer", func(o *disk.Options) {
		o.FS, o.Label, o.Logger, o.SegmentBytes = on, "orders", discard, 4<<10
	})
	if w.wrap != nil {
		b = w.wrap(b, on)
	}
	net := &network{}
	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger, o.Buffer = w.srv.AWS(net.cut), discard, b
		o.RequestTimeout = 2 * time.Second
	})
	if err != nil {
		if _, stopped := fs.Stopped(); !stopped {
			t.Errorf("start: %v", err)
		}
		return
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range rounds {
				if _, stopped := fs.Stopped(); stopped {
					return
				}
				var rs []*vegas.Record
				for i := range 1 + random.IntN(3) {
					key := fmt.Sprint("k", g, "-", i%2)
					w.mu.Lock()
					w.next[key]++
					rs = append(rs, &vegas.Record{PartitionKey: key, Data: fmt.Appendf(nil, "%d %100s", w.next[key], "")})
					w.mu.Unlock()
				}
				_, err := p.SendAll(t.Context(), rs)
				w.sent(rs, err)
				<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if _, stopped := fs.Stopped(); stopped {
		net.stop()
		p.Close(canceled)
		return
	}
	if err := p.Close(t.Context()); err != nil {
		if _, stopped := fs.Stopped(); !stopped {
			t.Errorf("close: %v", err)
		}
	}
}

// sent notes what is safe.
func (w *crashing) sent(rs []*vegas.Record, err error) {
	var errs vegas.SendErrors
	errors.As(err, &errs)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range rs {
		if errs != nil && errs[i] != nil {
			continue
		}
		if w.safe[r.PartitionKey] == nil {
			w.safe[r.PartitionKey] = map[int]bool{}
		}
		w.safe[r.PartitionKey][number(r.Data)] = true
	}
}

func number(data []byte) (n int) {
	fmt.Sscan(string(data), &n)
	return n
}

// remembers checks that the disk knows of every number that was sent: nothing is
// sent before it is durable.
func (w *crashing) remembers(t *testing.T, fs *crashfs.FS) {
	b := disk.New("/buffer", func(o *disk.Options) { o.FS, o.Logger = fs, discard })
	if err := b.Open(t.Context()); err != nil {
		t.Errorf("open what the disk remembers: %v", err)
		return
	}
	defer b.Close()
	next, err := b.Append(t.Context(), []*record.Record{{PartitionKey: "probe"}}, nil)
	if err != nil {
		t.Error(err)
	}
	for _, s := range contents(t, w.srv, "orders") {
		var n uint64
		fmt.Sscan(s.id[strings.Index(s.id, "/")+1:], &n)
		if n >= next {
			w.over = append(w.over, fmt.Sprintf("the stream has number %d, and the disk goes on at %d", n, next))
			return
		}
	}
}

// audit reads the stream as consumers do, by marks, and compares.
func (w *crashing) audit(errorf func(string, ...any)) {
	for _, s := range w.over {
		errorf("%s", s)
	}
	marks := map[string]uint64{}
	got := map[string][]int{}
	for _, s := range w.contents {
		producer, counter, _ := strings.Cut(s.id, "/")
		var n uint64
		fmt.Sscan(counter, &n)
		if m := s.shard + producer; n > marks[m] {
			marks[m] = n
			got[s.key] = append(got[s.key], number(s.data))
		}
	}
	for key, numbers := range got {
		if !slices.IsSorted(numbers) {
			errorf("key %s is out of order: %v", key, numbers)
		}
		if len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
			errorf("key %s has duplicates: %v", key, numbers)
		}
	}
	for key, safe := range w.safe {
		for n := range safe {
			if !slices.Contains(got[key], n) {
				errorf("record %d of key %s was safe and is lost", n, key)
			}
		}
	}
}

// network is a process's, which ends with it.
type network struct {
	mu      sync.Mutex
	stopped bool
	conns   []net.Conn
}

func (n *network) cut(tr *http.Transport) {
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.stopped {
			c.Close()
			return nil, net.ErrClosed
		}
		n.conns = append(n.conns, c)
		return c, nil
	}
}

func (n *network) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stopped = true
	for _, c := range n.conns {
		c.Close()
	}
}

// hastyFS says that records are synced before they are.
type hastyFS struct{ *crashfs.FS }

// haste is how long before.
const haste = 200 * time.Millisecond

func (f *hastyFS) Open(name string, flag int, mode fs.FileMode) (filesys.File, error) {
	file, err := f.FS.Open(name, flag, mode)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	return &hastyFile{file}, nil
}

type hastyFile struct{ filesys.File }

func (f *hastyFile) Sync() error {
	time.AfterFunc(haste, func() { _ = f.File.Sync() })
	return nil
}

// lateSync tells callers the truth nevertheless: only sending is hasty.
type lateSync struct {
	buffer.Buffer
	fs *hastyFS
}

func (b *lateSync) Sync(ctx context.Context, seq uint64) error {
	err := b.Buffer.Sync(ctx, seq)
	if ctx.Err() == nil {
		<-time.After(haste + 1)
		if _, stopped := b.fs.Stopped(); stopped {
			return buffer.ErrUnknown
		}
	}
	return err
}

// hastyAck acknowledges what is given out.
type hastyAck struct{ buffer.Buffer }

func (b *hastyAck) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	items, err := b.Buffer.Next(ctx, bytes)
	for i := range items {
		b.Ack([]uint64{items[i].Seq})
	}
	return items, err
}

// recount counts from 1 at every opening, under the same identity.
type recount struct {
	buffer.Buffer
	mu   sync.Mutex
	seqs []uint64 // of the numbers from 1
}

func (b *recount) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	items, err := b.Buffer.Next(ctx, bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range items {
		b.seqs = append(b.seqs, items[i].Seq)
		items[i].Producer, items[i].Seq = [16]byte{1}, uint64(len(b.seqs))
	}
	return items, err
}

func (b *recount) Ack(seqs []uint64) {
	var theirs []uint64
	b.mu.Lock()
	for _, n := range seqs {
		theirs = append(theirs, b.seqs[n-1])
	}
	b.mu.Unlock()
	b.Buffer.Ack(theirs)
}

var discard = slog.New(slog.DiscardHandler)
