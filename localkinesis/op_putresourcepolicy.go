package localkinesis

import "encoding/json"

type putResourcePolicyInput struct {
	resourceRef
	Policy string
}

func (in *putResourcePolicyInput) validate(v *violations) {
	in.check(v)
	v.required("policy", in.Policy != "")
}

func putResourcePolicy(c *call, in *putResourcePolicyInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	have, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	if !json.Valid([]byte(in.Policy)) {
		return nil, refuse(codeArgument, "The policy is not JSON.")
	}
	have.policy = in.Policy
	return &empty{}, nil
}
