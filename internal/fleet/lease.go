package fleet

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// State is what a worker's row says of it.
type State uint8

const (
	// Joining: its row is made; whether its name is free is not known yet. It
	// owns nothing.
	Joining State = iota
	// Running: it takes leases and is given some.
	Running
	// Stopping: it gives everything away and takes nothing.
	Stopping
	// Dead: it has left, or was declared dead. Final: a row never comes back
	// from it, and neither does an ID whose row is gone.
	Dead
)

// String is the word in the row.
func (s State) String() string { return [...]string{"joining", "running", "stopping", "dead"}[s] }

// Worker is a worker's row: heartbeat, death fence and doorbell.
type Worker struct {
	// ID is one run of a worker: drawn at random, used once.
	ID string
	// Name is the user's word for it; two that live with one name are a mistake.
	Name  string
	State State
	// Limit is the most leases that it takes; 0: no limit.
	Limit int
	// Lease is its lease time: so long it must have been seen silent before it
	// is declared dead, whatever the lease time of who watches it.
	Lease time.Duration
	// Beat rises with each heartbeat.
	Beat uint64
	Bell Bell
}

// Bell tells which lease rows a worker changed: how many changes there were
// since it joined, and whose the latest were, at most BellNames, the last one
// last. Whoever has seen Count-k reads the last k; where they are not all named,
// it reads every lease.
type Bell struct {
	Count  uint64
	Leases []string
}

// BellNames keeps a worker's row far below 1 KiB.
const BellNames = 8

// Ring adds a change.
func (b *Bell) Ring(lease string) {
	b.Count++
	b.Leases = append(b.Leases, lease)
	if len(b.Leases) > BellNames {
		b.Leases = append([]string(nil), b.Leases[len(b.Leases)-BellNames:]...)
	}
}

// Shard is what a listing, or the end of a parent, tells of a shard.
type Shard struct {
	ID      string
	Parents []string
	Range   keyspace.Range
}

// Lease is a lease's row. Position and possession have different writers: At
// moves by checkpoints of the owner, everything else by an Ask.
type Lease struct {
	Shard
	// At is the checkpoint, Start where the shard begins while At is a start
	// (zero: with its oldest record).
	At    record.Position
	Start time.Time
	// Seen: what arrived before is done with. Zero: not known.
	Seen time.Time
	// Children are named once the shard has ended.
	Children []string
	// Owner is the ID of the worker that reads the shard; Heir of the one it
	// has announced to hand it to, or Anyone. Empty: none.
	Owner, Heir string
	// Possession rises with every change of possession over the life of the
	// group. All that an owner writes is conditional on it.
	Possession uint64
	// Takeovers counts the owners that died at exactly this checkpoint;
	// Suspect tells that a record behind it is thought to have killed them, and
	// Tried how often the next one was tried without an end.
	Takeovers int
	Suspect   bool
	Tried     int
}

// Anyone as Heir is an administrator's wish that the owner give the lease up.
const Anyone = "*"

// Ended tells that the shard is done with.
func (l *Lease) Ended() bool { return l.At.IsShardEnd() }
