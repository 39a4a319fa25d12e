package fetch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
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

// A question that is throttled is asked again. That is the account's rate and not the
// shard's: nobody is told that reading is throttled, and the shard is read as before.
func TestAThrottledQuestionDoesNotSlowTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(t)
		put(t, srv, 1)
		seen := new(flow)
		r := reader(t, srv.AWS(), asItIs(t), func(r *Reader) { r.Observer = seen })
		asked := srv.Inject(localkinesis.Fault{Do: localkinesis.Throttle, Op: "DescribeStreamSummary", Count: 10})
		p := poller{reading: &reading{Reader: r, shard: first, share: r.Budget.share(), random: rand.Float64, deliver: seen.take}}
		for len(seen.got) == 0 {
			_, next, err := p.step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(next))
		}
		if asked.Fired() != 10 || seen.count[observe.RequestErrors] == 0 {
			t.Errorf("throttled %d times, %d failures", asked.Fired(), seen.count[observe.RequestErrors])
		}
		if n := seen.count[observe.Throttles]; n > 0 || p.pace.shy > 0 {
			t.Errorf("%d throttled readings, %v off the rate", n, p.pace.shy)
		}
	})
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
