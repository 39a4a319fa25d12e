//go:build unix

package fleetnumbers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Options of a fleet of processes.
type Options struct {
	Store   string        // file:DIR or dynamodb:ENDPOINT
	Lease   time.Duration // 0: the default
	Rounds  int           // so many workers are killed, or stopped
	Workers int           // at a time
	Shards  int           // a multiple of Workers
}

// Result is what came of it.
type Result struct {
	// Silent is, for each worker that was killed or stopped, when the last of its
	// shards flowed again.
	Silent   Times
	Repeated int // deliveries beyond a record's first
	Missing  int // records that were never delivered
	Lost     int // leases that living workers could not prove
}

const (
	trickleEvery = 50 * time.Millisecond
	// patience is for what a machine may take that is busy with other things.
	patience = 60 * time.Second
)

// processes is a fleet of processes.
type processes struct {
	t       testing.TB
	o       Options
	stream  *stream
	ledger  *ledger
	made    int
	workers []*process // that run, the oldest first
	still   func()     // ends the trickle
}

func newProcesses(t testing.TB, o Options) *processes {
	p := &processes{t: t, o: o, stream: serve(t, o.Shards), ledger: newLedger()}
	for range o.Workers {
		p.start()
	}
	p.still = p.stream.trickle(t, trickleEvery)
	return p
}

// process is a worker.
type process struct {
	name string
	cmd  *exec.Cmd
	in   interface{ Close() error }
	gone chan struct{} // closed when it has ended and all that it said is heard
	err  error
	errs bytes.Buffer
}

// start starts a worker.
func (p *processes) start() {
	p.made++
	w := &process{name: fmt.Sprint("worker-", p.made), gone: make(chan struct{})}
	j := job{Do: "work", Endpoint: p.stream.endpoint, Store: p.o.Store, Name: w.name, Lease: p.o.Lease, Handle: 5 * time.Millisecond}
	w.cmd = command(j)
	in, err := w.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	w.in, w.cmd.Stderr = in, &w.errs
	if err := w.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(w.gone)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var s said
			if json.Unmarshal(lines.Bytes(), &s) != nil {
				continue // cut off by the kill
			}
			switch {
			case s.Delivery != nil:
				p.ledger.enter(*s.Delivery)
			case s.Lost:
				p.ledger.lose()
			case s.Error != "":
				p.t.Errorf("%s: %s", w.name, s.Error)
			}
		}
		w.err = w.cmd.Wait()
	}()
	p.t.Cleanup(func() { _ = w.cmd.Process.Kill(); <-w.gone })
	p.workers = append(p.workers, w)
}

// command is a process of this binary that does a job.
func command(j job) *exec.Cmd {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // it has only texts and numbers
	}
	cmd := exec.Command(os.Args[0]) //nolint:noctx // it ends with its standard input
	cmd.Env = append(os.Environ(), childJob+"="+string(text))
	return cmd
}

// settle waits until the shards are evenly spread over the workers that run.
func (p *processes) settle() {
	p.t.Helper()
	ok := p.ledger.until(patience, func() bool {
		owned := p.ledger.owned()
		for _, w := range p.workers {
			if owned[w.name] != p.o.Shards/p.o.Workers {
				return false
			}
		}
		return true
	})
	if !ok {
		p.t.Fatalf("not balanced after %v: %v", patience, p.ledger.owned())
	}
}

// round ends one worker by end, and waits until each of its shards is read by
// another one. The time is counted from when since says.
func (p *processes) round(end func(*process), since func(h *history, w *process, ended time.Time) time.Time) time.Duration {
	p.t.Helper()
	p.settle()
	// At any moment of its second between two heartbeats.
	pause(time.Duration(rand.Int64N(int64(time.Second))))
	i := rand.IntN(len(p.workers))
	w := p.workers[i]
	p.workers = append(p.workers[:i:i], p.workers[i+1:]...)
	shards := p.ledger.of(w.name)
	at := time.Now()
	end(w)
	silent := map[string]time.Duration{}
	ok := p.ledger.until(patience, func() bool {
		for _, id := range shards {
			h := p.ledger.shards[id]
			if d, ok := h.next(w.name, at); ok && silent[id] == 0 {
				silent[id] = max(1, d.Began.Sub(since(h, w, at)))
			}
		}
		return len(silent) == len(shards)
	})
	if !ok {
		p.t.Fatalf("%s: %d of %d shards flow after %v", w.name, len(silent), len(shards), patience)
	}
	p.start()
	longest := time.Duration(0)
	for _, d := range silent {
		longest = max(longest, d)
	}
	return longest
}

// close lets what was sent arrive, and ends the fleet.
func (p *processes) close() (r Result) {
	p.still()
	p.ledger.until(patience, func() bool { return p.ledger.missing(p.stream.sent) == 0 })
	for _, w := range p.workers {
		_ = w.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, w := range p.workers {
		<-w.gone
		if w.err != nil {
			p.t.Errorf("%s: %v: %s", w.name, w.err, &w.errs)
		}
	}
	r.Repeated = p.ledger.repeated()
	p.ledger.mu.Lock()
	defer p.ledger.mu.Unlock()
	r.Missing, r.Lost = p.ledger.missing(p.stream.sent), p.ledger.lost
	return r
}

// Kills kills workers as kill -9 does, one after the other, each replaced when
// its shards flow again. Counted from the kill.
func Kills(t testing.TB, o Options) Result {
	t.Helper()
	p := newProcesses(t, o)
	var silent Times
	for range o.Rounds {
		silent = append(silent, p.round(func(w *process) { _ = w.cmd.Process.Kill() }, func(_ *history, _ *process, ended time.Time) time.Time { return ended }))
	}
	r := p.close()
	r.Silent = silent
	return r
}

// Stops stops workers in good order. Counted, for each shard, from when the last
// handler returned, or from the signal where no handler ran any more.
func Stops(t testing.TB, o Options) Result {
	t.Helper()
	p := newProcesses(t, o)
	var silent Times
	for range o.Rounds {
		var stopped *process
		silent = append(silent, p.round(
			func(w *process) { stopped = w; _ = w.cmd.Process.Signal(syscall.SIGTERM) },
			func(h *history, w *process, ended time.Time) time.Time {
				if last := h.last(w.name); last.After(ended) {
					return last
				}
				return ended
			}))
		<-stopped.gone
		if stopped.err != nil {
			t.Errorf("%s: %v: %s", stopped.name, stopped.err, &stopped.errs)
		}
	}
	r := p.close()
	r.Silent = silent
	return r
}
