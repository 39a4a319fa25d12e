package localkinesis

import (
	"encoding/json"
	"time"
)

type putResourcePolicyInput struct {
	resourceRef
	Policy string
}

func (in *putResourcePolicyInput) validate(v *violations) {
	in.check(v)
	v.required("policy", in.Policy != "")
}

// exists wants the resource to be there.
func (r *resourceRef) exists(a *account, now time.Time) *failure {
	_, f := r.tags(a, now)
	return f
}

func putResourcePolicy(c *call, in *putResourcePolicyInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := in.exists(a, c.now()); f != nil {
		return nil, f
	}
	if !json.Valid([]byte(in.Policy)) {
		return nil, refuse(codeArgument, "The policy is not JSON.")
	}
	a.policies[in.ResourceARN] = in.Policy
	return &empty{}, nil
}
