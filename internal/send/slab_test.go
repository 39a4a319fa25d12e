package send

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// What an error says stays true when the memory of its record is used again.
func TestErrorsKeepTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine(t, sink{func() {}}, func(c *Config) { c.Linger = time.Hour })
		withdraw := func(key string) []error {
			rs := make([]*record.Record, slabParcels)
			for i := range rs {
				rs[i] = &record.Record{PartitionKey: key}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, errs := e.SendAll(ctx, rs)
			return errs
		}
		_ = withdraw("first") // tells how much memory a slab needs
		errs := [][]error{withdraw("second"), withdraw("thirds")}
		_ = withdraw("fourth")
		for i, want := range []string{"second", "thirds"} {
			for _, err := range errs[i] {
				var failed *record.SendError
				if !errors.As(err, &failed) || failed.Key != want || failed.Outcome != record.NotStored {
					t.Fatalf("want one of %q that was not stored: %v", want, err)
				}
			}
		}
	})
}

// A record that has ended holds nothing of its sender's, even if its lane is idle
// from then on: large payloads would stay beyond the memory bound.
func TestEndedRecordsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newScript()
		e := engine(t, api, func(c *Config) { c.Deadline = time.Minute })
		send := func() weak.Pointer[[1 << 16]byte] {
			mine := new([1 << 16]byte)
			r := &record.Record{PartitionKey: "k", Data: mine[:]}
			if err := e.SendAsync(t.Context(), r, func(record.Receipt, error) { mine[0]++ }); err != nil {
				t.Error(err)
			}
			if err := e.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			return weak.Make(mine)
		}
		check := func(when string) {
			held := send()
			runtime.GC()
			if held.Value() != nil {
				t.Errorf("%s: what the callback refers to is held", when)
			}
		}
		check("before the first map")
		check("in a lane")
		api.set(func() { api.err, api.took = errors.New("down"), nil })
		check("after it failed")
		s := (*e.machine.Tag(keyspace.OfKey("k"))).(*slab)
		for i := range s.parcels {
			if p := &s.parcels[i]; p.Data != nil {
				t.Errorf("record %d holds %d bytes", i, len(p.Data))
			}
		}
	})
}

// Once a slab was full, the next one has room for as much.
func TestSlabsHaveRoomForAllTheirPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine(t, sink{func() {}}, func(*Config) {})
		rs := make([]*record.Record, slabParcels)
		for i := range rs {
			rs[i] = &record.Record{PartitionKey: "key", Data: make([]byte, 100)}
		}
		// The first one brings the map: what is accepted before has no lane.
		for _, rs := range [][]*record.Record{rs[:1], rs} {
			if _, errs := e.SendAll(t.Context(), rs); errs != nil {
				t.Fatal(errs)
			}
		}
		if want := slabParcels * 103; e.payload != want {
			t.Errorf("room for %d bytes, want %d", e.payload, want)
		}
	})
}

// However many lanes there are, their slabs have room for an eighth of the memory
// bound at most, and what has no room there is sent as well.
func TestSlabsOfAllLanesHaveLittleRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, bound = 64, 1 << 20
		shards := keyspace.Split(lanes)
		e := engine(t, split(shards), func(c *Config) { c.BufferBytes = bound })
		slabOf := func(h keyspace.Hash) *slab {
			e.mu.Lock()
			defer e.mu.Unlock()
			s, _ := (*e.machine.Tag(h)).(*slab)
			return s
		}
		send := func(many func(first keyspace.Hash) int) {
			var rs []*record.Record
			for _, s := range shards {
				for range many(s.First) {
					rs = append(rs, &record.Record{PartitionKey: "k", ExplicitHashKey: s.First.String(), Data: make([]byte, 4000)})
				}
			}
			if _, errs := e.SendAll(t.Context(), rs); errs != nil {
				t.Fatal(errs)
			}
		}
		// Some are accepted before the first map, when one slab has them all. Then
		// every lane fills the slab that it has, and begins another one.
		send(func(keyspace.Hash) int { return slabParcels })
		send(func(first keyspace.Hash) int {
			if s := slabOf(first); s != nil {
				return slabParcels - s.used + 1
			}
			return slabParcels + 1
		})
		room := 0
		for _, s := range shards {
			s := slabOf(s.First)
			if s == nil {
				t.Fatal("a lane has no slab")
			}
			room += cap(s.data)
		}
		if room > bound/8 || room == 0 {
			t.Errorf("room for %d bytes", room)
		}
	})
}
