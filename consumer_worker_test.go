package vegas_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// slow is a store whose answers take their time, and which is told of every call.
type slow struct {
	store.Store
	takes time.Duration
	under *atomic.Int64 // calls that have not returned
	open  *atomic.Int64 // separate stores that are not closed
	call  func(op, id string) error
}

func slowStore(s store.Store, takes time.Duration) *slow {
	return &slow{Store: s, takes: takes, under: new(atomic.Int64), open: new(atomic.Int64), call: func(string, string) error { return nil }}
}

func (s *slow) wait(ctx context.Context, op, id string) error {
	s.under.Add(1)
	defer s.under.Add(-1)
	if err := s.call(op, id); err != nil {
		return err
	}
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slow) Separate() store.Store {
	s.open.Add(1)
	other := *s
	return &separated{other, s.open}
}

type separated struct {
	slow
	open *atomic.Int64
}

func (s *separated) Close() error { s.open.Add(-1); return nil }

func (s *slow) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if err := s.wait(ctx, "list", prefix); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, group, prefix)
}

func (s *slow) Get(ctx context.Context, group, id string) (store.Row, error) {
	if err := s.wait(ctx, "get", id); err != nil {
		return store.Row{}, err
	}
	return s.Store.Get(ctx, group, id)
}

func (s *slow) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if err := s.wait(ctx, "swap", r.ID); err != nil {
		return store.Row{}, err
	}
	return s.Store.Swap(ctx, r)
}

// A stop leaves nothing behind: no call under way, no connection, no warning.
func TestAStopIsQuietAndLeavesNothing(t *testing.T) {
	for _, takes := range []time.Duration{5 * time.Millisecond, 60 * time.Millisecond, 240 * time.Millisecond} {
		consumerBench(t, takes.String(), 2, func(b *bench) {
			b.put(10)
			s := slowStore(b.rows, takes)
			for i := range 20 {
				c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = s })
				if n := b.consume(c, 3*time.Second+time.Duration(i)*37*time.Millisecond); i == 0 && n == 0 {
					b.Error("nothing came")
				}
				if s.under.Load() != 0 || s.open.Load() != 0 {
					b.Errorf("%d calls are under way, %d stores open", s.under.Load(), s.open.Load())
				}
			}
			if log := b.logged(); strings.Contains(log, "level=WARN") {
				b.Errorf("%s", lines(log, "level=WARN"))
			}
		})
	}
}

func lines(log, with string) string {
	var out []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, with) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// A shard's error stops the worker, and the other shards are handed over all the
// same, however long the service takes to tell whether the stream is still there.
func TestTheOthersOfAFailedShardAreHandedOver(t *testing.T) {
	consumerBench(t, "", 4, func(b *bench) {
		b.put(40)
		cfg := b.srv.AWS()
		h := &hanging{HTTPClient: cfg.HTTPClient, target: "DescribeStreamSummary"}
		cfg.HTTPClient = h
		var seen events
		boom := errors.New("boom")
		c := b.consumer("g", func(o *vegas.ConsumerOptions) {
			o.AWS, o.OnError, o.MaxAttempts, o.Observer = cfg, vegas.Stop, 1, &seen
		})
		err := c.Run(b.Context(), func(_ context.Context, r *vegas.Record) error {
			time.Sleep(time.Second)
			h.on.Store(true)
			if r.Shard == "shardId-000000000000" {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) {
			b.Error(err)
		}
		if s := seen.String(); strings.Contains(s, "lost") {
			b.Errorf("events %s", s)
		}
	})
}

// hanging is a client some of whose calls are not answered.
type hanging struct {
	aws.HTTPClient
	target string
	on     atomic.Bool
}

func (h *hanging) Do(r *http.Request) (*http.Response, error) {
	if h.on.Load() && strings.Contains(r.Header.Get("X-Amz-Target"), h.target) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return h.HTTPClient.Do(r)
}

func TestMoveOfAShardThatIsNotThereLeavesTheGroupOpen(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(5)
		b.consume(b.consumer("g"), 5*time.Second)
		err := b.consumer("g").Admin().Move(b.Context(), "shardId-000000000777", record.Position{}, false)
		if err == nil {
			b.Error("moved")
		}
		b.put(5)
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 5 {
			b.Errorf("%d records", n)
		}
	})
}

