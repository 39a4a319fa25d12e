package localkinesis

import "time"

// billing is the account's MinimumThroughputBillingCommitment. Source:
// "Commitments have a minimum duration of 24 hours that must be honored before
// they can be disabled. If you attempt to disable a commitment before the
// minimum commitment period ends, the commitment will be scheduled for automatic
// disable at the earliest allowed end time. You can cancel a pending disable by
// enabling the commitment again", API_MinimumThroughputBillingCommitmentInput.
type billing struct {
	started time.Time
	ends    time.Time // disabled, or scheduled to be
}

const (
	billingEnabled  = "ENABLED"
	billingDisabled = "DISABLED"
	billingEnding   = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"

	billingLeast = 24 * time.Hour
)

func (b *billing) enabled(now time.Time) bool {
	return !b.started.IsZero() && (b.ends.IsZero() || now.Before(b.ends))
}

func (b *billing) set(on bool, now time.Time) {
	switch was := b.enabled(now); {
	case on && !was:
		*b = billing{started: now}
	case on:
		b.ends = time.Time{}
	case was:
		if b.ends = b.started.Add(billingLeast); b.ends.Before(now) {
			b.ends = now
		}
	}
}

func (b *billing) describe(now time.Time) commitment {
	out := commitment{Status: billingDisabled}
	if !b.started.IsZero() {
		out.StartedAt = moment{b.started}
	}
	switch {
	case b.enabled(now):
		out.Status, out.EarliestAllowedEndAt = billingEnabled, moment{b.started.Add(billingLeast)}
		if !b.ends.IsZero() {
			out.Status = billingEnding
		}
	case !b.ends.IsZero():
		out.EndedAt = moment{b.ends}
	}
	return out
}

// warmable tells whether on-demand streams may have a warm throughput. Source:
// "This operation is only supported for data streams with the on-demand
// capacity mode in accounts that have MinimumThroughputBillingCommitment
// enabled"; "Scale to more than 10 GiBps", API_UpdateStreamWarmThroughput.
func (a *account) warmable(target int32, now time.Time) *failure {
	switch {
	case !a.billing.enabled(now):
		return refuse(codeValidation, "Account %s has not enabled MinimumThroughputBillingCommitment.", a.id)
	case target > 10*1024:
		return refuse(codeLimit, "Warm throughput of %d MiBps is above the limit of 10 GiBps.", target)
	}
	return nil
}
