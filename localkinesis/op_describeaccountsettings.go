package localkinesis

type describeAccountSettingsInput struct{}

type commitment struct {
	Status               string
	EarliestAllowedEndAt moment
	EndedAt              moment
	StartedAt            moment
}

type accountSettings struct{ MinimumThroughputBillingCommitment commitment }

func describeAccountSettings(c *call, _ *describeAccountSettingsInput) (*accountSettings, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	return &accountSettings{a.billing.describe(c.now())}, nil
}