// A row that a later release wrote is that of a worker that may live: nobody
// takes its leases, and who does not understand it does not join.
func TestAWorkerOfALaterReleaseIsNotRobbed(t *testing.T) {
	consumerBench(t, "", 4, func(b *bench) {
		var seen events
		later := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store, o.Observer = &newer{b.rows}, &seen })
		stop := startRun(b.T, later, func(context.Context, *vegas.Record) error { return nil })
		time.Sleep(5 * time.Second)
		err := b.consumer("g").Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "#newer-rows") {
			b.Errorf("Run: %v", err)
		}
		time.Sleep(time.Minute)
		if err := stop(); err != nil || strings.Contains(seen.String(), "lost") {
			b.Errorf("the later one: %v, events %s", err, seen.String())
		}
	})
	consumerBench(t, "that joins", 2, func(b *bench) {
		var seen, of events
		stop := startRun(b.T, b.consumer("g", func(o *vegas.ConsumerOptions) { o.Observer = &of }), func(context.Context, *vegas.Record) error { return nil })
		time.Sleep(5 * time.Second)
		later := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store, o.Observer = &newer{b.rows}, &seen })
		stopLater := startRun(b.T, later, func(context.Context, *vegas.Record) error { return nil })
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			b.Error(err)
		}
		time.Sleep(time.Minute)
		if s := of.String() + seen.String(); strings.Contains(s, "lost") || strings.Count(seen.String(), "acquired") != 2 {
			b.Errorf("events %s", s)
		}
		if err := stopLater(); err != nil {
			b.Error(err)
		}
	})
}

// newer is a store as a later release has it: in another form are the rows of the
// workers that use it.
type newer struct{ store.Store }

func form(r store.Row, version string) store.Row {
	if strings.HasPrefix(r.ID, "worker#") && r.Fields != nil {
		r = r.Clone()
		r.Fields["version"] = version
	}
	return r
}

func (n *newer) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	out, err := n.Store.Swap(ctx, form(r, "2"))
	return form(out, "1"), err
}

func (n *newer) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	rows, err := n.Store.List(ctx, group, prefix)
	for i := range rows {
		rows[i] = form(rows[i], "1")
	}
	return rows, err
}

func (n *newer) Get(ctx context.Context, group, id string) (store.Row, error) {
	r, err := n.Store.Get(ctx, group, id)
	return form(r, "1"), err
}

// A lease row that cannot be read costs little.
func TestALeaseRowThatCannotBeReadIsLeftAlone(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		b.put(10)
		b.consume(b.consumer("g"), 5*time.Second)
		rows, err := b.rows.List(b.Context(), "g", "lease#")
		if err != nil {
			b.Fatal(err)
		}
		rows[0].Fields["possession"] = "many"
		if _, err := b.rows.Swap(b.Context(), rows[0]); err != nil {
			b.Fatal(err)
		}
		s := slowStore(b.rows, 0)
		var writes atomic.Int64
		s.call = func(op, id string) error {
			if op == "swap" && strings.HasPrefix(id, "lease#") {
				writes.Add(1)
			}
			return nil
		}
		b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = s }), 10*time.Minute)
		if n := writes.Load(); n > 20 {
			b.Errorf("%d writes in ten minutes", n)
		}
		if log := lines(b.logged(), "#bad-row"); strings.Count(log, "WARN") > 11 || log == "" {
			b.Errorf("log:\n%s", log)
		}
	})
}

// A worker that may not make its row is told so, and does not try for ever.
func TestAStartThatMayNotWriteIsAnError(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.consume(b.consumer("g"), 5*time.Second)
		s := slowStore(b.rows, 0)
		denied := errors.New("access denied")
		s.call = func(op, _ string) error {
			if op == "swap" {
				return denied
			}
			return nil
		}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = s })
		if err := soon(b, func() error { return c.Run(b.Context(), func(context.Context, *vegas.Record) error { return nil }) }); !errors.Is(err, denied) {
			b.Errorf("Run: %v", err)
		}
	})
}

// Whoever loses a lease is told how, and not that the store is slow.
func TestALostLeaseIsToldAsItIs(t *testing.T) {
	for want, lose := range map[string]func(context.Context, *admin.Group) error{
		"another worker has taken it": func(ctx context.Context, g *admin.Group) error {
			return g.Release(ctx, "shardId-000000000000", true)
		},
		"this worker was declared dead": func(ctx context.Context, g *admin.Group) error {
			return g.Reset(ctx, vegas.TrimHorizon(), true)
		},
	} {
		consumerBench(t, want, 1, func(b *bench) {
			cause := make(chan error, 10)
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
			defer cancel()
			done := make(chan error)
			c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Grace = 0 })
			go func() {
				done <- c.RunShards(ctx, func(ctx context.Context, _ *vegas.Shard) error {
					<-ctx.Done()
					cause <- context.Cause(ctx)
					return ctx.Err()
				})
			}()
			time.Sleep(3 * time.Second)
			if err := lose(b.Context(), c.Admin()); err != nil {
				b.Error(err)
			}
			if err := <-cause; !errors.Is(err, vegas.ErrLeaseLost) || !strings.Contains(err.Error(), want) {
				b.Errorf("cause: %v", err)
			}
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}
