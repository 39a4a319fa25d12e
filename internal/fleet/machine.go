package fleet

import (
	"errors"
	"time"
)

// Machine is one worker. One goroutine owns it. Times are since an arbitrary
// moment, on the worker's own monotonic clock.
//
// The runner calls Poll after every other call and at the time that Poll named,
// carries out what it returns, and answers every Ask.
type Machine struct {
}

// Why a worker is over without having been told to stop.
var (
	// ErrNameTaken: another worker lives under the same name.
	ErrNameTaken = errors.New("another worker of the group has this name")
	// ErrDead: it was declared dead, or its row is gone, or its creation had no
	// answer: a new Machine with a new ID may go on, once everything of this
	// one has been Closed.
	ErrDead = errors.New("declared dead by another worker")
)

// New is a worker that has not joined yet.
func New(c Config) *Machine { return &Machine{} }

// Poll returns what to ask and what to do now, and when to call again unless
// something happens before.
func (m *Machine) Poll(now time.Duration) (asks []*Ask, acts []Act, next time.Duration) {
	return nil, nil, 0
}

// Answer tells the answer to an Ask.
func (m *Machine) Answer(now time.Duration, a *Ask, ans Answer) {}

// Closed tells that a shard's function has ended, which it does once for each
// Start. children are those that the end of the shard named, if any.
func (m *Machine) Closed(now time.Duration, lease string, possession uint64, how Closing, children []Shard) {
}

// Seen tells lease rows that the runner came by when it wrote checkpoints.
func (m *Machine) Seen(now time.Duration, rows ...Lease) {}

// Stop begins the orderly end: everything is handed over, then Over is true.
func (m *Machine) Stop(now time.Duration) {}

// Until is when the worker's leases can no longer be proven.
func (m *Machine) Until() time.Duration { return 0 }

// Over tells that the worker's part has ended: nil after Stop, else why.
func (m *Machine) Over() (bool, error) { return false, nil }

// Lease is what is known of a shard's lease.
func (m *Machine) Lease(id string) (Lease, bool) { return Lease{}, false }

// Waiting is how many unfinished leases nobody may read yet, or nobody owns.
func (m *Machine) Waiting() int { return 0 }
