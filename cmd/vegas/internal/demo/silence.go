package demo

import (
	"slices"
	"time"
)

// silence tells how long records of each shard have waited for anybody to handle
// them, and the longest such wait of each incident. Times are since the start of
// the demo.
type silence struct {
	shards    map[string]*quiet
	incidents []*Incident // the newest last
}

// quiet is one shard. A child's silence begins with that of its parents, so that
// none is lost where a shard ends.
type quiet struct {
	parents []string
	born    time.Duration // when it was known first
	last    time.Duration // when a record was handled last
	heard   bool          // one was
	ended   bool          // it was read to its end
}

// Incident is something that may silence shards for a while.
type Incident struct {
	At   time.Duration
	Kind Kind
	What string
	// Goal is for how long shards may be silent; 0: there is none.
	Goal time.Duration
	// Silent is the longest silence, and Shard whose it was.
	Silent time.Duration
	Shard  string
	// Repeated counts deliveries beyond a record's first.
	Repeated int64

	repeatedBefore int64 // in all, when it began
}

// Kind is what an incident is.
type Kind uint8

// Kinds of incidents.
const (
	Split Kind = iota
	Merge
	Add     // a worker starts
	Stop    // a worker is told to stop
	Kill    // a worker's process is killed
	Replace // a worker starts and another one stops
	Fault   // the server misbehaves
)

// Met tells that no shard was silent for longer than the goal.
func (i *Incident) Met() bool { return i.Goal == 0 || i.Silent <= i.Goal }

func newSilence() *silence { return &silence{shards: map[string]*quiet{}} }

// know adds a shard.
func (s *silence) know(shard string, at time.Duration, parents ...string) {
	if s.shards[shard] == nil {
		s.shards[shard] = &quiet{parents: slices.DeleteFunc(parents, func(p string) bool { return p == "" }), born: at}
	}
}

// since is when a shard fell silent.
func (s *silence) since(q *quiet) time.Duration {
	if q.heard || len(q.parents) == 0 {
		return max(q.last, q.born)
	}
	at := time.Duration(0)
	for _, p := range q.parents {
		if parent := s.shards[p]; parent != nil {
			at = max(at, s.since(parent))
		}
	}
	return at
}

// handled takes note that records of a shard were handled, the oldest of which was
// sent at sent: before that nothing was there to be silent about.
func (s *silence) handled(shard string, at, sent time.Duration) {
	q := s.shards[shard]
	if q == nil {
		s.know(shard, at)
		q = s.shards[shard]
	}
	waited := at - max(s.since(q), sent)
	if first := !q.heard && len(q.parents) == 0; !first { // the group's start is no incident
		s.blame(shard, waited)
	}
	q.heard, q.last = true, at
}

// ended takes note that a shard was read to its end.
func (s *silence) ended(shard string) {
	if q := s.shards[shard]; q != nil {
		q.ended = true
	}
}

// blame puts a silence down to the last incident.
func (s *silence) blame(shard string, waited time.Duration) {
	if len(s.incidents) == 0 {
		return
	}
	if i := s.incidents[len(s.incidents)-1]; waited > i.Silent {
		i.Silent, i.Shard = waited, shard
	}
}

// repeated puts down to the last incident what was repeated since it began, of so
// many in all.
func (s *silence) repeated(total int64) {
	if n := len(s.incidents); n > 0 {
		i := s.incidents[n-1]
		i.Repeated = total - i.repeatedBefore
	}
}

// now is how long a shard has been silent; 0 where nothing is to be heard any more,
// or yet.
func (s *silence) now(shard string, at time.Duration) time.Duration {
	q := s.shards[shard]
	if q == nil || q.ended || !q.heard && len(q.parents) == 0 {
		return 0
	}
	return max(at-s.since(q), 0)
}

// flows tells that each of the shards has been heard of after a time.
func (s *silence) flows(shards []string, after time.Duration) bool {
	for _, id := range shards {
		if q := s.shards[id]; q == nil || !q.heard || q.last <= after {
			return false
		}
	}
	return true
}
