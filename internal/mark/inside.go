package mark

import "hash/maphash"

// inside remembers keys that lie in the shard, so that those that come again need
// no MD5: that was a fifth of what a record of 100 bytes cost its reader, where other
// libraries made the aggregates. It has fingerprints of them: once in 2^51
// questions or so it takes a key for another, whose record then is delivered.
type inside struct {
	slots []uint64 // 0: free; a key is in one of two
	used  int
}

const (
	insideFirst = 1 << 8
	insideMost  = 1 << 13 // 64 KiB for a shard that has so many keys
)

var seed = maphash.MakeSeed()

// has tells whether a key was added, and what to add it as.
func (s *inside) has(key string) (fingerprint uint64, ok bool) {
	x := max(1, maphash.String(seed, key))
	if len(s.slots) == 0 {
		return x, false
	}
	i := x & uint64(len(s.slots)-1)
	return x, s.slots[i] == x || s.slots[i^1] == x
}

func (s *inside) add(x uint64) {
	if 2*s.used >= len(s.slots) && len(s.slots) < insideMost {
		old := s.slots
		*s = inside{slots: make([]uint64, max(insideFirst, 2*len(old)))}
		for _, x := range old {
			if x != 0 {
				s.put(x)
			}
		}
	}
	s.put(x)
}

func (s *inside) put(x uint64) {
	i := x & uint64(len(s.slots)-1)
	switch {
	case s.slots[i] == 0:
		s.used++
	case s.slots[i^1] == 0:
		s.used++
		i ^= 1
	default:
		i ^= x >> 63 // either of the two goes
	}
	s.slots[i] = x
}
