package vegas_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
)

// While the store is away a fleet reads on as long as it can prove its leases, then
// nobody reads; when the store is back it goes on by itself.
func TestAFleetReadsOnWhileItCanProveItsLeases(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		f.start("w0")
		f.start("w1")
		f.send(8 * time.Second)
		gone := time.Now()
		for _, m := range f.members {
			m.set(true)
		}
		f.send(time.Minute)
		back := time.Now()
		// The default lease time is 5 s, of which 0.75 s are margin; a heartbeat
		// leaves every second.
		if n := f.deliveredBetween(gone, gone.Add(3*time.Second)); n == 0 {
			f.Error("nothing was read while the leases could be proven")
		}
		if n := f.deliveredBetween(gone.Add(4500*time.Millisecond), back); n > 0 {
			f.Errorf("%d records were delivered without proof", n)
		}
		for _, m := range f.members {
			if got := m.seen(observe.Acquired, gone); len(got) > 0 {
				f.Errorf("%s has acquired %+v meanwhile", m.name, got)
			}
			if got := m.seen(observe.Lost, gone); len(got) != 2 {
				f.Errorf("%s has lost %+v", m.name, got)
			}
			m.set(false)
		}
		f.send(8 * time.Second)
		if n := f.deliveredBetween(back, back.Add(3*time.Second)); n == 0 {
			f.Error("nothing was read for three seconds after the store was back")
		}
		f.even()
		f.Logf("%d records came again", f.finish())
	})
}

// A store that is away when a worker begins to work, and refuses at once, is not
// asked in a busy loop.
func TestAStoreThatRefusesAtOnceIsLeftInPeace(t *testing.T) {
	fleetBench(t, "", 2, func(f *fleet) {
		m := f.start("w0")
		for len(m.seen(observe.Acquired, time.Time{})) == 0 {
			time.Sleep(time.Millisecond)
		}
		m.set(true)
		before := m.asked()
		time.Sleep(10 * time.Second)
		if n := m.asked() - before; n > 150 {
			f.Errorf("%d calls in ten seconds", n)
		}
		m.set(false)
		f.send(10 * time.Second)
		f.finish()
	})
}

// A worker that is cut off for longer than its lease, as by a host that was
// suspended, is declared dead, can write nothing any more, and comes back under a
// new ID.
func TestAWorkerThatWasCutOffIsFencedAndJoinsAgain(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		w0 := f.start("w0")
		f.start("w1")
		f.send(8 * time.Second)
		f.even()
		id := func() string {
			for _, w := range f.state().Workers {
				if w.Name == "w0" && w.State != "dead" {
					return w.ID
				}
			}
			return ""
		}
		old := id()
		w0.set(true)
		cut := time.Now()
		f.send(20 * time.Second)
		if s := f.spread(); s["w1"] != 4 {
			f.Errorf("shards are read by %v", s)
		}
		f.mu.Lock()
		for _, a := range f.got {
			if a.worker == w0 && a.at.After(cut.Add(5*time.Second)) {
				f.Errorf("w0 handled %d of key %d %v after it was cut off", a.n, a.key, a.at.Sub(cut))
			}
		}
		f.mu.Unlock()
		w0.set(false)
		f.send(10 * time.Second)
		if now := id(); now == "" || now == old {
			f.Errorf("w0 is %q, and was %q", now, old)
		}
		f.even()
		f.Logf("%d records came again", f.finish())
	})
}

