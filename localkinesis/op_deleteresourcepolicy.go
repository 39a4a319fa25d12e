package localkinesis

type deleteResourcePolicyInput struct{ resourceRef }

func (in *deleteResourcePolicyInput) validate(v *violations) { in.check(v) }

func deleteResourcePolicy(c *call, in *deleteResourcePolicyInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := in.exists(a, c.now()); f != nil {
		return nil, f
	}
	if a.policies[in.ResourceARN] == "" {
		return nil, refuse(codeNotFound, "%s has no policy.", in.ResourceARN)
	}
	delete(a.policies, in.ResourceARN)
	return &empty{}, nil
}
