package mark

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// oracle is the rule without any of what makes it fast or small: every raise
// that ever was, looked through for each record.
type oracle struct {
	shard  keyspace.Range
	raises []oracleRaise
}

type oracleRaise struct {
	producer [16]byte
	over     keyspace.Range
	top      uint64
}

func (o *oracle) seen(id [16]byte, h int, c uint64) bool {
	top, any := o.top(id, h)
	return any && c <= top
}

func (o *oracle) top(id [16]byte, h int) (top uint64, any bool) {
	for _, r := range o.raises {
		if r.producer == id && r.over.Has(hash(h)) {
			top, any = max(top, r.top), true
		}
	}
	return top, any
}

// stored is an aggregate as it stands in a shard.
type stored struct {
	seq string
	id  *aggregate.Identity
	of  []int
}

// read applies the records of s up to and including sub-record last.
func (o *oracle) read(s stored, last int) (out []Verdict) {
	marks := s.id != nil && s.id.Laned
	for i, h := range s.of {
		switch {
		case !o.shard.Has(hash(h)) && marks:
			out = append(out, Misplaced)
		case !o.shard.Has(hash(h)):
			out = append(out, Foreign)
		case marks && o.seen(s.id.Producer, h, s.id.Counters[i]):
			out = append(out, Duplicate)
		default:
			out = append(out, Deliver)
		}
	}
	if marks && last >= 0 {
		if cut := s.id.Range.Cut(o.shard); !cut.Empty() {
			o.raises = append(o.raises, oracleRaise{s.id.Producer, cut, s.id.Counters[last]})
		}
	}
	return out
}

func (o *oracle) inherit(p *oracle) {
	for _, r := range p.raises {
		if cut := r.over.Cut(o.shard); !cut.Empty() {
			o.raises = append(o.raises, oracleRaise{r.producer, cut, r.top})
		}
	}
}

func (o *oracle) clone() *oracle { return &oracle{o.shard, slices.Clone(o.raises)} }

const producers = 3

// randomAggregate is one that an honest producer could have built: its records
// lie in its lane's range, its counters rise. Lanes have the ranges of shards
// that are, were or will be.
func randomAggregate(r *rand.Rand, seq int) stored {
	s := stored{seq: fmt.Sprint(seq)}
	first, size := 0, space
	for size > 4 && r.IntN(3) > 0 {
		size /= 2
		first += size * r.IntN(2)
	}
	if r.IntN(4) == 0 && first+size < space { // a merge of unlike neighbours
		size += size / 2
	}
	over := span(first, min(first+size, space)-1)
	counter := uint64(r.IntN(60))
	id := laned(r.IntN(producers), over)
	for range 1 + r.IntN(5) {
		s.of = append(s.of, first+r.IntN(min(size, space-first)))
		id.Counters = append(id.Counters, counter)
		counter += 1 + uint64(r.IntN(3)*r.IntN(3))
	}
	switch r.IntN(12) {
	case 0:
		s.id = nil
	case 1:
		id.Laned = false
		s.id = id
	default:
		s.id = id
	}
	return s
}

// checkTable compares what two sets of marks say about every hash.
func checkTable(t *testing.T, what string, got *table, want *oracle) {
	t.Helper()
	for p := range producers {
		for h := range space {
			top, any := want.top(pid(p), h)
			var gotTop uint64
			var gotAny bool
			if g := got.find(pid(p)); g != nil {
				for _, m := range g.marks {
					if m.over.Has(hash(h)) {
						gotTop, gotAny = max(gotTop, m.top), true
					}
				}
			}
			if gotTop != top || gotAny != any {
				t.Fatalf("%s: producer %d, hash %d: mark %d %v, want %d %v", what, p, h, gotTop, gotAny, top, any)
			}
		}
	}
}

// Shards are read with random checkpoints, saves, crashes and re-reads, and
// children inherit; every verdict and every saved mark is the oracle's.
func TestAgainstOracle(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		if t.Failed() {
			return
		}
		whole := []*shardRun{newShardRun(r, span(0, 31)), newShardRun(r, span(32, 63))}
		for _, s := range whole {
			s.read(t, seed)
		}
		merged := newShardRun(r, keyspace.Full, whole...)
		merged.read(t, seed)
		for _, child := range []keyspace.Range{span(0, 15), span(16, 63)} {
			newShardRun(r, child, merged).read(t, seed)
		}
	}
}

type shardRun struct {
	r     *rand.Rand
	log   []stored
	shard keyspace.Range

	parents       []*Saved
	parentOracles []*oracle
	end           *oracle
	saved         []byte
}

func newShardRun(r *rand.Rand, shard keyspace.Range, parents ...*shardRun) *shardRun {
	s := &shardRun{r: r, shard: shard}
	for i := range 5 + r.IntN(40) {
		s.log = append(s.log, randomAggregate(r, 10+i))
	}
	for _, p := range parents {
		saved, err := Decode(p.saved)
		if err != nil {
			panic(err)
		}
		s.parents = append(s.parents, saved)
		s.parentOracles = append(s.parentOracles, p.end)
	}
	return s
}

