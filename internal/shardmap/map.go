// Package shardmap is what a producer knows of the shards of a stream: which
// ones tile the hash key space now, and which took over from which.
//
// Listings of the service may be stale, and their pages may come from
// different moments. So the map only ever moves forward: a shard gives way to
// its children once all of them are known (a split is learnt whole) and, at a
// merge, once both parents are known, and it never comes back, whatever a
// later listing says. The exception is a stream that was deleted and made anew
// under its old name: all that was known is then void (Forget).
package shardmap

import (
	"cmp"
	"slices"

	"github.com/libvegas/vegas/internal/keyspace"
)

// Shard is a shard as the service lists it.
type Shard struct {
	// ID is its name, such as "shardId-000000000003".
	ID string
	// Range is the part of the hash key space that it owns.
	Range keyspace.Range
	// Parents are the shards it was made from: none, one (split) or two
	// (merge). A parent whose retention is over is named but not listed.
	Parents []string
	// Closed tells that it takes no more records (its EndingSequenceNumber is
	// listed).
	Closed bool
}

// Map is the knowledge. The zero Map knows nothing.
type Map struct {
	tiles []*Shard          // open as far as is known, by range; empty until a listing was whole
	known map[string]*Shard // every shard heard of that an answer may still name
	void  bool              // the tiles are those of a stream that is gone
	hints [256]int32        // by the first byte of a hash: the first tile that can own it
}

// Change is what a listing taught. Shards that gave way before they were ever
// a tile appear in neither list.
type Change struct {
	Opened []*Shard // new tiles
	Closed []*Shard // tiles that gave way to them
}

// Empty tells that nothing changed.
func (c Change) Empty() bool { return len(c.Opened) == 0 && len(c.Closed) == 0 }

// Ready tells that the tiles are known, and not void.
func (m *Map) Ready() bool { return len(m.tiles) > 0 && !m.void }

// Tiles are the shards that own the hash key space as far as is known, sorted
// by range, without gap or overlap. The slice is not to be changed.
func (m *Map) Tiles() []*Shard { return m.tiles }

// Shard is what is known of a shard, nil when it was never listed (or is long
// gone).
func (m *Map) Shard(id string) *Shard { return m.known[id] }

// Find is the index in Tiles of the shard that owns h. There must be tiles.
func (m *Map) Find(h keyspace.Hash) int {
	// To halve the tiles took two branches at four shards that nobody can predict,
	// 10 ns a record.
	i := int(m.hints[h.Hi>>56])
	for i+1 < len(m.tiles) && !h.Less(m.tiles[i+1].Range.First) {
		i++
	}
	return i
}

// hint brings hints up to date with the tiles.
func (m *Map) hint() {
	i := 0
	for b := range m.hints {
		for i+1 < len(m.tiles) && !(keyspace.Hash{Hi: uint64(b) << 56}).Less(m.tiles[i+1].Range.First) {
			i++
		}
		m.hints[b] = int32(i)
	}
}

// Learn takes in a listing: all shards within retention, or only the open
// ones. What is older than the map's own knowledge changes nothing.
func (m *Map) Learn(listing []Shard) Change {
	if m.known == nil {
		m.known = make(map[string]*Shard, len(listing))
	}
	if m.contradicts(listing) {
		m.Forget()
	}
	for i := range listing {
		s := &listing[i]
		if k := m.known[s.ID]; k == nil {
			c := *s
			c.Parents = slices.Clone(s.Parents)
			m.known[s.ID] = &c
		} else if s.Closed {
			k.Closed = true
		}
	}
	before := m.tiles
	if len(before) == 0 || m.void {
		first := m.first(listing)
		if len(first) == 0 {
			return Change{}
		}
		m.tiles, m.void = first, false
	}
	m.advance()
	m.relink(listing)
	m.hint()
	c := diff(before, m.tiles)
	for _, s := range c.Closed {
		s.Closed = true
	}
	m.forget(listing)
	return c
}

// Forget makes all knowledge void: the stream was made anew. The tiles stay
// until a listing replaces them.
func (m *Map) Forget() {
	m.known, m.void = make(map[string]*Shard), true
}

// contradicts tells that a shard is not what it was, as happens in a stream
// made anew: in one stream a shard never changes.
func (m *Map) contradicts(listing []Shard) bool {
	return slices.ContainsFunc(listing, func(s Shard) bool {
		k := m.known[s.ID]
		return k != nil && k.Range != s.Range
	})
}

// first finds tiles to start from: the open shards, or where these do not tile
// the space (a page from before a split and one from after it) the oldest
// listed ones, from which advance goes on.
func (m *Map) first(listing []Shard) []*Shard {
	var open, roots []*Shard
	for i := range listing {
		s := m.known[listing[i].ID]
		if !s.Closed {
			open = append(open, s)
		}
		if !slices.ContainsFunc(s.Parents, func(p string) bool { return m.known[p] != nil }) {
			roots = append(roots, s)
		}
	}
	for _, try := range [][]*Shard{open, roots} {
		sortShards(try)
		if tilesSpace(try) {
			return try
		}
	}
	return nil
}

