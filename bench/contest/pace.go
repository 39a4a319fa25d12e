package contest

import (
	"context"
	"time"
)

// paceStep is how early a record may come, so that waiting costs little beside what
// is measured.
const paceStep = time.Millisecond

// Until waits for the time at which the nth record behind began is due, where the
// work is spread over time.
func (w *Work) Until(ctx context.Context, began time.Time, n int) error {
	if w.Seconds == 0 {
		return nil
	}
	early := time.Until(began.Add(w.due(n)))
	if early < paceStep {
		return nil
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Work) due(n int) time.Duration {
	return time.Duration(float64(n) * float64(w.Seconds) / float64(w.Measured()) * float64(time.Second))
}
