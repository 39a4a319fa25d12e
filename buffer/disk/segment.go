package disk

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// segment is a file of records, and which of them are gone: acknowledged, dead
// or lost. It is guarded by Log.mu.
type segment struct {
	path string
	head header
	size int64  // what is valid of the file
	end  uint64 // the last Seq that it stands for; head.first-1: none
	// closed: where it ends is said in the file itself.
	closed bool
	// keep: bytes of it could neither be read nor set aside.
	keep bool
	// unmovable: what is left of it cannot be copied.
	unmovable bool

	gone   set
	number int64 // of gone
	unsaid set   // those of gone that are only so in this opening
	// seqs are those of a remainder, relative to head.first; nil: not read yet,
	// and early are those that were acknowledged in earlier openings.
	seqs  []uint32
	total int64 // records of a remainder
	early map[uint64]struct{}
	// lowest is the first that is not gone in a remainder that was not read yet.
	lowest uint64

	times []moment
	low   int // where firstLive has looked
}

// moment: from this Seq on records were accepted at this time.
type moment struct {
	seq uint64
	at  int64
}

// maxMoments bounds what a segment remembers of times: what follows is kept to a
// second.
const maxMoments = 1024

func segmentName(first uint64) string { return fmt.Sprintf("%016x.log", first) }

func (s *segment) remainder() bool { return s.head.flags&flagRemainder != 0 }

// records is how many it stands for.
func (s *segment) records() int64 {
	if s.remainder() {
		return s.total
	}
	return int64(s.end + 1 - s.head.first)
}

// live is how many of them are not gone.
func (s *segment) live() int64 { return s.records() - s.number }

// index is where a record's bit is; -1: it is none of the segment's, or it is
// not known whether it is.
func (s *segment) index(seq uint64) int {
	switch {
	case seq < s.head.first || seq > s.end:
		return -1
	case !s.remainder():
		return int(seq - s.head.first)
	}
	i, found := slices.BinarySearch(s.seqs, uint32(seq-s.head.first))
	if !found {
		return -1
	}
	return i
}

// mark makes a record gone, and tells whether it was not before.
func (s *segment) mark(seq uint64) bool {
	i := s.index(seq)
	if i < 0 || !s.gone.add(i) {
		return false
	}
	s.number++
	return true
}

func (s *segment) isGone(seq uint64) bool {
	if s.remainder() && s.seqs == nil {
		_, gone := s.early[seq]
		return gone
	}
	i := s.index(seq)
	return i < 0 || s.gone.has(i)
}

// learn says which records a remainder holds, once it was read.
func (s *segment) learn(seqs []uint32) {
	s.seqs, s.total, s.number = seqs, int64(len(seqs)), 0
	if s.seqs == nil {
		s.seqs = []uint32{}
	}
	early := s.early
	s.early = nil
	for seq := range early {
		s.mark(seq)
	}
}

// lacks are the records of a remainder that are neither gone nor among those that
// were found.
func (s *segment) lacks(found []uint32) []uint64 {
	var lost []uint64
	for i, rel := range s.seqs {
		if len(found) > 0 && found[0] == rel {
			found = found[1:]
			continue
		}
		if !s.gone.has(i) {
			lost = append(lost, s.head.first+uint64(rel))
		}
	}
	return lost
}

// firstLive is the first that is not gone.
func (s *segment) firstLive() uint64 {
	if s.remainder() && s.seqs == nil {
		return max(s.lowest, s.head.first)
	}
	for n := int(s.records()); s.low < n && s.gone.has(s.low); {
		s.low++
	}
	if !s.remainder() {
		return s.head.first + uint64(s.low)
	}
	if s.low < len(s.seqs) {
		return s.head.first + uint64(s.seqs[s.low])
	}
	return s.end
}

// spans are the records that are gone for good, in order.
func (s *segment) spans() []span {
	var spans []span
	add := func(seq uint64) {
		if n := len(spans); n > 0 && spans[n-1].last+1 == seq {
			spans[n-1].last = seq
			return
		}
		spans = append(spans, span{seq, seq})
	}
	switch {
	case s.remainder() && s.seqs == nil:
		seqs := make([]uint64, 0, len(s.early))
		for seq := range s.early {
			seqs = append(seqs, seq)
		}
		slices.Sort(seqs)
		for _, seq := range seqs {
			add(seq)
		}
	default:
		s.gone.each(func(i int) {
			switch {
			case s.unsaid.has(i):
			case s.remainder():
				add(s.head.first + uint64(s.seqs[i]))
			default:
				add(s.head.first + uint64(i))
			}
		})
	}
	return spans
}

// accept remembers when a record was accepted.
func (s *segment) accept(seq uint64, at int64) {
	n := len(s.times)
	if n > 0 && (s.times[n-1].at == at || s.times[n-1].seq >= seq || n >= maxMoments && at-s.times[n-1].at < 1e9) {
		return
	}
	s.times = append(s.times, moment{seq, at})
}

// acceptedAt is about when a record was accepted.
func (s *segment) acceptedAt(seq uint64) int64 {
	i := sort.Search(len(s.times), func(i int) bool { return s.times[i].seq > seq })
	if i == 0 {
		return s.head.created
	}
	return s.times[i-1].at
}

// set is a set of small numbers.
type set []uint64

func (s set) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

func (s *set) add(i int) bool {
	for i>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	if s.has(i) {
		return false
	}
	(*s)[i>>6] |= 1 << (i & 63)
	return true
}

func (s set) each(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w<<6 + bits.TrailingZeros64(word))
		}
	}
}

// segmentOf is the segment that stands for a number, or nil.
func (l *Log) segmentOf(seq uint64) *segment {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].head.first > seq })
	// Of several that begin alike all but the last are empty.
	if i == 0 || l.segments[i-1].end < seq {
		return nil
	}
	return l.segments[i-1]
}
