package localkinesis

type untagResourceInput struct {
	resourceRef
	TagKeys []string
}

func (in *untagResourceInput) validate(v *violations) {
	in.check(v)
	checkTagKeys(v, in.TagKeys)
}

func untagResource(c *call, in *untagResourceInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	have, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	for _, k := range in.TagKeys {
		delete(have.tags, k)
	}
	return &empty{}, nil
}