func (s *shardRun) start() (*Tracker, *oracle) {
	tr, o := New(s.shard, 0), &oracle{shard: s.shard}
	for i, p := range s.parents {
		tr.Inherit(p)
		o.inherit(s.parentOracles[i])
	}
	return tr, o
}

// epoch is one process that reads the shard: the marks that it started with,
// and behind which position.
type epoch struct {
	base *oracle
	from record.Position
}

// upTo is the oracle as of a checkpoint, in the middle of an aggregate too.
func (s *shardRun) upTo(e epoch, pos record.Position) *oracle {
	o := e.base.clone()
	for _, a := range s.log[s.indexAfter(e.from)+1:] {
		if pos.Compare(record.Position{Sequence: a.seq}) < 0 {
			break
		}
		last := len(a.of) - 1
		if a.seq == pos.Sequence {
			last = min(last, int(pos.SubSequence))
		}
		o.read(a, last)
	}
	return o
}

func (s *shardRun) read(t *testing.T, seed uint64) {
	r := s.r
	tr, live := s.start()
	var checkpoint, saved record.Position
	var body []byte
	now := epoch{base: live.clone()}
	inBody := live.clone()
	var truth [][]Verdict // without any crash
	_, o := s.start()
	for _, a := range s.log {
		truth = append(truth, o.read(a, len(a.of)-1))
	}
	exact, exactBody := true, true // no marks were lost by saving them late
	crashes := 4
	for i := 0; i < len(s.log); i++ {
		a := s.log[i]
		got := tr.Decide(nil, a.seq, a.id, &hashes{of: a.of})
		if want := live.read(a, len(a.of)-1); !slices.Equal(got, want) {
			t.Fatalf("seed %d, aggregate %d %+v %v: %v, want %v", seed, i, a.id, a.of, got, want)
		}
		for k := range got {
			behind := checkpoint.Compare(record.Position{Sequence: a.seq, SubSequence: int64(k)}) < 0
			// A crash may let duplicates through where marks lagged; it must
			// never take for a duplicate what was not one.
			if behind && truth[i][k] == Deliver && got[k] != Deliver {
				t.Fatalf("seed %d, aggregate %d: record %d is lost after a restart", seed, i, k)
			}
			if behind && exact && truth[i][k] != got[k] {
				t.Fatalf("seed %d, aggregate %d: record %d: %v after a restart, %v without", seed, i, k, got[k], truth[i][k])
			}
		}
		if checkpoint.Compare(record.Position{Sequence: a.seq, SubSequence: int64(len(a.of) - 1)}) > 0 {
			continue // still catching up
		}
		switch r.IntN(8) {
		case 0, 1: // a checkpoint somewhere in what was read
			b := s.log[r.IntN(i+1)]
			pos := record.Position{Sequence: b.seq, SubSequence: int64(r.IntN(len(b.of)))}
			if pos.Compare(checkpoint) > 0 {
				checkpoint = pos
			}
			tr.Checkpointed(pos)
			if checkpoint != tr.at {
				t.Fatalf("checkpoint %v, want %v", tr.at, checkpoint)
			}
			if r.IntN(2) == 0 {
				body, saved, inBody = tr.Encode(), checkpoint, s.upTo(now, checkpoint)
				exactBody = exact
			}
		case 2: // read again from the checkpoint, in the same process
			if crashes--; crashes < 0 {
				continue
			}
			tr.Rewind()
			live = s.upTo(now, checkpoint)
			checkTable(t, fmt.Sprintf("seed %d: rewound", seed), &tr.live, live)
			i = s.indexAfter(checkpoint)
		case 3: // and in another process
			if crashes--; crashes < 0 {
				continue
			}
			if body == nil {
				tr, live = s.start()
				tr.Checkpointed(checkpoint)
				exact = checkpoint == record.Position{}
			} else {
				m, err := Decode(body)
				if err != nil {
					t.Fatal(err)
				}
				tr = New(s.shard, 0)
				if !tr.Restore(m, checkpoint) {
					t.Fatalf("seed %d: marks at %v not used at %v", seed, saved, checkpoint)
				}
				live = inBody.clone()
				exact = exactBody && saved == checkpoint
			}
			checkTable(t, fmt.Sprintf("seed %d: restored", seed), &tr.live, live)
			from := checkpoint
			if r.IntN(2) == 0 { // from where the marks belong, so that they catch up
				from, exact = saved, exactBody
			}
			now = epoch{live.clone(), from}
			i = s.indexAfter(from)
		}
	}
	tr.Checkpointed(record.ShardEnd)
	s.saved = tr.Encode()
	s.end = live
	checkTable(t, fmt.Sprintf("seed %d: at the end", seed), &tr.saved, live)
}

// indexAfter is the index before the aggregate that reading starts with again.
func (s *shardRun) indexAfter(checkpoint record.Position) int {
	for i, a := range s.log {
		if checkpoint.Compare(record.Position{Sequence: a.seq, SubSequence: int64(len(a.of) - 1)}) < 0 {
			return i - 1
		}
	}
	return len(s.log) - 1
}
