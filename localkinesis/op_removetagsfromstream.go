package localkinesis

type removeTagsFromStreamInput struct {
	streamRef
	TagKeys []string
}

func (in *removeTagsFromStreamInput) validate(v *violations) {
	in.check(v)
	checkTagKeys(v, in.TagKeys)
}

func checkTagKeys(v *violations, keys []string) {
	v.required("tagKeys", keys != nil)
	if keys != nil && (len(keys) < 1 || len(keys) > tagsMost) {
		v.add(keys, "tagKeys", "have length between 1 and %d", tagsMost)
	}
	for _, k := range keys {
		if k == "" {
			v.add("''", "tagKeys", "have members of length between 1 and 128")
		}
		v.length("tagKeys", k, 1, 128)
	}
}

func removeTagsFromStream(c *call, in *removeTagsFromStreamInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(st.tags, k)
	}
	return &empty{}, nil
}
