package md5many

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestSum holds every number of messages, of equal and of different lengths, against
// the standard library.
func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<16)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for n := range 11 {
		for range 300 {
			most := []int{1, 70, 300, 5000}[r.IntN(4)]
			messages := make([][]byte, n)
			for i := range messages {
				from := r.IntN(1 << 15)
				messages[i] = data[from : from+r.IntN(most)]
			}
			check(t, messages)
		}
	}
	for n := range 400 {
		check(t, [][]byte{data[:n], data[1 : n+1], data[2 : n+2], data[3 : n+3]})
	}
}

func check(t *testing.T, messages [][]byte) {
	t.Helper()
	sums := make([][md5.Size]byte, len(messages))
	Sum(sums, messages)
	for i, m := range messages {
		if want := md5.Sum(m); sums[i] != want {
			t.Fatalf("message %d of %d, %d bytes long: %x, wants %x", i, len(messages), len(m), sums[i], want)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	for n := 1; n <= 4; n++ {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			messages, sums := make([][]byte, n), make([][md5.Size]byte, n)
			for i := range messages {
				messages[i] = make([]byte, 256<<10)
			}
			b.SetBytes(int64(n * len(messages[0])))
			for b.Loop() {
				Sum(sums, messages)
			}
		})
	}
}
