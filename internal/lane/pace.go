package lane

import (
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// pace is what a lane allows itself: a share of the service's limits for a
// shard, learnt from throttling. It rises while it is what holds the lane
// back, steeply until the first throttle (a server without limits is found out
// within seconds), and is cut at a throttle; several producers of one shard
// converge on its limit, each with its part. Entries may overdraw it: what is
// too much now is waited for afterwards.
type pace struct {
	share          float64 // of the shard's limits; 1 is all
	bytes, records float64 // allowed now; below 0 after an overdraft
	at             time.Duration
	grown          time.Duration // when share last rose
	cut            time.Duration // when share was last cut
	learnt         bool          // throttled at least once
	held           bool          // it made the lane wait since the last growth
	spent          bool          // the allowance is used up: a quantum is waited for
}

const (
	paceBurst   = 0.25  // seconds of allowance that an idle lane keeps
	paceQuantum = 0.005 // seconds of allowance that an exhausted lane gathers, so as not to send records one by one
	paceLeast   = 0.01
	paceMost    = 1000
	paceCut     = 0.8   // of the share, at a throttle
	paceRise    = 0.003 // of the limit, a second, once learnt; and as much more for each second since the last cut
	paceCutGap  = 400 * time.Millisecond
)

func newPace(now time.Duration) pace {
	p := pace{share: 1, at: now, grown: now, cut: now - time.Hour}
	p.bytes, p.records = paceBurst*limits.ShardWriteBytes, paceBurst*limits.ShardWriteRecords
	return p
}

func (p *pace) refill(now time.Duration) {
	if now <= p.at {
		return
	}
	s := p.share * (now - p.at).Seconds()
	p.at = now
	p.bytes = min(p.bytes+s*limits.ShardWriteBytes, p.share*paceBurst*limits.ShardWriteBytes)
	p.records = min(p.records+s*limits.ShardWriteRecords, p.share*paceBurst*limits.ShardWriteRecords)
}

// ready is the time from which something may leave.
func (p *pace) ready(now time.Duration) time.Duration {
	if !p.spent && p.bytes > 0 && p.records > 0 {
		return now
	}
	p.refill(now)
	seconds := min(p.bytes/limits.ShardWriteBytes, p.records/limits.ShardWriteRecords) / p.share
	if seconds > paceQuantum || seconds > 0 && !p.spent {
		p.spent = false
		return now
	}
	p.spent, p.held = true, true
	return now + 1 + time.Duration((paceQuantum-seconds)*float64(time.Second))
}

func (p *pace) take(now time.Duration, bytes int) {
	p.refill(now)
	p.bytes -= float64(bytes)
	p.records--
}

func (p *pace) giveBack(bytes, records int) {
	p.bytes += float64(bytes)
	p.records += float64(records)
}

// stored learns from an acknowledgement.
func (p *pace) stored(now time.Duration) {
	since := min(now-p.grown, 250*time.Millisecond).Seconds()
	p.grown = now
	if !p.held {
		return
	}
	p.held = false
	p.refill(now)
	if p.learnt {
		p.share += paceRise * (1 + (now - p.cut).Seconds()) * since
	} else {
		p.share *= 1 + 2*since
	}
	p.share = min(p.share, paceMost)
}

// throttled learns from a refusal. What was refused stays charged, so that the
// next attempt comes when there ought to be room for it.
func (p *pace) throttled(now time.Duration) {
	p.refill(now)
	if now-p.cut < paceCutGap {
		return
	}
	if !p.learnt && p.share > 1 {
		p.share = 1
	}
	p.learnt, p.cut, p.held = true, now, false
	p.share = max(p.share*paceCut, paceLeast)
}

// bytesPerSecond is the allowance.
func (p *pace) bytesPerSecond() int { return int(p.share * limits.ShardWriteBytes) }
