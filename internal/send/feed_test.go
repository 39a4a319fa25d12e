package send

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/record"
)

// ledger is a buffer that remembers what it is told.
type ledger struct {
	mu     sync.Mutex
	stored []uint64
	dead   []string // number, outcome and data
	why    []string // their reasons
	broken error    // why nothing can be buried
	tries  int
}

func (l *ledger) Stored(s []Stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range s {
		l.stored = append(l.stored, x.Seq)
	}
}

func (l *ledger) Bury(_ context.Context, dead []buffer.Dead, errs []error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	if l.broken != nil {
		return l.broken
	}
	for i, d := range dead {
		var failed *record.SendError
		if !errors.As(errs[i], &failed) || failed.Key != d.Key || d.Reason != errs[i].Error() {
			return fmt.Errorf("the error of %d is %w, its reason %q", d.Seq, errs[i], d.Reason)
		}
		l.why = append(l.why, d.Reason)
		l.dead = append(l.dead, fmt.Sprint(d.Seq, " ", failed.Outcome, " ", string(d.Data)))
	}
	return nil
}

// breaks makes that nothing can be buried; nil: it can.
func (l *ledger) breaks(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = err
}

func (l *ledger) told(t *testing.T, stored, dead string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := fmt.Sprint(l.stored); got != stored {
		t.Errorf("stored are %s, want %s", got, stored)
	}
	if got := fmt.Sprint(l.dead); got != dead {
		t.Errorf("dead are %s, want %s", got, dead)
	}
}

// script is a service of one shard that keeps what it takes and answers as it is
// told.
type script struct {
	sink
	mu        sync.Mutex
	err       error // of puts
	auto      bool
	bytes     int   // MaxRecordSize
	descErr   error // of descriptions
	took      []types.PutRecordsRequestEntry
	attempts  int
	describes int
}

func newScript() *script { return &script{sink: sink{func() {}}, bytes: 1 << 20} }

func (s *script) PutRecords(ctx context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if s.err != nil {
		return nil, s.err
	}
	for _, e := range entries {
		e.Data = slices.Clone(e.Data)
		s.took = append(s.took, e)
	}
	return s.sink.PutRecords(ctx, entries)
}

func (s *script) Describe(ctx context.Context) (kinesisapi.Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.describes++
	d, err := s.sink.Describe(ctx)
	d.Auto, d.RecordBytes = s.auto, s.bytes
	return d, errors.Join(err, s.descErr)
}

func (s *script) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// arrived are the records in the order of their arrival, as producer:number data.
func (s *script) arrived(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.took {
		a, err := aggregate.DecodeBytes(e.Data)
		if err != nil {
			t.Error(err)
			continue
		}
		for i, r := range a.Subs {
			out = append(out, fmt.Sprintf("%d:%d%s", a.Identity.Producer[0], a.Identity.Counters[i], r.Data))
		}
	}
	return strings.Join(out, " ")
}

func fedItem(producer byte, seq uint64, key string) *buffer.Item {
	return &buffer.Item{Producer: [16]byte{producer}, Seq: seq, Accepted: time.Now(), Key: key, Data: []byte(key)}
}

func fed(t *testing.T, e *Engine, items ...*buffer.Item) {
	t.Helper()
	for _, it := range items {
		if err := e.Feed(t.Context(), it, it.Accepted.Before(e.start)); err != nil {
			t.Error(err)
		}
	}
}

// feeding starts an engine that is fed, in a bubble.
func feeding(t *testing.T, change func(*Config), tell func(t *testing.T, e *Engine, api *script, l *ledger)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		api, l := newScript(), &ledger{}
		e := engine(t, api, func(c *Config) {
			c.Ledger = l
			change(c)
		})
		tell(t, e, api, l)
	})
}

func denied() error { return &kinesisapi.Error{Class: kinesisapi.Fatal, Err: errors.New("denied")} }

