package localkinesis

type tagResourceInput struct {
	resourceRef
	Tags map[string]string
}

func (in *tagResourceInput) validate(v *violations) {
	in.check(v)
	v.required("tags", in.Tags != nil)
	v.tags(in.Tags, tagsMost)
}

func tagResource(c *call, in *tagResourceInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	have, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	if f := a.tagged(in.ResourceARN, have.tags, in.Tags); f != nil {
		return nil, f
	}
	return &empty{}, nil
}
