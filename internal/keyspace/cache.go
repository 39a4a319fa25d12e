package keyspace

import (
	"crypto/md5" //nolint:gosec // the service routes by MD5; nothing here is a secret
	"hash/maphash"
	"sync"
	"unsafe"
)

// Cached is OfKey for keys that come again and again. It remembers the hashes of
// some thousands: 26 ns in place of 115 for each of 1,000 keys, while a producer of
// 100 bytes a record spends some 1,500. Where most keys come again too seldom, it
// does without and looks only now and then.
func Cached(key string) Hash {
	if !cacheable(key) {
		return OfKey(key)
	}
	c := caches.Get().(*cache)
	h := c.of(key)
	caches.Put(c)
	return h
}

// CachedAll is Cached for several keys at once. sum computes the MD5 sums of several
// messages, which may be cheaper than one after the other.
func CachedAll(hashes []Hash, keys []string, sum func(sums [][md5.Size]byte, messages [][]byte)) {
	var at [atOnce]int
	n := 0
	c := caches.Get().(*cache)
	for i, key := range keys {
		if s := c.look(key); s != nil && string(s.key[:s.size]) == key {
			c.hits++
			hashes[i] = s.hash
		} else {
			at[n], c.missing[n] = i, unsafe.Slice(unsafe.StringData(key), len(key))
			n++
		}
		if n < atOnce && i < len(keys)-1 {
			continue
		}
		sum(c.sums[:n], c.missing[:n])
		clear(c.missing[:n])
		for k, i := range at[:n] {
			hashes[i] = FromBytes(c.sums[k])
			if c.skip == 0 && cacheable(keys[i]) {
				c.put(c.slot(keys[i]), keys[i], hashes[i])
			}
		}
		n = 0
	}
	caches.Put(c)
}

func cacheable(key string) bool { return key != "" && len(key) <= longestCached }

// caches has one for each processor, which nobody else waits for. Several
// producers share them; they are gone when nobody sends.
var caches = sync.Pool{New: func() any { return &cache{slots: make([]cached, slotsFirst)} }}

// cache has a key in one of window slots from the one that it belongs to. It holds
// copies of keys: the caller's may be parts of larger memory.
type cache struct {
	slots []cached
	used  int

	looks, hits int // since it was last considered whether it is of use
	skip        int // how many keys not to look for

	// Scratch of CachedAll.
	missing [atOnce][]byte
	sums    [atOnce][md5.Size]byte
}

// cached is a key and its hash. With a key that fits it is one line of memory.
type cached struct {
	hash Hash
	size uint8 // of the key; 0: a free slot
	key  [longestCached]byte
}

const (
	longestCached = 47
	slotsFirst    = 1 << 8
	slotsMost     = 1 << 12 // 256 KiB. Four times that gained nothing for 10,000 keys: it was not near enough to the processor
	window        = 4

	considerEvery = 1 << 12
	leastHits     = considerEvery / 2 // below that it costs more than it saves
	skipped       = 16 * considerEvery

	atOnce = 16 // keys whose sums are computed together
)

var seed = maphash.MakeSeed() // nobody can choose keys that share their slots

func (c *cache) of(key string) Hash {
	s := c.look(key)
	if s == nil {
		return OfKey(key)
	}
	if string(s.key[:s.size]) == key {
		c.hits++
		return s.hash
	}
	h := OfKey(key)
	c.put(s, key, h)
	return h
}

// look is the slot of a key; nil: it is not to be looked for.
func (c *cache) look(key string) *cached {
	if !cacheable(key) {
		return nil
	}
	if c.skip > 0 {
		c.skip--
		return nil
	}
	if c.looks++; c.looks == considerEvery {
		if c.hits < leastHits && len(c.slots) == slotsMost {
			c.skip = skipped
		}
		c.looks, c.hits = 0, 0
	}
	return c.slot(key)
}

// slot is the one that has the key, or else a free one or one to be overwritten.
func (c *cache) slot(key string) *cached {
	x := maphash.String(seed, key)
	for i := range uint64(window) {
		s := &c.slots[(x+i)&uint64(len(c.slots)-1)]
		if s.size == 0 || string(s.key[:s.size]) == key {
			return s
		}
	}
	return &c.slots[(x+x>>62)&uint64(len(c.slots)-1)]
}

func (c *cache) put(s *cached, key string, h Hash) {
	if s.size == 0 {
		c.used++
	}
	s.hash, s.size = h, uint8(copy(s.key[:], key))
	if 2*c.used > len(c.slots) && len(c.slots) < slotsMost {
		// Those that it had come in again when they are looked for.
		c.slots, c.used = make([]cached, 4*len(c.slots)), 0
		c.looks, c.hits = 0, 0
	}
}