// What comes out of a buffer goes under the identities that it has there, also
// where several openings accepted it, and its end is told by number.
func TestFedRecordsKeepTheirIdentity(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		data := []byte("x")
		for i, it := range []*buffer.Item{fedItem(1, 7, "a"), fedItem(1, 9, "a"), fedItem(2, 12, "a"), fedItem(2, 13, "a")} {
			it.Data = data
			fed(t, e, it)
			data[0] = byte('b' + i) // as the buffer does
		}
		synctest.Wait()
		if got, want := api.arrived(t), "1:7x 1:9b 2:12c 2:13d"; got != want {
			t.Errorf("arrived %s, want %s", got, want)
		}
		l.told(t, "[7 9 12 13]", "[]")
		if n := e.Stats().BufferBytes; n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}

// Missing permissions, a stream that is gone, and one that distributes records
// itself hold what is fed; nothing ends, and all of it goes on by itself.
func TestNothingFedEndsByWhatConcernsAll(t *testing.T) {
	for name, trouble := range map[string]struct{ begin, end func(*script) }{
		"puts denied":      {func(s *script) { s.err = denied() }, func(s *script) { s.err = nil }},
		"stream not there": {func(s *script) { s.descErr = denied() }, func(s *script) { s.descErr = nil }},
		"distribution":     {func(s *script) { s.auto = true }, func(s *script) { s.auto = false }},
	} {
		t.Run(name, func(t *testing.T) {
			feeding(t, func(c *Config) { c.RequireOrder = true }, func(t *testing.T, e *Engine, api *script, l *ledger) {
				api.set(func() { trouble.begin(api) })
				fed(t, e, fedItem(1, 1, "a"), fedItem(1, 2, "b"))
				<-time.After(time.Hour)
				if err := e.Admit(&record.Record{PartitionKey: "a"}); (err != nil) != (name == "distribution") {
					t.Errorf("admitted: %v", err)
				}
				l.told(t, "[]", "[]")
				if got := api.arrived(t); got != "" {
					t.Errorf("%s arrived", got)
				}
				api.set(func() {
					if api.attempts > 3000 || api.describes > 2000 {
						t.Errorf("%d attempts, %d descriptions in an hour", api.attempts, api.describes)
					}
					trouble.end(api)
				})
				<-time.After(2 * time.Minute)
				l.told(t, "[1 2]", "[]")
			})
		})
	}
}

// A late record is a dead letter before it ends, and what is behind it waits for
// that. Where it cannot become one it stays, and is sent after all.
func TestLateRecordsAreBuriedFirst(t *testing.T) {
	feeding(t, func(c *Config) { c.Deadline = time.Hour }, func(t *testing.T, e *Engine, api *script, l *ledger) {
		<-time.After(time.Second)
		old := fedItem(1, 1, "a")
		old.Accepted = old.Accepted.Add(-2 * time.Hour)
		fed(t, e, old, fedItem(1, 2, "a"))
		synctest.Wait()
		l.told(t, "[2]", "[1 unknown a]")

		api.set(func() { api.err = denied() })
		l.breaks(errors.New("the disk is full"))
		fed(t, e, fedItem(1, 3, "a"))
		<-time.After(30 * time.Minute)
		fed(t, e, fedItem(1, 4, "a"))
		<-time.After(31 * time.Minute)
		l.told(t, "[2]", "[1 unknown a]")
		if l.tries < 30 || l.tries > 70 {
			t.Errorf("%d attempts to bury in a minute", l.tries)
		}
		l.breaks(nil)
		<-time.After(10 * time.Second)
		l.told(t, "[2]", "[1 unknown a 3 not stored a]")

		l.breaks(errors.New("the disk is full"))
		<-time.After(30 * time.Minute)
		api.set(func() { api.err = nil })
		<-time.After(10 * time.Second)
		l.told(t, "[2 4]", "[1 unknown a 3 not stored a]")
	})
}

// refuse has a record refused that cannot be buried, and feeds another one.
func refuse(t *testing.T, e *Engine, api *script, l *ledger) {
	l.breaks(errors.New("the disk is full"))
	api.err = &kinesisapi.Error{Class: kinesisapi.Refused, Err: errors.New("what is this?")}
	fed(t, e, fedItem(1, 1, "a"))
	synctest.Wait()
	api.set(func() { api.err = nil })
	fed(t, e, fedItem(1, 2, "a"))
}

