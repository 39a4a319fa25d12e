package localkinesis

import (
	"maps"
	"slices"
	"time"
)

type addTagsToStreamInput struct {
	streamRef
	Tags map[string]string
}

func (in *addTagsToStreamInput) validate(v *violations) {
	in.check(v)
	v.required("tags", in.Tags != nil)
	v.tags(in.Tags, tagsMost)
}

// tagsMost: "You can assign up to 50 tags to a data stream", API_AddTagsToStream.
const tagsMost = 50

// tagged adds tags to those of a resource.
func (a *account) tagged(resource string, have, more map[string]string) *failure {
	all := maps.Clone(have)
	maps.Copy(all, more)
	if len(all) > tagsMost {
		return refuse(codeArgument, "Failed to add tags to %s under account %s because a given resource cannot have more than %d tags associated with it.", resource, a.id, tagsMost)
	}
	maps.Copy(have, more)
	return nil
}

type tag struct{ Key, Value string }

func tagList(tags map[string]string) []tag {
	out := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tag{k, tags[k]})
	}
	return out
}

func addTagsToStream(c *call, in *addTagsToStreamInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if f := a.tagged("stream "+st.name, st.tags, in.Tags); f != nil {
		return nil, f
	}
	return &empty{}, nil
}

// resourceRef names a stream or a consumer by its ARN.
type resourceRef struct {
	ResourceARN string
	StreamId    string
}

func (r *resourceRef) address(c *call) (string, []string) {
	name, _ := c.server.account.nameOfARN(r.ResourceARN)
	return name, nil
}

func (r *resourceRef) check(v *violations) {
	v.required("resourceARN", r.ResourceARN != "")
	v.pattern("resourceARN", r.ResourceARN, resourceARNOK, `arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+`)
}

var resourceARNOK = streamARNOK

// labels are what can be hung on a stream or a consumer; they end with it.
type labels struct {
	tags   map[string]string
	policy string
}

// find gives the labels of the resource, to be read or changed in place.
func (r *resourceRef) find(a *account, now time.Time) (*labels, *failure) {
	if consumerARNOK.MatchString(r.ResourceARN) {
		co, f := a.consumerOf(r.ResourceARN, now)
		if f != nil {
			return nil, f
		}
		return &co.labels, nil
	}
	st, f := a.byARN(r.ResourceARN, now)
	if f != nil {
		return nil, f
	}
	return &st.labels, nil
}
