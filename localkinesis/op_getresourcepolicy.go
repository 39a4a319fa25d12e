package localkinesis

type getResourcePolicyInput struct{ resourceRef }

func (in *getResourcePolicyInput) validate(v *violations) { in.check(v) }

type getResourcePolicyOutput struct{ Policy string }

func getResourcePolicy(c *call, in *getResourcePolicyInput) (*getResourcePolicyOutput, error) {
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
	return &getResourcePolicyOutput{have.policy}, nil
}
