// Package layer is the port for what is put around a handler by
// ConsumerOptions.Use: a layer learns from the handler's context which leased shard
// it works on, keeps rows that belong to that shard in the group's store, and is
// told when the shard is given up.
//
// A layer that remembers something of the records it has seen keeps it by shard, for
// shards move between workers, split and merge:
//
//	s := layer.Of(ctx)
//	mine := s.State(l, func() any { … })
//
// Whatever it wrote under a shard's name is found by the next owner of the shard, and
// by the owners of those that come of it.
package layer

import (
	"context"
	"slices"
	"sync"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// Shard is one possession of a shard: from the lease that this worker has taken to the
// one that it gives back, loses or ends. The same shard in another possession, also
// of the same worker, is another Shard. Its fields are not to be changed.
type Shard struct {
	ID string
	// Ancestors are the IDs of the shards that it comes from by splits and merges, the
	// nearest first, as far as the group still knows them. They are finished, and their
	// last rows written.
	Ancestors []string
	// Possession is the fencing token: no two Shards of a group and ID have the same,
	// and later ones have higher ones.
	Possession uint64

	// Checkpoint is the last position that was written for the shard: all before it is
	// done with, whatever crashes.
	Checkpoint func() record.Position

	// Store and Group are where rows go. Rows starts the ID of every row that belongs
	// to a layer and this stream: see RowID.
	Store store.Store
	Group string
	Rows  string

	// Observer is told what a layer counts, at Where. Neither is nil, nor is Warn,
	// which logs a warning: a repeated one is one line a minute.
	Observer observe.Observer
	Where    observe.Where
	Warn     func(message string, attrs ...any)

	states sync.Map // by layer

	mu    sync.Mutex
	ended bool
	ends  []func(context.Context)
}

// RowID names a row of a shard, this one or an ancestor, that belongs to the layer of
// that name: ROWS SHARD : NAME. Rows whose IDs begin with it and a colon are the
// layer's too. They are deleted with all else that the group remembers of the shard,
// and otherwise by nobody but the layer.
func (s *Shard) RowID(shard, name string) string { return s.Rows + shard + ":" + name }

// State is what the layer of keeps of this possession, made by begin when it asks for
// the first time. begin may be called more than once, and one of what it made is kept.
func (s *Shard) State(of any, begin func() any) any {
	if v, ok := s.states.Load(of); ok {
		return v
	}
	v, _ := s.states.LoadOrStore(of, begin())
	return v
}

// AtEnd has f called at the end of the possession, when no handler runs any more, nor
// has anybody else begun with the shard or its children: so that rows written by
// then are found. Its context is over where the lease is lost, and ends soon otherwise.
// It is not called where handlers do not return in time, or the process dies, nor if
// the end has come before AtEnd.
func (s *Shard) AtEnd(f func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ends = append(s.ends, f)
	}
}

// End calls what AtEnd was given, the last first. It is for whoever has made s.
func (s *Shard) End(ctx context.Context) {
	s.mu.Lock()
	ends := s.ends
	s.ended, s.ends = true, nil
	s.mu.Unlock()
	for _, f := range slices.Backward(ends) {
		f(ctx)
	}
}

type key struct{}

// With is ctx, for handlers of records of s.
func With(ctx context.Context, s *Shard) context.Context { return context.WithValue(ctx, key{}, s) }

// Of is the possession that a handler with this context works in. nil: its records come
// from something that leases no shards, as in package vegastest.
func Of(ctx context.Context) *Shard {
	s, _ := ctx.Value(key{}).(*Shard)
	return s
}