// advance replaces tiles by their children until none has all of them known.
func (m *Map) advance() {
	kids := make(map[string][]*Shard)
	for _, s := range m.known {
		for _, p := range s.Parents {
			kids[p] = append(kids[p], s)
		}
	}
	if len(kids) == 0 {
		return
	}
	for again := true; again; {
		again = false
		for i := 0; i < len(m.tiles); i++ {
			c := kids[m.tiles[i].ID]
			if len(c) == 0 {
				continue
			}
			sortShards(c)
			if next := replace(m.tiles, c); next != nil {
				m.tiles, again = next, true
			}
		}
	}
}

// relink bridges lost links: a map that was not refreshed for longer than the
// retention, or over two generations by listings of open shards only, sees
// shards whose parents it never heard of. They take over where the listing's
// open shards tile the whole space, the tiles they replace are not listed as
// open, and each is younger by name than those that it overlaps (the service
// numbers shards upwards).
func (m *Map) relink(listing []Shard) {
	var open []*Shard
	listed := make(map[string]bool, len(listing))
	for i := range listing {
		if s := m.known[listing[i].ID]; !s.Closed {
			open = append(open, s)
			listed[s.ID] = true
		}
	}
	sortShards(open)
	if !tilesSpace(open) {
		return
	}
	var next []*Shard
	changed := false
	for i, j := 0, 0; i < len(m.tiles); {
		// The smallest run of tiles and of open shards that ends together.
		a, b := i, j
		i, j = i+1, j+1
		for c := 1; c != 0; {
			if c = m.tiles[i-1].Range.Last.Compare(open[j-1].Range.Last); c < 0 {
				i++
			} else if c > 0 {
				j++
			}
		}
		old, young := m.tiles[a:i], open[b:j]
		if len(old) == 1 && len(young) == 1 && old[0] == young[0] || !takesOver(old, young, listed) {
			next = append(next, old...)
			continue
		}
		next, changed = append(next, young...), true
	}
	if changed {
		m.tiles = next
	}
}

func takesOver(old, young []*Shard, listed map[string]bool) bool {
	for _, o := range old {
		for _, y := range young {
			if listed[o.ID] || o.Range.Overlaps(y.Range) && younger(o, y) >= 0 {
				return false
			}
		}
	}
	return true
}

// forget drops shards that have given way and are no longer listed, so that
// the map stays proportional to the listing.
func (m *Map) forget(listing []Shard) {
	if len(m.known) < 2*len(listing)+64 {
		return
	}
	keep := make(map[string]*Shard, len(listing)+len(m.tiles))
	for i := range listing {
		keep[listing[i].ID] = m.known[listing[i].ID]
	}
	for _, s := range m.tiles {
		keep[s.ID] = s
	}
	m.known = keep
}

// replace is tiles with the run that young covers exactly replaced by young,
// nil where there is no such run. young must be sorted.
func replace(tiles, young []*Shard) []*Shard {
	if !adjoin(young) {
		return nil
	}
	first, last := young[0].Range.First, young[len(young)-1].Range.Last
	i := slices.IndexFunc(tiles, func(s *Shard) bool { return s.Range.First == first })
	j := slices.IndexFunc(tiles, func(s *Shard) bool { return s.Range.Last == last })
	if i < 0 || j < i {
		return nil
	}
	for _, old := range tiles[i : j+1] {
		for _, y := range young {
			if y == old || y.Range.Overlaps(old.Range) && !slices.Contains(y.Parents, old.ID) {
				return nil
			}
		}
	}
	return slices.Concat(tiles[:i], young, tiles[j+1:])
}

func tilesSpace(sorted []*Shard) bool {
	return adjoin(sorted) && sorted[0].Range.First == (keyspace.Hash{}) && sorted[len(sorted)-1].Range.Last == keyspace.Max
}

func adjoin(sorted []*Shard) bool {
	for i, s := range sorted {
		if s.Range.Empty() {
			return false
		}
		if i > 0 {
			if last := sorted[i-1].Range.Last; last == keyspace.Max || last.Next() != s.Range.First {
				return false
			}
		}
	}
	return len(sorted) > 0
}

func sortShards(s []*Shard) {
	slices.SortFunc(s, func(a, b *Shard) int {
		return cmp.Or(a.Range.First.Compare(b.Range.First), younger(a, b))
	})
}

// younger orders shards by name as the service numbers them.
func younger(a, b *Shard) int {
	return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
}

func diff(before, after []*Shard) (c Change) {
	old := make(map[*Shard]bool, len(before))
	for _, s := range before {
		old[s] = true
	}
	for _, s := range after {
		if !old[s] {
			c.Opened = append(c.Opened, s)
		}
		delete(old, s)
	}
	for _, s := range before {
		if old[s] {
			c.Closed = append(c.Closed, s)
		}
	}
	return c
}
