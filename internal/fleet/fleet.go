// Package fleet decides what one worker of a fleet does: when to beat, whom to
// declare dead, which leases to take, to hand over and to give back, which
// shards to read, and when to stop. It is a state machine: the runner asks what
// it wants asked and tells it the answers, and time and randomness are
// arguments, so that the simulator runs thousands of fleets through the same
// code.
//
// What keeps two workers from reading one shard:
//
//   - A death is a write. A lease is taken only when nobody owns it, or its
//     owner's row is dead or gone. Dead is written only over the beat that its
//     writer saw unchanged for the lease time, on its own clock; a heartbeat is
//     written only over a row that is there and not dead. One of the two is
//     refused.
//   - A worker is valid for the lease time, less a margin, from when it sent the
//     last heartbeat that was acknowledged. When that is over its shards stop.
//     No row is ever made a second time: an ID whose creation has no answer is
//     given up for another.
//   - That a row is gone is believed only of a read that is not behind, and that
//     began after the lease was read.
//   - From a living owner a lease comes only by that owner's own Give, which it
//     asks for when the shard's function has returned.
//   - Every possession begins with an acknowledged write that makes its number.
//     What a row says is a worker's own, and it does not hold, it takes anew.
package fleet

import (
	"time"

	"github.com/libvegas/vegas/record"
)

var shardEnd = record.ShardEnd

// Timing of a fleet; all from the lease time, so that one option sets it.
type Timing struct {
	// Lease is how long a worker that stopped beating keeps its leases.
	Lease time.Duration
	// Beat is the time between heartbeats.
	Beat time.Duration
	// Margin is what a lease is given up before others may take it.
	Margin time.Duration
	// Look is the time between looks at the other workers, in a small fleet.
	Look time.Duration
	// Sweep is the time between reads of all lease rows, when there is no news.
	Sweep time.Duration
	// Rest is how long a lease that a function gave back is left to others.
	Rest time.Duration
}

// TimingOf is for a lease time.
func TimingOf(lease time.Duration) Timing {
	return Timing{
		Lease: lease, Beat: lease / 5, Margin: lease * 3 / 20, Look: min(250*time.Millisecond, lease/8),
		Sweep: time.Minute, Rest: 10 * time.Second,
	}
}

// Config of a Machine.
type Config struct {
	// ID is the worker's row, drawn at random for this run.
	ID string
	// Name is the user's word for the worker.
	Name   string
	Timing Timing
	// MaxLeases is the most that it takes; 0: no limit.
	MaxLeases int
	// Rand is a source of uniform numbers in [0, 1).
	Rand func() float64
	// Broken plants a bug, for the simulator; empty for none.
	Broken Rule
}

// Act is something to do about a shard.
type Act struct {
	Kind  ActKind
	Lease Lease // as it is now
	// Begin, of Start, is where to begin while Lease.At is a start; zero: with
	// the oldest record.
	Begin time.Time
	// How and From, of Start: the way the lease came, and its former owner.
	How  How
	From string
	// Why, of Drain.
	Why Why
}

// ActKind is the kind of an Act.
type ActKind uint8

const (
	// Start reading a shard under a new possession. Its function ends with a
	// call of Closed.
	Start ActKind = iota
	// Drain ends the reading of a shard: its function finishes what it has,
	// writes its last checkpoint and returns, which Closed tells.
	Drain
	// Lose ends a shard's function at once: the lease is not provably ours.
	// Closed tells when it has returned.
	Lose
)

// How a lease came.
type How uint8

const (
	// Free: nobody owned it.
	Free How = iota
	// FromDead: its owner was declared dead, or is gone.
	FromDead
	// ByHandoff: its owner handed it over.
	ByHandoff
	// Again: it was ours, and for a while we could not prove it, or its
	// function failed.
	Again
)

// String is the word in events.
func (h How) String() string { return [...]string{"free", "dead", "handoff", "again"}[h] }

// Why a shard drains.
type Why uint8

const (
	// ToBalance: another worker gets the lease.
	ToBalance Why = iota
	// ToStop: this worker stops.
	ToStop
)

// Closing is how a shard's function ended.
type Closing uint8

const (
	// Drained: as it was told to; all it did is checkpointed.
	Drained Closing = iota
	// GivenBack: it returned by itself.
	GivenBack
	// ReadToEnd: the shard was closed and is done with; its children are known
	// or still to be listed.
	ReadToEnd
	// Lost: a write found the lease lost, or Lose ended it.
	Lost
)
