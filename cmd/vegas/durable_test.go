package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/piped"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

var (
	producerKills = flag.Int("producer-kills", 30, "how many times TestProducerSurvivesKills kills its producer")
	producerSeed  = flag.Uint64("producer-seed", 0, "what TestProducerSurvivesKills draws from; 0: anew each time")
)

// TestProducerSurvivesKills feeds lines to
//
//	vegas produce orders --durable DIR --report-accepted
//
// and kills it with -9 at any moment, also while it starts, and starts it again on
// the same directory, while Kinesis loses answers, fails, throttles, stores late,
// splits and merges. What a process had reported as safe arrives, once, in the
// order of its key.
func TestProducerSurvivesKills(t *testing.T) {
	kills := *producerKills
	if testing.Short() {
		kills = min(kills, 3)
	}
	random, again := draw(t, "producer-seed", *producerSeed)
	srv, env := serve(t, 4)
	dir := filepath.Join(t.TempDir(), "buffer")
	auditor := audit.New()
	reader := auditor.Reader()
	consume(t, srv, reader)

	f := &feed{auditor: auditor, random: random}
	start := func() *piped.Process {
		p, err := piped.Start(cli(t, env, "produce", "orders", "--durable", dir, "--report-accepted", "--key-json", "key"), func(s audit.Stamp, safe bool) {
			result := audit.Unknown
			if safe {
				result = audit.Acknowledged
			}
			auditor.Answer(s, result)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill) // of a failed test
		return p
	}
	faults := trouble(srv)
	reshape := reshapes(t, srv)
	for n := range kills {
		p := start()
		f.write(p, time.Duration(random.Int64N(int64(1500*time.Millisecond))))
		if n%5 == 1 {
			reshape()
		}
		p.Kill()
	}
	for _, fault := range faults {
		fault.Remove()
	}
	last := start()
	f.write(last, 300*time.Millisecond)
	ending, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := last.Finish(ending); err != nil {
		t.Fatal(err)
	}

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for quiet := 0; quiet < 20 && ending.Err() == nil; <-tick.C {
		before := reader.Live()
		if quiet++; !reader.Complete() || before != reader.Live() {
			quiet = 0
		}
	}
	sums := reader.Sums()
	t.Logf("%d kills: %+v", kills, sums)
	if !sums.Clean() || reader.Live().OutOfOrder != 0 || sums.Acknowledged < int64(kills)*100 {
		t.Errorf("%s: %+v", again, sums)
	}
	for _, fault := range faults {
		if fault.Fired() == 0 && kills >= 30 {
			t.Errorf("a fault did not happen: %+v", fault)
		}
	}
	var left struct{ Stored, Left, DeadLetters int64 }
	out, err := cli(t, env, "buffer", "drain", dir, "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(bytes.ReplaceAll(out, []byte("_"), nil), &left); err != nil || left.Stored+left.Left+left.DeadLetters != 0 {
		t.Errorf("the directory is not empty: %v: %s", err, out)
	}
}

// trouble is what goes wrong on the way to the stream.
func trouble(srv *localkinesis.Server) []*localkinesis.Injected {
	var all []*localkinesis.Injected
	for _, f := range []localkinesis.Fault{
		{Do: localkinesis.DropAnswer, Rate: 0.05},
		{Do: localkinesis.Fail, Rate: 0.05},
		{Do: localkinesis.Throttle, Rate: 0.2, EntryRate: 0.5},
		{Do: localkinesis.StoreLate, Rate: 0.02, Requests: 3},
		{Do: localkinesis.StoreSome, Rate: 0.03, EntryRate: 0.5},
		{Do: localkinesis.Delay, Rate: 0.1, Delay: 200 * time.Millisecond},
	} {
		f.Op = "PutRecords"
		all = append(all, srv.Inject(f))
	}
	return append(all, srv.Inject(localkinesis.Fault{Do: localkinesis.StaleShards, Op: "ListShards", Rate: 0.3}))
}

// consume hands what arrives to the auditor, until the test ends.
func consume(t *testing.T, srv *localkinesis.Server, reader *audit.Reader) {
	t.Helper()
	c, err := vegas.NewConsumer("orders", "audit", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = srv.AWS(), memory.New(), slog.New(slog.DiscardHandler)
		o.PollIdle, o.PollBusy = 100*time.Millisecond, 50*time.Millisecond
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
			_, err := reader.Deliver(r.PartitionKey, r.Data)
			return err
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// feed gives lines to processes.
type feed struct {
	auditor *audit.Auditor
	random  *rand.Rand
}

// write gives a process lines for a while, some thousands a second.
func (f *feed) write(p *piped.Process, long time.Duration) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(long); time.Now().Before(end); <-tick.C {
		var stamps []audit.Stamp
		var text []byte
		for range 1 + f.random.IntN(20) {
			stamp := f.auditor.Next(fmt.Sprintf("customer-%d", f.random.IntN(97)), time.Now())
			stamps = append(stamps, stamp)
			text = append(stamp.Append(text, 120), '\n')
		}
		if !p.Write(stamps, text) {
			for _, s := range stamps {
				f.auditor.Answer(s, audit.NotStored)
			}
			return
		}
	}
}
