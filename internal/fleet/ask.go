package fleet

import (
	"slices"
	"time"
)

// Verb is what an Ask asks for.
type Verb uint8

const (
	// Join makes the worker's row; refused where there is one.
	Join Verb = iota
	// Beat writes the worker's row: only if it is there, and not dead.
	Beat
	// Declare writes that another worker is dead: only if its row still has
	// the beat that was seen.
	Declare
	// Bury deletes a dead worker's row.
	Bury

	// Look reads the workers' rows; the answer may lag by a second or two.
	Look
	// LookSurely reads them as they are.
	LookSurely
	// Sweep reads all lease rows as they are.
	Sweep
	// Read reads some lease rows as they are.
	Read

	// Take makes a lease the worker's own: a new possession.
	Take
	// Announce names an heir.
	Announce
	// Withdraw takes the announcement back.
	Withdraw
	// Give ends the possession: the lease is To's, or nobody's.
	Give
	// Create makes the lease of a shard that has none, owned by To or nobody.
	Create
	// End writes that a shard is done with.
	End
	// Forget deletes the lease, and the marks, of a shard that nobody needs.
	Forget

	// List lists the stream's shards.
	List
)

// String is the verb's word.
func (v Verb) String() string {
	return [...]string{"join", "beat", "declare", "bury", "look", "look surely", "sweep", "read",
		"take", "announce", "withdraw", "give", "create", "end", "forget", "list"}[v]
}

// Ask is one question to the store, or with List to the stream. It is answered
// exactly once, with its N.
//
// Writes are atomic: a write that is asked for is applied as its condition says
// (see Apply) or not at all; the runner makes that of compare-and-swap and
// reading. An answer may get lost, which is Unknown: the write may have been
// applied, or may be applied later.
type Ask struct {
	N    uint64
	Verb Verb
	// Worker is the row to write (Join, Beat), or as it was seen (Declare, Bury).
	Worker Worker
	// Lease, for all of a lease; Possession and From are its possession number
	// and owner as they were seen.
	Lease      string
	Possession uint64
	From       string
	// To is the new owner (Take, Give, Create; empty: nobody) or the heir.
	To string
	// Dead: the owner that it is taken from died.
	Dead bool
	// Leases to read.
	Leases []string
	// Shard of Create.
	Shard Shard
	// Children of End.
	Children []string

	sent time.Duration // when it was asked
	of   *Machine      // that waits for its answer
}

// Outcome is what became of an Ask.
type Outcome uint8

const (
	// Done: read, or applied.
	Done Outcome = iota
	// Refused: its condition does not hold. Leases or Workers have the row as
	// it is, where there is one.
	Refused
	// Unknown: no answer.
	Unknown
)

// Answer to an Ask. Rows that were written or read are in it.
type Answer struct {
	Outcome Outcome
	Workers []Worker
	Leases  []Lease
	// Gone are leases that were asked for and do not exist.
	Gone   []string
	Shards []Shard
	// Err is what went wrong where the Outcome is Unknown; for people.
	Err error
}

// Apply is what a write does to a lease that exists: the new row, or false where
// its condition does not hold.
func (a *Ask) Apply(l Lease) (Lease, bool) {
	if l.Possession != a.Possession || l.Owner != a.From || l.Ended() {
		return l, false
	}
	switch a.Verb {
	case Take:
		l.Owner, l.Heir = a.To, ""
		l.Possession++
		if a.Dead {
			l.Takeovers++
		}
	case Announce:
		if l.Heir != "" {
			return l, false
		}
		l.Heir = a.To
	case Withdraw:
		l.Heir = ""
	case Give:
		l.Owner, l.Heir = a.To, ""
		l.Possession++
	case End:
		l.Owner, l.Heir = "", ""
		l.At.Sequence, l.At.SubSequence = shardEnd.Sequence, shardEnd.SubSequence
		l.Children = slices.Clone(a.Children)
	default:
		return l, false
	}
	return l, true
}

// Applied tells whether a lease looks as a write leaves it: an earlier try was
// applied after all.
func (a *Ask) Applied(l Lease) bool {
	switch a.Verb {
	case Take, Give:
		return l.Owner == a.To && l.Possession == a.Possession+1 && l.Heir == ""
	case Announce:
		return l.Owner == a.From && l.Possession == a.Possession && l.Heir == a.To
	case Withdraw:
		return l.Owner == a.From && l.Possession == a.Possession && l.Heir == ""
	case End:
		return l.Ended()
	}
	return false
}
