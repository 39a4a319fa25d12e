package localkinesis

type getResourcePolicyInput struct{ resourceRef }

func (in *getResourcePolicyInput) validate(v *violations) { in.check(v) }

type getResourcePolicyOutput struct{ Policy string }

func getResourcePolicy(c *call, in *getResourcePolicyInput) (*getResourcePolicyOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := in.exists(a, c.now()); f != nil {
		return nil, f
	}
	policy := a.policies[in.ResourceARN]
	if policy == "" {
		return nil, refuse(codeNotFound, "%s has no policy.", in.ResourceARN)
	}
	return &getResourcePolicyOutput{policy}, nil
}
