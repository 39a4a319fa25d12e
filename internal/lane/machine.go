// Package lane is the heart of the producer: it decides what is sent when, so
// that records of one key arrive in the order of their acceptance whatever the
// network and the shards do, and it knows of every record whether it was
// stored, was not, or may have been.
//
// # Lanes
//
// Every shard has a lane, and a lane has at most one aggregate under way: the
// acknowledgement clocks the next one. An answer that is no acknowledgement
// brings the same entry back to the head of its lane, to leave again with the
// same bytes. Records of one hash are always in one lane, so they cannot
// overtake each other.
//
// # Splits and merges
//
// The open lanes tile the hash key space. When a shard gives way, so does its
// lane: what is queued moves, by hash and merged by counter, to the lanes that
// replace it. What is under way cannot move yet, so the old lane drains, and
// no lane that overlaps its range sends (the barrier). When its answer comes
// and is no acknowledgement, its records too move over, by counter, and the
// barrier falls.
//
// # Misplaced aggregates
//
// An aggregate that another shard took than predicted is stored there only if
// all its records fall into that shard's range: readers drop the others, some
// the whole aggregate. If not, it counts as not delivered and its records are
// sent again under the same counters. If that shard is not known yet, the entry
// stays parked, its lane occupied, until the map is learnt.
//
// # What it is not
//
// A Machine has no goroutine, clock or lock and does no I/O: times are passed
// in, as durations since any fixed moment of the caller's. It is not safe for
// concurrent use. A runner feeds it (internal/send), a simulator
// tries to break it (internal/simulate).
package lane
