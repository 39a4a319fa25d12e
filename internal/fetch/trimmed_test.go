package fetch

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/localkinesis"
)

// Records of the first day, of the second and of the third, read on the third
// with a retention of 24 hours from one of the first or second.
func TestAPlaceThatRetentionHasPassedIsTold(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		for name, c := range map[string]struct {
			from          int // record
			old, refused  bool
			today, closed bool
			want          string
			trimmed       bool
		}{
			"passed":                                   {from: 1, old: true, today: true, want: numbers(3, 9), trimmed: true},
			"passed, and refused":                      {from: 1, refused: true, today: true, want: numbers(3, 9), trimmed: true},
			"passed, and nothing came since":           {from: 5, old: true, want: "[]", trimmed: true},
			"passed, and the shard was closed":         {from: 1, old: true, closed: true, today: true, want: numbers(3, 9), trimmed: true},
			"still there":                              {from: 4, old: true, today: true, want: numbers(4, 9)},
			"still there, and refused":                 {from: 4, refused: true, today: true, want: numbers(4, 9)},
			"the oldest one":                           {from: 3, old: true, today: true, want: numbers(3, 9)},
			"not known to be old: as the service says": {from: 1, today: true, want: numbers(3, 9)},
		} {
			t.Run(fmt.Sprintf("fan-out %v, %s", fanOut, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := server(t)
					r, _ := sameConsumer(t, srv)
					if !fanOut {
						r.ConsumerARN = ""
					}
					var seqs []string
					add := func(from, to int) {
						for i := from; i < to; i++ {
							one, err := srv.Put("orders", "k", "", fmt.Append(nil, i))
							if err != nil {
								t.Fatal(err)
							}
							seqs = append(seqs, one.Sequence)
							time.Sleep(time.Minute)
						}
					}
					add(0, 3)
					time.Sleep(18 * time.Hour)
					add(3, 6)
					time.Sleep(18 * time.Hour)
					if !c.today {
						time.Sleep(24 * time.Hour)
					} else {
						add(6, 9)
					}
					if c.closed {
						if _, _, err := srv.Split("orders", first, ""); err != nil {
							t.Fatal(err)
						}
					}
					if c.refused {
						for _, op := range []string{"GetShardIterator", "SubscribeToShard"} {
							srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "InvalidArgumentException", Count: 1})
						}
					}
					got, told := []string{}, 0
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_ = r.Read(ctx, first, From{Sequence: seqs[c.from], Old: c.old}, func(_ context.Context, a Answer) error {
						defer a.Release()
						for _, x := range a.Records {
							got = append(got, string(x.Data))
						}
						if a.Trimmed {
							told++
						}
						return nil
					})
					if fmt.Sprint(got) != c.want || (told == 1) != c.trimmed || told > 1 {
						t.Errorf("%v, told %d times", got, told)
					}
				})
			})
		}
	}
}

// Whoever takes an answer may take longer for it than the stream keeps records.
func TestAPauseThatRetentionHasPassedIsTold(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		for _, c := range []struct {
			pause time.Duration
			want  bool
		}{{20 * time.Hour, false}, {30 * time.Hour, true}} {
			t.Run(fmt.Sprintf("fan-out %v, %v", fanOut, c.pause), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := server(t)
					r, _ := sameConsumer(t, srv)
					r.Retention, r.Budget = 24*time.Hour, NewBudget(1)
					if !fanOut {
						r.ConsumerARN = ""
					}
					put(t, srv, 1)
					go func() {
						time.Sleep(time.Hour)
						put(t, srv, 1)
						time.Sleep(c.pause - 2*time.Hour)
						put(t, srv, 1)
					}()
					ctx, cancel := context.WithTimeout(t.Context(), c.pause+time.Minute)
					defer cancel()
					var told []bool
					_ = r.Read(ctx, first, From{}, func(ctx context.Context, a Answer) error {
						defer a.Release()
						if len(a.Records) > 0 {
							if told = append(told, a.Trimmed); len(told) == 1 {
								time.Sleep(c.pause)
							}
						}
						return nil
					})
					if trimmed := len(told) > 1 && told[1]; trimmed != c.want || told[0] {
						t.Errorf("told %v", told)
					}
				})
			})
		}
	}
}
