package localkinesis

// billing is the account's MinimumThroughputBillingCommitment.
type billing struct {
	enabled bool
}

// warmable tells whether on-demand streams may have a warm throughput. Source:
// "This operation is only supported for data streams with the on-demand
// capacity mode in accounts that have MinimumThroughputBillingCommitment
// enabled"; "Scale to more than 10 GiBps", API_UpdateStreamWarmThroughput.
func (a *account) warmable(target int32) *failure {
	switch {
	case !a.billing.enabled:
		return refuse(codeValidation, "Account %s has not enabled MinimumThroughputBillingCommitment.", a.id)
	case target > 10*1024:
		return refuse(codeLimit, "Warm throughput of %d MiBps is above the limit of 10 GiBps.", target)
	}
	return nil
}
