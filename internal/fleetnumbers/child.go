//go:build unix

package fleetnumbers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/dynamodb"
	"github.com/libvegas/vegas/store/file"
)

// childJob is the variable that makes a test's binary one of the processes that
// are measured.
const childJob = "VEGAS_FLEET_NUMBERS_JOB"

// job is what such a process is to do.
type job struct {
	Do       string // work, or read
	Endpoint string
	Store    string // see openStore
	Name     string
	Lease    time.Duration // 0: the default
	Handle   time.Duration // what a handler takes
	Shards   int           // read: as soon as records of so many came
	Records  int           // read: and so many records in all
	Linger   time.Duration // read: goes on for so long
}

// Main is the TestMain of a package that measures: its binary is also what is
// measured. after runs when the tests have ended.
func Main(m *testing.M, after func()) {
	if text := os.Getenv(childJob); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if after != nil {
		after()
	}
	os.Exit(code)
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { // the parent ends, however that may be
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	rows, err := openStore(j.Store)
	if err != nil {
		return err
	}
	if j.Do == "read" {
		return j.read(ctx, rows)
	}
	return j.work(ctx, rows)
}

// openStore makes the store that a text names: file:DIR or dynamodb:ENDPOINT.
func openStore(text string) (store.Store, error) {
	kind, where, _ := strings.Cut(text, ":")
	switch kind {
	case "file":
		return file.New(where), nil
	case "dynamodb":
		return dynamodb.New(func(o *dynamodb.Options) {
			o.AWS, o.Logger = awsOf(where), slog.New(slog.DiscardHandler)
		}), nil
	}
	return nil, fmt.Errorf("store %q: want file:DIR or dynamodb:ENDPOINT", text)
}

// said is a line of a worker.
type said struct {
	Delivery *delivery
	Lost     bool   // a lease
	Error    string // that ended it
}

// work consumes until it is told to stop, and tells what it handled.
func (j *job) work(ctx context.Context, rows store.Store) error {
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	tell := func(s said) {
		mu.Lock()
		defer mu.Unlock()
		if err := out.Encode(s); err != nil {
			os.Exit(1)
		}
	}
	c, err := j.consumer(rows, func(o *vegas.ConsumerOptions) { o.Observer = losses{lost: func() { tell(said{Lost: true}) }} })
	if err != nil {
		return err
	}
	err = c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
		began := time.Now()
		pause(j.Handle)
		d := handled(j.Name, b, began, time.Now())
		tell(said{Delivery: &d})
		return nil
	})
	if err != nil {
		tell(said{Error: err.Error()})
	}
	return errors.Join(err, rows.Close())
}

func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

func (j *job) consumer(rows store.Store, more func(*vegas.ConsumerOptions)) (*vegas.Consumer, error) {
	return vegas.NewConsumer(streamName, "numbers", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Worker, o.Logger = awsOf(j.Endpoint), rows, j.Name, slog.New(slog.DiscardHandler)
		if j.Lease > 0 {
			o.LeaseTime = j.Lease
		}
		more(o)
	})
}

// losses hears of leases that could not be proven.
type losses struct {
	observe.Nop
	lost func()
}

// Event is observe.Observer's.
func (l losses) Event(e observe.Event) {
	if e.Kind == observe.Lost {
		l.lost()
	}
}

// reading is what a child that reads tells.
type reading struct {
	Took     time.Duration // from Run until everything was read
	CPU      time.Duration // that this took
	Resident int64         // bytes, the most
}

// read consumes as the first worker of a group, until it has seen all.
func (j *job) read(ctx context.Context, rows store.Store) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c, err := j.consumer(rows, func(*vegas.ConsumerOptions) {})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	shards := map[string]bool{}
	records := 0
	began := time.Now()
	cpu := spent()
	all := make(chan reading, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			before := len(shards) >= j.Shards && records >= j.Records
			shards[b.Records[0].Shard] = true
			records += len(b.Records)
			if !before && len(shards) >= j.Shards && records >= j.Records {
				all <- reading{Took: time.Since(began), CPU: spent() - cpu}
			}
			return nil
		})
	}()
	var r reading
	select {
	case r = <-all:
	case err := <-ended:
		return fmt.Errorf("ended before all was read: %w", err)
	}
	pause(j.Linger)
	r.Resident = resident()
	stop()
	if err := <-ended; err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// resident is the most memory that this process has had, 0 where Linux does not
// tell.
func resident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}
