package localkinesis

type updateAccountSettingsInput struct {
	MinimumThroughputBillingCommitment *struct{ Status string }
}

func (in *updateAccountSettingsInput) validate(v *violations) {
	m := in.MinimumThroughputBillingCommitment
	if v.required("minimumThroughputBillingCommitment", m != nil); m != nil {
		v.required("minimumThroughputBillingCommitment.status", m.Status != "")
		v.oneOf("minimumThroughputBillingCommitment.status", m.Status, billingEnabled, billingDisabled)
	}
}

func updateAccountSettings(c *call, in *updateAccountSettingsInput) (*accountSettings, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	a.billing.set(in.MinimumThroughputBillingCommitment.Status == billingEnabled, c.now())
	return &accountSettings{a.billing.describe(c.now())}, nil
}