func TestOfTwoWorkersWithOneNameTheYoungerIsRefused(t *testing.T) {
	fleetBench(t, "", 2, func(f *fleet) {
		f.start("w")
		f.send(3 * time.Second)
		second := f.start("w")
		second.leave()
		f.send(15 * time.Second)
		select {
		case err := <-second.done:
			if err == nil || !strings.Contains(err.Error(), `a worker named "w" is running`) || !strings.Contains(err.Error(), "#worker-name-taken") {
				f.Error(err)
			}
		default:
			f.Error("the second one runs")
			second.cancel()
		}
		f.even()
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// A name is free again at once after a stop, and a lease time after a crash.
func TestANameIsFreeAgain(t *testing.T) {
	fleetBench(t, "", 2, func(f *fleet) {
		m := f.start("w")
		f.send(3 * time.Second)
		m.stop()
		at := time.Now()
		m = f.start("w")
		f.send(3 * time.Second)
		if d := f.silence(at); d > 1500*time.Millisecond {
			f.Errorf("silent for %v after a stop", d)
		}
		at = time.Now()
		m.crash()
		f.start("w")
		f.send(12 * time.Second)
		if d := f.silence(at); d > 7*time.Second {
			f.Errorf("silent for %v after a crash", d)
		}
		f.even()
		f.Logf("%d records came again", f.finish())
	})
}

func TestAStreamThatIsMadeAnewUnderAFleet(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		f.start("w0")
		f.start("w1")
		f.start("w2")
		f.send(5 * time.Second)
		time.Sleep(time.Second)
		old := f.deliveredBetween(time.Time{}, time.Now())
		if old != f.sent*keyCount {
			f.Errorf("%d records of %d", old, f.sent*keyCount)
		}
		if err := f.srv.DeleteStream("orders"); err != nil {
			f.Fatal(err)
		}
		if err := f.srv.CreateStream("orders", 6); err != nil {
			f.Fatal(err)
		}
		f.send(30 * time.Second)
		f.even() // of the new one's six
		if n := len(f.state().Leases); n != 6 {
			f.Errorf("%d leases", n)
		}
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// A worker that notices late that the stream was made anew still works on the rows
// of the old one, and is given the shards of those who noticed. It reads none of the
// new one's records under them: others do so under the rows of the new one.
func TestWhoNoticesLateThatTheStreamIsMadeAnewReadsNothingOfIt(t *testing.T) {
	for name, before := range map[string]time.Duration{"with a position": 5 * time.Second, "without a position": 0} {
		fleetBench(t, name, 1, func(f *fleet) {
			f.start("w0")
			for len(f.members[0].seen(observe.Acquired, time.Time{})) == 0 {
				time.Sleep(time.Millisecond)
			}
			f.start("w1") // has no shard, and so nothing to notice by
			f.send(before)
			time.Sleep(3 * time.Second)
			if err := f.srv.DeleteStream("orders"); err != nil {
				f.Fatal(err)
			}
			if err := f.srv.CreateStream("orders", 1); err != nil {
				f.Fatal(err)
			}
			f.send(20 * time.Second)
			f.even()
			if repeated := f.finish(); repeated > 0 {
				f.Errorf("%d records came twice", repeated)
			}
		})
	}
}

// Clocks decide nothing between workers: times in rows are for people, and where
// they are odd nothing happens. Possession numbers follow the clock, and rise all
// the same where it was put back.
func TestRowsOfOddTimesHarmNobody(t *testing.T) {
	for name, shift := range map[string]time.Duration{"in a hundred years": 100 * 365 * 24 * time.Hour, "a hundred days ago": -100 * 24 * time.Hour} {
		fleetBench(t, name, 4, func(f *fleet) {
			p := &possessions{last: map[string]uint64{}}
			f.startWith("w0", p.follow(f))
			f.send(5 * time.Second)
			ms := strconv.FormatInt(time.Now().Add(shift).UnixMilli(), 10)
			edit := func(prefix string, fields ...string) {
				rows, err := f.rows.List(f.Context(), "g", prefix)
				if err != nil {
					f.Fatal(err)
				}
				for _, r := range rows {
					for _, field := range fields {
						r.Fields[field] = ms
					}
					if _, err := f.rows.Swap(f.Context(), r); err != nil {
						f.Fatal(err)
					}
				}
			}
			edit("worker#", "sent_ms")
			edit("lease#", "moved_ms", "seen_ms")
			f.send(5 * time.Second)
			f.startWith("w1", p.follow(f))
			f.send(5 * time.Second)
			f.even()
			f.members[0].crash()
			// As if the clock had been ahead when the leases were taken.
			rows, err := f.rows.List(f.Context(), "g", "lease#")
			if err != nil {
				f.Fatal(err)
			}
			ahead := uint64(time.Now().Add(24 * 365 * time.Hour).UnixMilli())
			for _, r := range rows {
				r.Fields["possession"] = strconv.FormatUint(ahead, 10)
				if _, err := f.rows.Swap(f.Context(), r); err != nil {
					f.Fatal(err)
				}
			}
			// No worker changes the number of a lease that another one goes on to own, so
			// w1 has still to learn of these: it has when it has taken one of them anew.
			// A child that it makes before is above all that it knew of.
			known := func() bool {
				return slices.ContainsFunc(f.state().Leases, func(l admin.Lease) bool { return l.Possession > ahead })
			}
			for end := time.Now().Add(5 * time.Second); !known() && time.Now().Before(end); {
				f.send(100 * time.Millisecond)
			}
			if _, _, err := f.srv.Split("orders", "shardId-000000000000", ""); err != nil {
				f.Fatal(err)
			}
			f.send(15 * time.Second)
			f.even()
			for _, l := range f.state().Leases {
				if l.Possession <= ahead {
					f.Errorf("%s: possession %d, and %d was used", l.Shard, l.Possession, ahead)
				}
			}
			f.Logf("%d records came again", f.finish())
		})
	}
}

// Whoever deletes rows of workers that live ends them, and nothing else: they join
// again.
func TestRowsThatSomebodyDeletes(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		p := &possessions{last: map[string]uint64{}}
		f.startWith("w0", p.follow(f))
		f.startWith("w1", p.follow(f))
		f.send(5 * time.Second)
		for _, prefix := range []string{"worker#", "lease#", ""} {
			remove(f, prefix)
			f.send(20 * time.Second)
			f.even()
		}
		f.Logf("%d records came again", f.finish())
	})
}

func remove(f *fleet, prefix string) {
	f.Helper()
	rows, err := f.rows.List(f.Context(), "g", prefix)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range rows {
		for {
			err := f.rows.Delete(f.Context(), r)
			if err == nil {
				break
			}
			if r, err = f.rows.Get(f.Context(), "g", r.ID); err != nil {
				break
			}
		}
	}
}

var _ store.Store = (*line)(nil)
