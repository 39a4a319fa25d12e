package localkinesis

type listTagsForResourceInput struct{ resourceRef }

func (in *listTagsForResourceInput) validate(v *violations) { in.check(v) }

type listTagsForResourceOutput struct{ Tags []tag }

func listTagsForResource(c *call, in *listTagsForResourceInput) (*listTagsForResourceOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	have, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	return &listTagsForResourceOutput{tagList(have.tags)}, nil
}
