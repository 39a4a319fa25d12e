package localkinesis

import (
	"sync/atomic"
	"time"
)

// clock is the process's clock (inside a synctest bubble the bubble's) plus an
// offset that moves by hand.
type clock struct{ offset atomic.Int64 }

// now has no monotonic part: it is what the wire and the state speak about.
func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(c.offset.Load())).Round(0)
}
