package dedupe

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// MaxKeys is how many keys of a shard are remembered at most. Default 1,000,000,
	// which take 80 MB. Above it the key that was handled longest ago is forgotten: its
	// duplicates are handled. 0 and less count as 1.
	MaxKeys int
	// SaveEvery is how often what was handled since is written to the group's store
	// while there is progress, as far as checkpoints have come: so much a crash forgets.
	// Default 10 s. It costs 32 bytes for each new key, and up to 16 KiB more for each
	// write.
	SaveEvery time.Duration
	// InMemory writes nothing to the store: whoever reads a shard on, as after a restart
	// or a handoff, or reads its children, starts without a key. Default false.
	InMemory bool
}

// By makes a layer for ConsumerOptions.Use that removes duplicates: records of one key
// that arrive within the window. The package's documentation says exactly
// what that means. With a window of 0 nothing is one.
func By(key Key, window time.Duration, opts ...func(*Options)) func(next record.Handler) record.Handler {
	d := newDedupe(key, window, opts)
	return func(next record.Handler) record.Handler {
		return func(ctx context.Context, r *record.Record) error { return d.handle(ctx, r, next) }
	}
}

// dedupe is a layer.
type dedupe struct {
	key    Key
	window int64 // milliseconds
	slack  int64 // milliseconds
	o      Options
	name   string // in rows: layers with other keys have other ones
	alone  *state // of records that come from no leased shard
}

func newDedupe(key Key, window time.Duration, opts []func(*Options)) *dedupe {
	o := Options{MaxKeys: 1_000_000, SaveEvery: 10 * time.Second}
	for _, f := range opts {
		f(&o)
	}
	o.MaxKeys = max(o.MaxKeys, 1)
	d := &dedupe{
		key: key, window: window.Milliseconds(), slack: min(window.Milliseconds(), slack), o: o,
		name: fmt.Sprintf("dedupe-%08x", crc32.ChecksumIEEE([]byte(key.String()))),
	}
	d.alone = d.begin(nil)
	return d
}

// slack is how much the times of arrival in a shard may go back, in milliseconds: the
// service says that they do not always increase.
const slack = 1000

// begin makes what is kept of a shard; nil: of none.
func (d *dedupe) begin(s *layer.Shard) *state {
	st := &state{
		table: table{window: d.window, slack: d.slack, limit: d.o.MaxKeys}, flying: map[hash]chan struct{}{},
		observer: observe.Nop{}, ready: make(chan struct{}),
	}
	if s == nil {
		close(st.ready)
		return st
	}
	st.observer, st.where, st.warn = s.Observer, s.Where, s.Warn
	if !d.o.InMemory {
		st.saver = &saver{rows: rows{shard: s, name: d.name, limit: d.o.MaxKeys}, every: d.o.SaveEvery, state: st, turn: make(chan struct{}, 1)}
	}
	return st
}

func (d *dedupe) handle(ctx context.Context, r *record.Record, next record.Handler) error {
	st := d.alone
	if s := layer.Of(ctx); s != nil {
		st = s.State(d, func() any { return d.begin(s) }).(*state) //nolint:forcetypeassert // as begin made it
	}
	key, ok := d.key.of(r)
	if !ok {
		st.observer.Count(observe.RecordsWithoutKey, st.where, 1)
		return next(ctx, r)
	}
	e := entry{key: key, origin: origin(r), at: r.ArrivalTime.UnixMilli()}
	if passed, err := st.enter(ctx, e, r.Position); passed || err != nil {
		return err
	}
	handled := false
	defer func() { st.leave(e, r.Position, handled) }() // also where the handler panics
	err := next(ctx, r)
	handled = err == nil
	return err
}

// origin tells records apart: a hash of where one lies, never 0.
func origin(r *record.Record) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037) // FNV-1a, of 64 bits
	for _, text := range [...]string{r.Shard, r.Position.Sequence} {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
	}
	var sub [8]byte
	binary.BigEndian.PutUint64(sub[:], uint64(r.Position.SubSequence))
	for _, b := range sub {
		h = (h ^ uint64(b)) * prime
	}
	return max(h, 1)
}
