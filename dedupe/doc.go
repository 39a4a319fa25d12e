// Package dedupe is a layer around handlers that removes duplicates by a key of the
// user's own: an order number in a header, a field of the payload, the payload itself.
//
//	o.Use(dedupe.By(dedupe.Header("order-id"), 10*time.Minute))
//
// # What it means
//
// A record is passed over, done with without the handler being called, if another
// record of the same key that arrived less than the window before it was handled
// successfully. All others are handled.
//
//   - Time is the records' own: when they arrived in the stream, not when they are
//     read. Catching up after an outage removes what would have been removed then. The
//     service says that these times may go back a little: up to a second, an arrival
//     that is later counts too.
//   - The window counts from the record that was handled. What is passed over does not
//     make it longer: a key that keeps coming is handled once a window.
//   - While a record is being handled, the next one of its key waits for the result.
//     One that fails does not count: the next one is handled.
//   - A record that comes again, because a worker died, a transaction was rolled back
//     or somebody moved the position back, is no duplicate of itself.
//   - A record without the key, or with an empty one, is handled, and counted.
//   - Records are compared within a shard and those it was made from, through splits and
//     merges: duplicates with the same partition key always meet. Others do as long as
//     they lie in the same shard.
//
// Keys are 128 bits of SHA-256, so that no two are taken for one.
//
// # What it remembers
//
// A key takes about 80 bytes of memory. Of each shard at most Options.MaxKeys are
// remembered, a million unless told otherwise; what was handled longest ago is forgotten
// first, counted and warned of.
//
// In a Consumer the keys are also rows of the group's store. They are written
// behind the checkpoint, every Options.SaveEvery and when a shard is given up, and
// read when it is begun with: an orderly stop, a handoff, a split or a merge forgets
// nothing. What is written was handled, then, whatever crashes or is rolled back. A
// crash forgets what a checkpoint covers and no row does yet: a duplicate of that
// passes. Where the store cannot be read for half a minute, or
// what it has is damaged, duplicates pass too. No failure of any kind makes a record be
// passed over that would otherwise be handled: the worst that happens is what would
// happen without the layer.
//
// Outside of a Consumer, as in package vegastest, memory is all there is.
package dedupe
