package shard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/record"
)

// A record whose handler fails while the consumer stops is given up, and with
// it those behind it of its key, though records of other keys were finished
// further on.
func TestNoRecordOvertakesOneOfItsKeyThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel = 8 })
		b.open = true
		a := fetch.Answer{Records: []fetch.Record{plain(1, "slow"), plain(2, "slow"), plain(3, "slow")}}
		for i := 4; i < 24; i++ { // some of them in other lanes
			a.Records = append(a.Records, plain(i, fmt.Sprint("key", i)))
		}
		b.answers = []fetch.Answer{a}
		var l list
		done := make(chan error)
		go func() {
			_, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
				switch r.Position.Sequence {
				case "1":
					time.Sleep(time.Minute)
				case "2":
					return errors.New("not now")
				}
				return l.handle(ctx, r)
			}))
			done <- err
		}()
		time.Sleep(30 * time.Second)
		close(b.stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, at := range l.got {
			if at == "3/0" {
				t.Errorf("handled %s: 3 overtakes 2", &l)
			}
		}
		if len(l.got) < 5 {
			t.Errorf("handled %s", &l)
		}
		if got := b.checkpoints(); got != "1/0" {
			t.Errorf("checkpoints %s", got)
		}
	})
}
