package fetch

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// asItIs lets a reader know when the stream was made.
func asItIs(t *testing.T) func(*Reader) {
	return func(r *Reader) {
		sum, err := r.Client.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Created = sum.Created
	}
}

// Wherever a reading is to begin, a stream that was made anew under the name of
// its own gives it nothing.
func TestAStreamThatWasMadeAnewIsNotRead(t *testing.T) {
	for _, place := range []string{"oldest", "time", "sequence", "old sequence", "oldest, fallen back", "sequence, fallen back"} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(t)
			seqs := put(t, srv, 3)
			r := reader(t, srv.AWS(), asItIs(t))
			from := map[string]From{
				"time": {Time: time.Now()}, "sequence": {Sequence: seqs[2]}, "old sequence": {Sequence: seqs[2], Old: true},
				"sequence, fallen back": {Sequence: seqs[2]},
			}[place]
			if r.FallBack = place == "oldest, fallen back" || place == "sequence, fallen back"; r.FallBack {
				s, _ := srv.Stream("orders")
				var err error
				if r.ConsumerARN, err = Register(t.Context(), r.Client, s.ARN, "g"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			if err := srv.DeleteStream("orders"); err != nil {
				t.Fatal(err)
			}
			if err := srv.CreateStream("orders", 1); err != nil {
				t.Fatal(err)
			}
			put(t, srv, 5)
			if got, _, err := reads(t.Context(), r, first, from); !errors.Is(err, ErrRemade) || len(got) > 0 {
				t.Errorf("%s: %v, %v", place, got, err)
			}
		})
	}
}

// Shards that start together ask together: the account has 20 questions a second.
func TestOneQuestionSpeaksForAllThatStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reader(t, server(t).AWS(), asItIs(t))
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				one := &reading{Reader: r, shard: fmt.Sprint(i)}
				if err := one.inPlace(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		// One for whoever came first, one for all that came while it was asked.
		if n := r.origin.asked.Load(); n > 2 {
			t.Errorf("%d questions", n)
		}
	})
}
