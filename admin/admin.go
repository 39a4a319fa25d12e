// Package admin looks at a consumer group, and changes it, from outside of its
// workers: what a command line or a dashboard needs. A [Group] comes from
// vegas.Consumer.Admin.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/lease"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// Group is a group of one stream. Its methods may be called at any time, by
// many goroutines at once.
type Group struct {
	stream  kinesisapi.Name
	options kinesisapi.Options
	store   store.Store
	name    string
	log     *slog.Logger
}

// New is for package vegas.
func New(stream kinesisapi.Name, o kinesisapi.Options, s store.Store, name string, log *slog.Logger) *Group {
	return &Group{stream: stream, options: o, store: s, name: name, log: log}
}

// State is what a group's rows say at a moment.
type State struct {
	Workers []Worker
	// Leases of all shards that the group knows, by shard ID.
	Leases []Lease
}

// Worker is a worker of a group.
type Worker struct {
	// ID is one run of the worker, Name what people call it.
	ID, Name string
	// State is joining, running, stopping or dead. One that crashed is running
	// until another worker has seen it silent for LeaseTime.
	State string
	// LastBeat is when its last heartbeat left, by the clock of its machine.
	LastBeat  time.Time
	LeaseTime time.Duration
	// Leases are those that it owns.
	Leases int
}

// Lease is the lease of a shard.
type Lease struct {
	Shard   string
	Parents []string
	// Owner is the name of the worker that reads it; empty: nobody does. Heir is
	// the one that it is being handed to. OwnerID tells which run of the owner:
	// one that is dead keeps its leases until somebody takes them.
	Owner, OwnerID, Heir string
	// Possession rises with every change of the owner.
	Possession uint64
	// Checkpoint is the position; Start where the shard begins while that is a
	// start (zero: with its oldest record).
	Checkpoint record.Position
	Start      time.Time
	// Moved is when the checkpoint moved last, by the clock of its owner.
	Moved time.Time
	// Takeovers are owners that died at this very checkpoint.
	Takeovers int
	// Behind is how far the checkpoint lies behind the tip of the shard, if Known.
	Behind time.Duration
	Known  bool
}

// Ended tells that the shard was read to its end and is done with.
func (l *Lease) Ended() bool { return l.Checkpoint.IsShardEnd() }

func (g *Group) open(ctx context.Context, op string, f func(*lease.Admin) error) error {
	client := kinesisapi.New(g.stream, g.options)
	defer client.Close()
	warn := quiet.New(g.log)
	defer warn.Flush()
	adm, err := lease.NewAdmin(ctx, &lease.Group{Client: client, Store: g.store, Name: g.name, Log: g.log, Warn: warn})
	if err == nil {
		err = f(adm)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Inspect reads the group's rows, which costs two listings of the store. behind
// also asks the service how far each checkpoint lies behind, which costs one of
// the five reads a second that a shard has.
func (g *Group) Inspect(ctx context.Context, behind bool) (State, error) {
	var out State
	err := g.open(ctx, "inspect", func(adm *lease.Admin) error {
		s, err := adm.Inspect(ctx)
		if err != nil {
			return err
		}
		var lag map[string]time.Duration
		if behind {
			lag = adm.Behind(ctx, s.Leases)
		}
		owned := map[string]int{}
		for _, l := range s.Leases {
			owned[l.Owner]++
			d, known := lag[l.ID]
			out.Leases = append(out.Leases, Lease{
				Shard: l.ID, Parents: l.Parents, Owner: l.Worker, OwnerID: l.Owner, Heir: l.Next, Possession: l.Possession,
				Checkpoint: l.At, Start: l.Start, Moved: l.Moved, Takeovers: l.Takeovers, Behind: d, Known: known,
			})
		}
		for _, w := range s.Workers {
			out.Workers = append(out.Workers, Worker{
				ID: w.ID, Name: w.Name, State: w.State.String(), LastBeat: w.Sent, LeaseTime: w.Lease, Leases: owned[w.ID],
			})
		}
		return nil
	})
	return out, err
}

// Release asks the owner of a shard to give it up: it finishes what it has,
// writes its checkpoint, and leaves the shard to the other workers for ten
// seconds. Release returns when that is done, or ctx over. force takes the lease
// away at once: what its owner has not checkpointed is delivered again.
func (g *Group) Release(ctx context.Context, shard string, force bool) error {
	return g.open(ctx, "release", func(adm *lease.Admin) error { return adm.Release(ctx, shard, force) })
}

// Reset makes the group start anew, at a place as for a new group: positions and
// marks are deleted. It is refused with ErrInhabited while workers live, after
// having watched those that do not say anything for their lease time. force
// declares them dead: they lose their shards at their next heartbeat, and join
// again once the group has been reset.
func (g *Group) Reset(ctx context.Context, to lease.Start, force bool) error {
	return g.open(ctx, "reset", func(adm *lease.Admin) error {
		return adm.Reset(ctx, to, force)
	})
}

// Move sets the checkpoint of one shard: what follows it is delivered next, a
// start position means the shard's oldest record. Workers as in Reset.
func (g *Group) Move(ctx context.Context, shard string, to record.Position, force bool) error {
	return g.open(ctx, "move", func(adm *lease.Admin) error { return adm.Move(ctx, shard, to, force) })
}

// Delete deletes all that the group remembers of the stream. Workers as in
// Reset: those that run in spite of force make the group anew.
func (g *Group) Delete(ctx context.Context, force bool) error {
	return g.open(ctx, "delete", func(adm *lease.Admin) error { return adm.Delete(ctx, force) })
}

// ErrInhabited: what was asked for is refused while workers of the group live.
var ErrInhabited = lease.ErrInhabited