// A refused record is a dead letter before anything behind it leaves.
func TestNothingPassesTheDeadBeforeTheyAreBuried(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		refuse(t, e, api, l)
		<-time.After(time.Minute)
		if got := api.arrived(t); got != "" {
			t.Errorf("%s arrived", got)
		}
		l.breaks(nil)
		<-time.After(time.Second)
		synctest.Wait()
		l.told(t, "[2]", "[1 not stored a]")
	})
}

// What can never be sent is buried in its turn.
func TestWhatCannotBeSentIsBuried(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		bad := fedItem(1, 1, "")
		headers := fedItem(1, 2, "h")
		headers.Data = make([]byte, 1<<20-10)
		headers.Headers = []record.Header{{Key: "a", Value: "b"}}
		large := fedItem(1, 3, "l")
		large.Data = make([]byte, 2<<20)
		fed(t, e, bad, headers, large, fedItem(1, 4, "x"))
		synctest.Wait()
		l.told(t, "[4]", fmt.Sprint([]string{"1 not stored ", "2 not stored " + string(headers.Data), "3 not stored " + string(large.Data)}))
		if n := e.Stats().Failed; n != 3 {
			t.Errorf("%d failed", n)
		}
	})
}

// What an earlier opening of the buffer may have sent is unknown, and says why.
func TestTheUnknownSayThatTheyMayHaveBeenSentBefore(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, _ *script, l *ledger) {
		it := fedItem(1, 1, "")
		it.Accepted = it.Accepted.Add(-time.Second)
		fed(t, e, it)
		l.told(t, "[]", "[1 unknown ]")
		if why := fmt.Sprint(l.why); !strings.Contains(why, "an earlier producer of its buffer may have sent it") {
			t.Error(why)
		}
	})
}

// A size that some streams take is judged by what this one says, not before.
func TestALargeRecordWaitsForWhatTheStreamSays(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		api.descErr, api.bytes = errors.New("throttled"), 10<<20
		large := fedItem(1, 1, "l")
		large.Data = make([]byte, 2<<20)
		if err := e.Admit(&record.Record{PartitionKey: "l", Data: large.Data}); err != nil {
			t.Error(err)
		}
		done := make(chan error)
		go func() { done <- e.Feed(t.Context(), large, false) }()
		<-time.After(time.Minute)
		l.told(t, "[]", "[]")
		api.set(func() { api.descErr = nil })
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		l.told(t, "[1]", "[]")
		if err := e.Admit(&record.Record{PartitionKey: "l", Data: make([]byte, 11<<20)}); !errors.Is(err, record.ErrTooLarge) {
			t.Errorf("11 MiB: %v", err)
		}
	})
}

// Close without patience leaves what was fed in its buffer: neither stored nor
// dead.
func TestCloseLeavesFedRecordsAlone(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		api.err = denied()
		fed(t, e, fedItem(1, 1, "a"), fedItem(1, 2, "b"))
		<-time.After(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		l.told(t, "[]", "[]")
		if err := e.Feed(t.Context(), fedItem(1, 3, "c"), false); !errors.Is(err, record.ErrClosed) {
			t.Error(err)
		}
		if err := e.Admit(&record.Record{PartitionKey: "c"}); !errors.Is(err, record.ErrClosed) {
			t.Error(err)
		}
		if s := e.Stats(); s.Failed+s.Unknown != 0 {
			t.Errorf("%d failed, %d unknown", s.Failed, s.Unknown)
		}
	})
}

