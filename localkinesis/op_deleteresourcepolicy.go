package localkinesis

type deleteResourcePolicyInput struct{ resourceRef }

func (in *deleteResourcePolicyInput) validate(v *violations) { in.check(v) }

func deleteResourcePolicy(c *call, in *deleteResourcePolicyInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	have, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	if have.policy == "" {
		return nil, refuse(codeNotFound, "%s has no policy.", in.ResourceARN)
	}
	have.policy = ""
	return &empty{}, nil
}
