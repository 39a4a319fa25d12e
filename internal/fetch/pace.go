package fetch

import (
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// pace decides when a shard is polled again. A shard gives five answers and
// 2 MiB a second to all who poll it together, and nobody is told how many these
// are: whoever is throttled slows down at once, and speeds up again slowly, so
// that the readers of a shard share it.
type pace struct {
	idle, busy time.Duration

	empty int     // answers without records in a row
	quiet bool    // so many that the next call is as late as it gets
	shy   float64 // what was taken off the full rate of 1, after being throttled
}

// The rate rises by so much a second and falls by a factor, which is what makes
// those who share something end with equal parts of it. slowest is one call in
// two seconds at the default of four a second.
const (
	faster  = 0.04
	slower  = 0.7
	slowest = 0.125
)

// answered is the time from the begin of a call to the begin of the next one.
// random is a number from 0 up to 1.
func (p *pace) answered(records int, bytes int64, behind time.Duration, random float64) time.Duration {
	p.shy = max(0, p.shy-faster*p.busy.Seconds()/(1-p.shy))
	slow := 1 / (1 - p.shy)
	if records > 0 || behind > 0 {
		p.empty = 0
	} else {
		p.empty++
	}
	// A quiet shard is let go of by and by: the next record often is near.
	d := p.busy
	for i := 0; i < p.empty && d < p.idle; i++ {
		d *= 2
	}
	p.quiet = p.empty > 0 && d >= p.idle
	d = min(d, max(p.idle, p.busy))
	d = max(d, time.Duration(float64(p.busy)*slow))
	// What an answer took of the shard's 2 MiB a second; asking sooner is
	// refused.
	d = max(d, time.Duration(float64(bytes)*min(slow, 2)/limits.ShardReadBytes*float64(time.Second)))
	// A little disorder, so that readers do not meet again and again.
	return d + time.Duration(random*0.1*float64(d))
}

// throttled is the time to the next call after one that was refused for the
// shard's rate.
func (p *pace) throttled(random float64) time.Duration {
	p.shy = min(1-slowest, 1-(1-p.shy)*slower)
	return time.Duration(float64(p.busy) / (1 - p.shy) * (0.5 + random))
}