// What this process accepted is never older than the process, however its clock
// was set meanwhile; of what an earlier one accepted only the clock can tell.
func TestAClockThatIsSetBuriesNothing(t *testing.T) {
	feeding(t, func(c *Config) { c.Deadline = time.Hour }, func(t *testing.T, e *Engine, api *script, l *ledger) {
		api.err = denied()
		for i, off := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
			it := fedItem(1, uint64(i)+2, "a")
			it.Accepted = it.Accepted.Add(off)
			if err := e.Feed(t.Context(), it, false); err != nil {
				t.Error(err)
			}
		}
		it := fedItem(2, 1, "b")
		it.Accepted = it.Accepted.Add(-2 * time.Hour)
		fed(t, e, it)
		<-time.After(50 * time.Minute)
		l.told(t, "[]", "[1 unknown b]")
		<-time.After(11 * time.Minute)
		l.told(t, "[]", "[1 unknown b 2 not stored a 3 not stored a]")
	})
}

// Close waits for callbacks also where nothing was ever fed.
func TestCloseOfAnIdleEngineWaitsForCallbacks(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, _ *script, _ *ledger) {
		returned := false
		e.Call(func() {
			<-time.After(time.Minute)
			returned = true
		})
		synctest.Wait() // it is called
		if err := e.Close(t.Context()); err != nil || !returned {
			t.Errorf("%v; the callback has returned: %t", err, returned)
		}
	})
}

// Close ends also a burial that does not succeed; what is behind does not leave.
func TestCloseEndsABurial(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, api *script, l *ledger) {
		refuse(t, e, api, l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); err == nil {
			t.Error("closed")
		}
		l.told(t, "[]", "[]")
		if got := api.arrived(t); got != "" {
			t.Errorf("%s arrived", got)
		}
	})
}

// Feed waits for room: the look-ahead.
func TestFeedWaitsForRoom(t *testing.T) {
	feeding(t, func(c *Config) { c.BufferBytes = 1 }, func(t *testing.T, e *Engine, api *script, l *ledger) {
		api.err = denied()
		fed(t, e, fedItem(1, 1, "a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Feed(ctx, fedItem(1, 2, "a"), false); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		api.set(func() { api.err = nil })
		fed(t, e, fedItem(1, 2, "a"))
		synctest.Wait()
		l.told(t, "[1 2]", "[]")
	})
}

// Functions run among the callbacks, before the end of Flush and also after that
// of the engine.
func TestCall(t *testing.T) {
	feeding(t, func(*Config) {}, func(t *testing.T, e *Engine, _ *script, _ *ledger) {
		var ran []string
		call := func(name string, f func()) {
			e.Call(func() {
				ran = append(ran, fmt.Sprint(name, e.IsCaller()))
				f()
			})
		}
		fed(t, e, fedItem(1, 1, "a"))
		call("a", func() { <-time.After(time.Second) })
		call("b", func() { panic("mine alone") })
		call("c", func() {})
		if err := e.Flush(t.Context()); err != nil || len(ran) != 3 || e.IsCaller() {
			t.Errorf("flushed after %v: %v", ran, err)
		}
		e.Close(t.Context())
		call("d", func() {})
		synctest.Wait()
		if got := fmt.Sprint(ran); got != "[atrue btrue ctrue dtrue]" {
			t.Error(got)
		}
	})
}

// In a hurry nothing lingers.
func TestHurry(t *testing.T) {
	feeding(t, func(c *Config) { c.Linger = time.Hour }, func(t *testing.T, e *Engine, _ *script, l *ledger) {
		fed(t, e, fedItem(1, 1, "a"))
		synctest.Wait()
		one, two := e.Hurry(), e.Hurry()
		synctest.Wait()
		l.told(t, "[1]", "[]")
		one()
		fed(t, e, fedItem(1, 2, "a"))
		synctest.Wait()
		l.told(t, "[1 2]", "[]")
		two()
		fed(t, e, fedItem(1, 3, "a"))
		synctest.Wait()
		l.told(t, "[1 2]", "[]")
		<-time.After(time.Hour)
		synctest.Wait()
		l.told(t, "[1 2 3]", "[]")
		// A backlog has lingered already.
		old := fedItem(1, 4, "a")
		old.Accepted = old.Accepted.Add(-2 * time.Hour)
		fed(t, e, old)
		synctest.Wait()
		l.told(t, "[1 2 3 4]", "[]")
	})
}
