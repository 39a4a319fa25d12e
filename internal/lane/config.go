package lane

import (
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// Config is what a machine is made with. Zero fields take the defaults named.
type Config struct {
	// Producer is the identity that aggregates carry: 128 random bits.
	Producer [16]byte
	// Linger is how long a record may wait for company. Default 0.
	Linger time.Duration
	// Raw puts each record by itself, without aggregation: no identities, and
	// at most one unacknowledged record per hash.
	Raw bool
	// AggregateBytes is the most that an aggregate of several records takes.
	// Default, and most: 256 KiB.
	AggregateBytes int
	// RecordBytes is the stream's MaxRecordSize. Default limits.RecordBytes.
	RecordBytes int
	// RequestBytes bounds the data and keys of one request. Default 5 MiB,
	// which also old servers take.
	RequestBytes int
	// MaxRequests is how many requests may be under way. Default 16.
	MaxRequests int
	// FailKey ends the records queued behind one of the same hash that failed.
	FailKey bool
	// Patient keeps records until they are stored, refused for what they are, or
	// aborted: what holds for every record (Fatal, FailQueued) holds them up, and
	// the caller looks for late ones and ends them (Late, End).
	Patient bool
	// SlowAfter is how long a request may take before its lanes count as slow
	// and travel alone. Default 2 s.
	SlowAfter time.Duration
	// RefreshEvery is the least time between two requests for the shard map;
	// it doubles, up to 16 times, while these teach nothing. Default 250 ms.
	RefreshEvery time.Duration
	// RecheckAuto is how often the map is asked for while the machine is not
	// laned. Default 1 min.
	RecheckAuto time.Duration
	// Rand is where jitter comes from. Required.
	Rand *rand.Rand

	// Broken removes one rule, for the simulator's mutants: they have to be
	// caught. Never set elsewhere, but to count what order costs.
	Broken Rule
}

func (c Config) filled() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.AggregateBytes, aggregateBytes)
	c.AggregateBytes = min(c.AggregateBytes, aggregateBytes)
	def(&c.RecordBytes, limits.RecordBytes)
	def(&c.RequestBytes, 5<<20)
	c.RequestBytes = min(c.RequestBytes, limits.PutRecordsBytes)
	def(&c.MaxRequests, 16)
	defTime(&c.SlowAfter, 2*time.Second)
	defTime(&c.RefreshEvery, 250*time.Millisecond)
	defTime(&c.RecheckAuto, time.Minute)
	return c
}

// aggregateBytes is why order costs no throughput: one aggregate of this size
// per round trip is more than a shard takes a second unless the round trip is
// longer than 250 ms.
const aggregateBytes = 256 << 10

// Rule is a rule of the machine that the simulator can take away.
type Rule string

// The rules. Each closes a hole that the simulator can show.
const (
	Barrier   Rule = "barrier"   // a lane waits until its ancestors have nothing under way
	Retire    Rule = "retire"    // a lane that gives way leaves its wait to its successors
	Merge     Rule = "merge"     // what moves between lanes merges by counter
	Lock      Rule = "lock"      // counters rise in the order of the queue
	Misplaced Rule = "misplaced" // an answer from another shard is stored only where all records fit
	Sticky    Rule = "sticky"    // unknown sticks
	OneFlight Rule = "oneflight" // one aggregate of a lane under way
	OneKey    Rule = "onekey"    // raw: one unacknowledged record per hash
	Front     Rule = "front"     // what comes back goes before what is queued
	Blend     Rule = "blend"     // an aggregate has the records of one producer
	Patience  Rule = "patience"  // what holds for every record ends none, where it shall not
	Apart     Rule = "apart"     // an entry that loses a record does not leave as it was
	Order     Rule = "order"     // all that holds records back for others: Barrier, OneFlight, OneKey
)
