package localkinesis

import (
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// retentionInput is what both retention operations ask for.
type retentionInput struct {
	streamRef
	RetentionPeriodHours *int32
}

func (in *retentionInput) validate(v *violations) {
	in.check(v)
	v.required("retentionPeriodHours", in.RetentionPeriodHours != nil)
}

// retain changes a retention period within its bounds, 24 to 8,760 hours
// (API_IncreaseStreamRetentionPeriod, API_DecreaseStreamRetentionPeriod). What
// has expired before stays so: "it does not make previous, expired data ...
// accessible".
func (in *retentionInput) retain(c *call, allowed func(from, to int) *failure) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	hours := int(*in.RetentionPeriodHours)
	switch {
	case hours < limits.RetentionHours:
		return nil, refuse(codeArgument, "Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", limits.RetentionHours, hours)
	case hours > limits.RetentionHoursMax:
		return nil, refuse(codeArgument, "Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", limits.RetentionHoursMax, hours)
	}
	if f := allowed(st.hours, hours); f != nil {
		return nil, f
	}
	st.enter(statusUpdating, now, func(st *stream, at time.Time) {
		for _, sh := range st.shards {
			sh.trim(at)
			sh.gone = sh.expired(at)
		}
		st.hours = hours
	})
	return &empty{}, nil
}

type increaseStreamRetentionPeriodInput struct{ retentionInput }

func increaseStreamRetentionPeriod(c *call, in *increaseStreamRetentionPeriodInput) (*empty, error) {
	return in.retain(c, func(from, to int) *failure {
		if to < from {
			return refuse(codeArgument, "Requested retention period (%d hours) can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.", to, from)
		}
		return nil
	})
}
