package dedupe

// hash stands for a key.
type hash [16]byte

// entry tells that a record of a key was handled.
type entry struct {
	key    hash
	origin uint64 // which record
	at     int64  // when it arrived, in Unix milliseconds
}

// chunkEntries are allocated together: 16 KiB.
const chunkEntries = 512

// table remembers the keys of one shard: a queue of what was handled, and where in it
// the last entry of each key is. Those before it are dead. It has no clock: the
// newest record is now.
type table struct {
	window int64 // milliseconds
	slack  int64 // milliseconds by which a record that was handled may have arrived later
	limit  int   // entries, also dead ones

	index       map[hash]uint32 // the low half of an entry's number
	first, next uint64          // numbers of the oldest entry and of the one to come
	chunks      []*[chunkEntries]entry
	newest      int64 // arrival
}

// find is the last entry of a key, or nil.
func (t *table) find(key hash) *entry {
	low, ok := t.index[key]
	if !ok {
		return nil
	}
	return t.at(t.first + uint64(low-uint32(t.first)))
}

func (t *table) at(n uint64) *entry {
	return &t.chunks[n/chunkEntries-t.first/chunkEntries][n%chunkEntries]
}

// passes tells whether a record is a duplicate: whether another one of its key that
// arrived less than the window before it was handled. One that arrived later does not
// count: both come again, and it could fail this time.
func (t *table) passes(e entry) bool {
	old := t.find(e.key)
	return old != nil && old.origin != e.origin && e.at-old.at < t.window && old.at-e.at <= t.slack
}

// put remembers that a record was handled. forgotten is how many keys had to go
// before their window was over.
func (t *table) put(e entry) (forgotten int) {
	if t.index == nil {
		t.index, t.newest = map[hash]uint32{}, e.at
	}
	t.newest = max(t.newest, e.at)
	if old := t.find(e.key); old != nil && old.at == e.at {
		*old = e
		return 0
	}
	if t.next/chunkEntries-t.first/chunkEntries == uint64(len(t.chunks)) {
		t.chunks = append(t.chunks, new([chunkEntries]entry))
	}
	*t.at(t.next) = e
	t.index[e.key] = uint32(t.next)
	t.next++
	for t.first < t.next {
		old := t.at(t.first)
		expired := t.newest-old.at >= t.window
		if !expired && t.next-t.first <= uint64(t.limit) {
			break
		}
		if t.find(old.key) == old {
			delete(t.index, old.key)
			if !expired {
				forgotten++
			}
		}
		if t.first++; t.first%chunkEntries == 0 {
			t.chunks[0] = nil
			t.chunks = t.chunks[1:]
		}
	}
	return forgotten
}

// remove forgets a key.
func (t *table) remove(key hash) { delete(t.index, key) }
