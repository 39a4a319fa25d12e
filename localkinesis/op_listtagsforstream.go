package localkinesis

type listTagsForStreamInput struct {
	streamRef
	ExclusiveStartTagKey string
	Limit                *int32
}

func (in *listTagsForStreamInput) validate(v *violations) {
	in.check(v)
	v.between("limit", in.Limit, 1, tagsMost)
	v.length("exclusiveStartTagKey", in.ExclusiveStartTagKey, 1, 128)
}

type listTagsForStreamOutput struct {
	Tags        []tag
	HasMoreTags bool
}

func listTagsForStream(c *call, in *listTagsForStreamInput) (*listTagsForStreamOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).find)
	if err != nil {
		return nil, err
	}
	most := tagsMost
	if in.Limit != nil {
		most = int(*in.Limit)
	}
	out := &listTagsForStreamOutput{Tags: []tag{}}
	for _, t := range tagList(st.tags) {
		if t.Key <= in.ExclusiveStartTagKey {
			continue
		}
		if out.HasMoreTags = len(out.Tags) == most; out.HasMoreTags {
			break
		}
		out.Tags = append(out.Tags, t)
	}
	return out, nil
}
