package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/localkinesis"
)

var (
	kills = flag.Int("kills", 3, "how many processes TestFleetSurvivesKills kills")
	seed  = flag.Uint64("seed", 0, "what TestFleetSurvivesKills draws from; 0: anew each time")
)

// TestFleetSurvivesKills runs what three people do who each start
//
//	vegas consume orders --group billing --store … >> out.txt
//
// under load, while a fourth kills their processes with -9, at any moment, and they
// start them again, now and then under the same name, while shards split and merge.
// Each process appends whole lines to the file, so that the file has the order in
// which records were handled by anybody: nothing is missing there, and first
// deliveries of one key are in order.
func TestFleetSurvivesKills(t *testing.T) {
	stores := []string{"file", "sqlite"}
	if *kills <= 3 { // the short form has one
		stores = stores[rand.IntN(2):][:1]
	}
	for _, kind := range stores {
		t.Run(kind, func(t *testing.T) { killFleet(t, kind) })
	}
}

func killFleet(t *testing.T, kind string) {
	random, again := draw(t, "seed", *seed)
	srv, env := serve(t, 4)
	dir := t.TempDir()
	f := &handFleet{t: t, random: random, out: filepath.Join(dir, "out.txt"), ended: make(chan *exec.Cmd)}
	f.start = func(name string) *exec.Cmd {
		return cli(t, env, "consume", "orders", "--group", "billing", "--store", kind+":"+filepath.Join(dir, "positions"),
			"--worker-id", name, "--lease-time", "1s", "--save-every", "300ms")
	}
	f.auditor = audit.New()
	f.reader = f.auditor.Reader()
	defer f.close()
	for i := range f.slots {
		f.run(i)
	}

	stopLoad := f.load(srv)
	reshape := reshapes(t, srv)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n, due := 0, time.Now().Add(2*time.Second); n < *kills; {
		select {
		case cmd := <-f.ended:
			t.Fatalf("a process ended by itself: %v: %s", cmd.ProcessState, cmd.Stderr)
		case now := <-tick.C:
			f.read()
			if now.Before(due) || f.reader.Live().Delivered == 0 {
				continue
			}
			if n++; n%2 == 1 {
				reshape()
			}
			f.kill(random.IntN(len(f.slots)))
			due = now.Add(time.Duration(random.Int64N(int64(2500 * time.Millisecond))))
		}
	}
	stopLoad()
	for deadline := time.Now().Add(30 * time.Second); !f.reader.Complete() && time.Now().Before(deadline); f.read() {
		<-tick.C
	}
	f.stop()
	f.read()
	sums := f.reader.Sums()
	t.Logf("%d kills: %+v; %d lines cut by a kill", *kills, sums, f.torn)
	if sums.Lost != 0 || sums.OutOfOrder != 0 || sums.Corrupt != 0 || sums.Acknowledged != sums.Sent || sums.Sent < 1000 {
		t.Errorf("%s: %+v", again, sums)
	}
	if f.torn > *kills {
		t.Errorf("%d lines are cut by %d kills", f.torn, *kills)
	}
}

// handFleet is three processes that append to one file.
type handFleet struct {
	t       *testing.T
	random  *rand.Rand
	start   func(name string) *exec.Cmd
	out     string
	auditor *audit.Auditor
	reader  *audit.Reader

	slots [3]slot
	named int
	ended chan *exec.Cmd // that nobody had told to
	file  *os.File       // out, for reading
	rest  []byte         // of it: the beginning of a line
	torn  int
}

type slot struct {
	name string
	cmd  *exec.Cmd
	told chan struct{} // closed: it is to end
	gone chan struct{} // closed: it has
}

// run starts the process of a slot, one time in two under the name of the one before.
func (f *handFleet) run(i int) {
	f.t.Helper()
	s := &f.slots[i]
	if s.name == "" || f.random.IntN(2) == 0 {
		f.named++
		s.name = fmt.Sprintf("w%d", f.named)
	}
	out, err := os.OpenFile(f.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd := f.start(s.name)
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	told, gone := make(chan struct{}), make(chan struct{})
	s.cmd, s.told, s.gone = cmd, told, gone
	go func() {
		defer close(gone)
		_ = cmd.Wait()
		select {
		case f.ended <- cmd:
		case <-told:
		}
	}()
}

// kill ends the process of a slot at once and starts another one.
func (f *handFleet) kill(i int) {
	f.t.Helper()
	s := &f.slots[i]
	close(s.told)
	if err := s.cmd.Process.Kill(); err != nil {
		f.t.Fatal(err)
	}
	<-s.gone
	f.run(i)
}

// stop ends all processes in order.
func (f *handFleet) stop() {
	f.t.Helper()
	for i := range f.slots {
		s := &f.slots[i]
		close(s.told)
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			f.t.Error(err)
		}
	}
	for i := range f.slots {
		s := &f.slots[i]
		if <-s.gone; s.cmd.ProcessState.ExitCode() != 0 {
			f.t.Errorf("%s ends with %v: %s", s.name, s.cmd.ProcessState, s.cmd.Stderr)
		}
		s.cmd = nil
	}
}

// close kills what a failed test has left.
func (f *handFleet) close() {
	for i := range f.slots {
		if s := &f.slots[i]; s.cmd != nil {
			close(s.told)
			_ = s.cmd.Process.Kill()
			<-s.gone
		}
	}
	if f.file != nil {
		_ = f.file.Close()
	}
}

// load sends records until the function it returns is called, which has every one
// of them answered.
func (f *handFleet) load(srv *localkinesis.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	f.t.Cleanup(cancel) // of a failed test
	producer, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger = srv.AWS(), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				done <- producer.Close(closing)
				return
			case <-tick.C:
			}
			for range 10 {
				n++
				stamp := f.auditor.Next(fmt.Sprintf("customer-%d", n%97), time.Now())
				err := producer.SendAsync(context.Background(), &vegas.Record{PartitionKey: stamp.Key, Data: stamp.Append(nil, 120)}, func(_ vegas.Receipt, err error) {
					if err != nil {
						f.auditor.Answer(stamp, audit.Unknown)
						return
					}
					f.auditor.Answer(stamp, audit.Acknowledged)
				})
				if err != nil {
					done <- err
					return
				}
			}
		}
	}()
	return func() {
		f.t.Helper()
		cancel()
		if err := <-done; err != nil {
			f.t.Fatal(err)
		}
	}
}

// read audits what was appended to the file.
func (f *handFleet) read() {
	f.t.Helper()
	if f.file == nil {
		var err error
		if f.file, err = os.Open(f.out); err != nil {
			f.t.Fatal(err)
		}
	}
	more, err := io.ReadAll(f.file)
	if err != nil && !errors.Is(err, io.EOF) {
		f.t.Fatal(err)
	}
	f.rest = append(f.rest, more...)
	for {
		line, rest, whole := bytes.Cut(f.rest, []byte("\n"))
		if !whole {
			return
		}
		f.rest = rest
		// A process that was killed while it wrote leaves a cut line, and the next
		// one of another process behind it.
		if at := bytes.LastIndex(line, []byte(`{"key":"`)); at > 0 {
			line = line[at:]
			f.torn++
		}
		stamp, err := audit.Parse(line)
		if err == nil {
			_, err = f.reader.Deliver(stamp.Key, line)
		}
		if err != nil {
			f.t.Error(err)
		}
	}
}
