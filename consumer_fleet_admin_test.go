package vegas_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/observe"
)

// A shard that an administrator releases goes on at another worker without a
// repeat, and is not taken back at once.
func TestAReleasedShardGoesOnElsewhere(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		f.start("w0")
		f.start("w1")
		f.send(5 * time.Second)
		group := f.consumer("g").Admin()
		for _, l := range f.state().Leases {
			if l.Owner != "w0" {
				continue
			}
			at := time.Now()
			go f.send(6 * time.Second)
			if err := group.Release(f.Context(), l.Shard, false); err != nil {
				f.Error(err)
			}
			time.Sleep(7 * time.Second)
			if d := f.silence(at) - time.Second; d > 1500*time.Millisecond {
				f.Errorf("%s was silent for %v", l.Shard, d)
			}
		}
		if err := group.Release(f.Context(), "shardId-000000000099", false); err == nil {
			f.Error("a shard that there is not was released")
		}
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
	fleetBench(t, "by force", 4, func(f *fleet) {
		w := f.start("w0")
		f.start("w1")
		f.send(5 * time.Second)
		group := f.consumer("g").Admin()
		at := time.Now()
		for _, l := range f.state().Leases {
			if l.Owner == "w0" {
				if err := group.Release(f.Context(), l.Shard, true); err != nil {
					f.Error(err)
				}
			}
		}
		f.send(20 * time.Second)
		if lost := w.seen(observe.Lost, at); len(lost) != 2 {
			f.Errorf("lost %+v", lost)
		}
		f.even()
		f.Logf("%d records came again", f.finish())
	})
}

// What would pull the ground from under workers is refused while they live.
func TestAGroupWithWorkersIsNotReset(t *testing.T) {
	fleetBench(t, "", 2, func(f *fleet) {
		f.start("w0")
		f.send(3 * time.Second)
		group := f.consumer("g").Admin()
		for name, do := range map[string]func() error{
			"reset":  func() error { return group.Reset(f.Context(), vegas.TrimHorizon(), false) },
			"delete": func() error { return group.Delete(f.Context(), false) },
			"move":   func() error { return group.Move(f.Context(), "shardId-000000000000", vegas.Position{}, false) },
		} {
			if err := do(); !errors.Is(err, admin.ErrInhabited) || !strings.Contains(err.Error(), `"w0"`) || !strings.Contains(err.Error(), "#group-running") {
				f.Errorf("%s: %v", name, err)
			}
		}
		f.send(3 * time.Second)
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// By force a reset ends the workers' leases; they join again and read what it
// says. Possession numbers go on rising.
func TestAForcedResetStartsAGroupWithWorkersAnew(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		p := &possessions{last: map[string]uint64{}}
		f.startWith("w0", p.follow(f))
		f.startWith("w1", p.follow(f))
		f.send(5 * time.Second)
		time.Sleep(time.Second)
		if err := f.consumer("g").Admin().Reset(f.Context(), vegas.TrimHorizon(), true); err != nil {
			f.Fatal(err)
		}
		f.send(15 * time.Second)
		f.even()
		if repeated := f.finish(); repeated < 50*keyCount {
			f.Errorf("%d records came again, and all should", repeated)
		}
	})
}

func TestAnEmptyGroupIsResetMovedAndDeleted(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		b.put(20)
		group := b.consumer("g").Admin()
		if err := group.Reset(b.Context(), vegas.TrimHorizon(), false); err == nil {
			b.Error("a group that there is not was reset")
		}
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 20 {
			b.Fatalf("%d records", n)
		}
		if err := group.Reset(b.Context(), vegas.TrimHorizon(), false); err != nil {
			b.Error(err)
		}
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 20 {
			b.Errorf("%d records after a reset to the oldest one", n)
		}
		if err := group.Reset(b.Context(), vegas.Latest(), false); err != nil {
			b.Error(err)
		}
		time.Sleep(2 * time.Second)
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 0 {
			b.Errorf("%d records after a reset to the latest one", n)
		}
		if err := group.Delete(b.Context(), false); err != nil {
			b.Error(err)
		}
		if rows, err := b.rows.List(b.Context(), "g", ""); err != nil || len(rows) > 0 {
			b.Errorf("rows are left: %v, %v", rows, err)
		}
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 20 {
			b.Errorf("%d records of a group that was deleted", n)
		}
	})
	consumerBench(t, "one shard is moved", 2, func(b *bench) {
		b.put(20)
		var first, again deliveries
		run := func(d *deliveries) {
			stop := startRun(b.T, b.consumer("g"), func(_ context.Context, r *vegas.Record) error { d.add(r); return nil })
			time.Sleep(5 * time.Second)
			if err := stop(); err != nil {
				b.Error(err)
			}
		}
		run(&first)
		var of []delivery // of the shard
		for _, d := range first.all {
			if d.shard == "shardId-000000000000" {
				of = append(of, d)
			}
		}
		if len(of) < 4 {
			b.Fatalf("%d records in the shard", len(of))
		}
		if err := b.consumer("g").Admin().Move(b.Context(), "shardId-000000000000", of[1].at, false); err != nil {
			b.Fatal(err)
		}
		run(&again)
		if again.len() != len(of)-2 || again.all[0] != of[2] {
			b.Errorf("%v, want all of %v behind the second", again.all, of)
		}
	})
}

// A crashed worker does not live: whoever resets the group waits for its lease
// time.
func TestAResetWaitsForTheLeaseTimeOfACrashedWorker(t *testing.T) {
	fleetBench(t, "", 2, func(f *fleet) {
		m := f.start("w0")
		f.send(3 * time.Second)
		m.crash()
		time.Sleep(time.Second)
		began := time.Now()
		if err := f.consumer("g").Admin().Reset(f.Context(), vegas.TrimHorizon(), false); err != nil {
			f.Error(err)
		}
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			f.Errorf("it took %v", d)
		}
		f.start("w1")
		f.send(3 * time.Second)
		if repeated := f.finish(); repeated == 0 {
			f.Error("nothing came again")
		}
	})
}
