package send

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/record"
)

// What an error says stays true when the memory of its record is used again.
func TestErrorsKeepTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine(t, sink{func() {}}, func(c *Config) { c.Linger = time.Hour })
		withdraw := func(key string) []error {
			rs := make([]*record.Record, slabParcels)
			for i := range rs {
				rs[i] = &record.Record{PartitionKey: key}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, errs := e.SendAll(ctx, rs)
			return errs
		}
		_ = withdraw("first") // tells how much memory a slab needs
		errs := [][]error{withdraw("second"), withdraw("thirds")}
		_ = withdraw("fourth")
		for i, want := range []string{"second", "thirds"} {
			for _, err := range errs[i] {
				var failed *record.SendError
				if !errors.As(err, &failed) || failed.Key != want || failed.Outcome != record.NotStored {
					t.Fatalf("want one of %q that was not stored: %v", want, err)
				}
			}
		}
	})
}
