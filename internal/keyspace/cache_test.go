package keyspace

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// Whatever came before, a key has its own hash.
func TestCachedHashesAreThoseOfTheirKeys(t *testing.T) {
	for _, keys := range []int{1, 300, 20_000, 200_000} {
		c := &cache{slots: make([]cached, slotsFirst)}
		r := rand.New(rand.NewPCG(1, 1))
		for range 3 * min(keys, 50_000) {
			key := fmt.Sprint("k", r.IntN(keys))
			if got, want := c.of(key), OfKey(key); got != want {
				t.Fatalf("of %d keys, %q: %v, want %v", keys, key, got, want)
			}
		}
		if len(c.slots) > slotsMost {
			t.Errorf("%d slots", len(c.slots))
		}
	}
	for n := range 100 {
		for range 2 {
			if key := strings.Repeat("é", n/2) + strings.Repeat("k", n%2); Cached(key) != OfKey(key) {
				t.Errorf("%d bytes", n)
			}
		}
	}
}

func TestManyHashAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 5000 {
				if key := fmt.Sprint(j % (100 * (i + 1))); Cached(key) != OfKey(key) {
					t.Errorf("%q", key)
				}
			}
		})
	}
	all.Wait()
}

// A cache that is of no use is left alone, and looked into again later.
func TestCacheOfKeysThatNeverComeAgain(t *testing.T) {
	c := &cache{slots: make([]cached, slotsMost)}
	for i := range considerEvery {
		c.of(fmt.Sprint(i))
	}
	if c.skip != skipped {
		t.Fatalf("it skips %d keys, want %d", c.skip, skipped)
	}
	for range skipped + considerEvery {
		c.of("again")
	}
	if c.skip != 0 {
		t.Errorf("it still skips %d", c.skip)
	}
}

func BenchmarkCached(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprintf("customer-%06d", i)
		}
		at := 0
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			for b.Loop() {
				Cached(keys[at*7919%n])
				at++
			}
		})
	}
}

// TestCachedAll: many at once are hashed as each alone, remembered or not.
func TestCachedAll(t *testing.T) {
	one := func(sums [][md5.Size]byte, messages [][]byte) {
		for i, m := range messages {
			sums[i] = md5.Sum(m)
		}
	}
	for round := range 3 {
		for _, n := range []int{0, 1, 15, 16, 17, 100, 3 * slotsMost} {
			keys, hashes := make([]string, n), make([]Hash, n)
			for i := range keys {
				keys[i] = fmt.Sprintf("%d-%s", i*(1+round), strings.Repeat("k", i%60))
			}
			CachedAll(hashes, keys, one)
			for i, key := range keys {
				if hashes[i] != OfKey(key) {
					t.Fatalf("%d keys: the hash of %q is wrong", n, key)
				}
			}
		}
	}
}
