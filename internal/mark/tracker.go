// Package mark removes duplicates. A producer that resends what may have been
// stored gives every record the number it had before; a reader remembers, for
// each producer and each lane of it, the highest number it has seen: the mark.
// What is at or below the mark was seen before.
//
// Lanes follow shards, so after a split or a merge one producer has sent to the
// same hash keys through lanes of different ranges. A mark therefore holds for
// its lane's range only, cut to the shard it was read from: what lay outside
// was not delivered there, and a shard merged later would inherit a lie.
//
// Marks may lag behind the checkpoint, which can let a duplicate through. They
// must never lead it: that would lose records.
package mark

import (
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// Verdict is what is to be done with a sub-record.
type Verdict uint8

// Verdicts.
const (
	// Deliver it.
	Deliver Verdict = iota
	// Duplicate: it was seen before; drop it.
	Duplicate
	// Misplaced: it lies in a shard that does not own its hash key. Drop it:
	// its producer sends it again to where it belongs.
	Misplaced
	// Foreign: misplaced too, but from a producer that may not send it again.
	// The caller decides.
	Foreign
)

// String is the verdict's name in lower case.
func (v Verdict) String() string {
	switch v {
	case Deliver:
		return "deliver"
	case Duplicate:
		return "duplicate"
	case Misplaced:
		return "misplaced"
	case Foreign:
		return "foreign"
	}
	return "unknown verdict"
}

// Records are the sub-records of one aggregate; *aggregate.Aggregate is one.
type Records interface {
	Len() int
	// Hash is what routes sub-record i.
	Hash(i int) keyspace.Hash
	// Key is the key whose hash that is; empty: an explicit hash key is.
	Key(i int) string
}

// Tracker keeps the marks of one shard: the live ones, as of what was decided
// last, and the saved ones, as of the last checkpoint. It is a decision without
// locks or clock: one owner calls it, in stream order, before records are
// handled side by side.
//
// Its life: New, then Restore of the shard's own marks or, where it has none,
// Inherit of its parents'; Decide and Checkpointed while it is read; Encode
// whenever the marks are written; Rewind when it is read again.
type Tracker struct {
	shard keyspace.Range
	live  table
	saved table
	queue queue           // raises that are live and not yet saved
	keys  inside          // of records that no mark was asked about
	at    record.Position // the checkpoint that saved belongs to
}

// New makes a Tracker without marks for a shard that owns a hash range.
// producers bounds how many producers it remembers, those seen least recently
// are forgotten first; 0 means ProducersKept.
func New(shard keyspace.Range, producers int) *Tracker {
	if producers <= 0 {
		producers = ProducersKept
	}
	return &Tracker{shard: shard, live: newTable(producers), saved: newTable(producers)}
}

// Decide judges the sub-records of the aggregate with sequence number seq and
// appends one verdict for each to dst. id is the aggregate's identity, nil if it
// has none that is sound; nothing of it is kept. Sequence numbers must not go
// back except after Rewind. A record that was not aggregated needs no verdict.
//
// When a shard is read again from a checkpoint inside an aggregate, Decide gets
// the whole aggregate, and the caller skips the sub-records up to the
// checkpoint whatever their verdict. It may also be read from further back, at
// best from where the restored marks belong (Saved.At): that raises marks that
// lag up to the checkpoint.
func (t *Tracker) Decide(dst []Verdict, seq string, id *aggregate.Identity, rs Records) []Verdict {
	n := rs.Len()
	if id == nil || !id.Laned || len(id.Counters) != n || n == 0 {
		return t.decideForeign(dst, rs)
	}
	p := t.live.find(id.Producer)
	if m, ok := t.alone(p, id); ok {
		for _, c := range id.Counters {
			v := Deliver
			if m != nil && c <= m.top {
				v = Duplicate
			}
			dst = append(dst, v)
		}
	} else {
		dst = t.decideEach(dst, p, id, rs)
	}
	// The mark rises over the whole aggregate: what it holds outside the shard
	// lies outside the mark's range too.
	if cut := id.Range.Cut(t.shard); !cut.Empty() {
		t.live.raise(id.Producer, cut, id.Counters[n-1])
		t.queue.push(seq, id, cut)
		if t.at.Compare(record.Position{Sequence: seq}) >= 0 {
			t.save() // read again for its marks: the checkpoint covers it already
		}
	}
	return dst
}

// alone finds the one mark that decides about the whole aggregate, nil if none
// covers anything of it, so that no record needs to be hashed. There is no such
// mark if some records may lie outside the shard, or if one that could matter
// holds for a part of the lane only.
func (t *Tracker) alone(p *producer, id *aggregate.Identity) (highest *mark, ok bool) {
	if !t.shard.Covers(id.Range) {
		return nil, false
	}
	if p == nil {
		return nil, true
	}
	for i := range p.marks {
		if m := &p.marks[i]; m.over.Covers(id.Range) && (highest == nil || m.top > highest.top) {
			highest = m
		}
	}
	for i := range p.marks {
		m := &p.marks[i]
		if m.top < id.Counters[0] || highest != nil && m.top <= highest.top {
			continue
		}
		if m.over.Overlaps(id.Range) {
			return nil, false
		}
	}
	return highest, true
}

func (t *Tracker) decideEach(dst []Verdict, p *producer, id *aggregate.Identity, rs Records) []Verdict {
	for i, c := range id.Counters {
		h := rs.Hash(i)
		switch {
		case !t.shard.Has(h):
			dst = append(dst, Misplaced)
		case p != nil && p.seen(h, c):
			dst = append(dst, Duplicate)
		default:
			dst = append(dst, Deliver)
		}
	}
	return dst
}

func (t *Tracker) decideForeign(dst []Verdict, rs Records) []Verdict {
	all := t.shard == keyspace.Full
	for i := range rs.Len() {
		if all || t.isInside(rs, i) {
			dst = append(dst, Deliver)
		} else {
			dst = append(dst, Foreign)
		}
	}
	return dst
}

func (t *Tracker) isInside(rs Records, i int) bool {
	key := rs.Key(i)
	if key == "" {
		return t.shard.Has(rs.Hash(i))
	}
	fingerprint, ok := t.keys.has(key)
	if !ok && t.shard.Has(rs.Hash(i)) {
		t.keys.add(fingerprint)
		ok = true
	}
	return ok
}

// Checkpointed tells that a checkpoint at pos was written: the saved marks rise
// to it, inside an aggregate to its last sub-record that pos covers. Positions
// that are not behind the last one change nothing.
func (t *Tracker) Checkpointed(pos record.Position) {
	if pos.Compare(t.at) <= 0 {
		return
	}
	t.at = pos
	t.save()
}

// save raises the saved marks to the checkpoint.
func (t *Tracker) save() {
	t.queue.pass(t.at, func(id [16]byte, over keyspace.Range, top uint64) {
		t.saved.raise(id, over, top)
	})
}

// Rewind makes the saved marks the live ones: the shard is going to be read
// again from its last checkpoint, and what was decided since is void.
func (t *Tracker) Rewind() {
	t.live = t.saved.clone()
	t.queue.clear()
}

// Restore starts a new Tracker with the marks that were saved for its shard and
// reports whether they could be used. Marks that lead the checkpoint from which
// the shard is read are discarded: somebody moved the checkpoint back to have
// records again, and the marks would take them for duplicates.
func (t *Tracker) Restore(s *Saved, checkpoint record.Position) bool {
	t.at = checkpoint
	if s.Leads(checkpoint) {
		return false
	}
	t.take(s)
	return true
}

// Inherit adds to a new Tracker the marks of a parent shard, cut to this shard.
// Of two marks for the same range the higher wins. The caller has made sure
// that they do not lead the parent's own checkpoint (Saved.Leads).
func (t *Tracker) Inherit(parent *Saved) {
	t.take(parent)
}

func (t *Tracker) take(s *Saved) {
	for _, m := range s.marks {
		if cut := m.over.Cut(t.shard); !cut.Empty() {
			t.live.raise(m.producer, cut, m.top)
			t.saved.raise(m.producer, cut, m.top)
		}
	}
}

// Encode is what Decode reads: the saved marks and the checkpoint they belong
// to. It is never longer than EncodedBytes; producers that do not fit, those
// seen least recently, are left out. Write it after the checkpoint, not before.
func (t *Tracker) Encode() []byte {
	return encode(t.at, t.shard, &t.saved)
}

// Producers is how many producers have live marks.
func (t *Tracker) Producers() int { return len(t.live.byID) }
