package localkinesis

import (
	"cmp"
	"slices"
)

type listStreamConsumersInput struct {
	StreamARN               string
	MaxResults              *int32
	NextToken               string
	StreamCreationTimestamp moment
	StreamId                string
}

func (in *listStreamConsumersInput) validate(v *violations) {
	v.required("streamARN", in.StreamARN != "")
	v.pattern("streamARN", in.StreamARN, streamARNOK, `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
	v.between("maxResults", in.MaxResults, 1, 10000)
}

func (in *listStreamConsumersInput) address(c *call) (string, []string) {
	name, _ := c.server.account.nameOfARN(in.StreamARN)
	return name, nil
}

type listStreamConsumersOutput struct {
	Consumers []consumerOut
	NextToken string
}

// listedConsumers is how many consumers one ListStreamConsumers gives at most:
// "The default value is 100", API_ListStreamConsumers.
const listedConsumers = 100

func listStreamConsumers(c *call, in *listStreamConsumersInput) (*listStreamConsumersOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, f := a.byARN(in.StreamARN, now)
	if f != nil {
		return nil, f
	}
	if !in.StreamCreationTimestamp.IsZero() && in.StreamCreationTimestamp.UnixMilli()/1000 != st.created.Unix() {
		return nil, refuse(codeNotFound, "Stream %s under account %s was created at another time.", st.name, a.id)
	}
	after := ""
	if in.NextToken != "" {
		p, f := parsePage(tokenNames, in.NextToken, now)
		if f != nil {
			return nil, f
		}
		after = p.after
	}
	most := listedConsumers
	if in.MaxResults != nil {
		most = min(most, int(*in.MaxResults))
	}
	sorted := slices.SortedFunc(slices.Values(st.consumers), func(x, y *consumer) int { return cmp.Compare(x.name, y.name) })
	out := &listStreamConsumersOutput{Consumers: []consumerOut{}}
	for _, co := range sorted {
		if co.name <= after {
			continue
		}
		if n := len(out.Consumers); n == most {
			out.NextToken = pageToken{issued: now.UnixMilli(), after: out.Consumers[n-1].ConsumerName}.seal(tokenNames)
			break
		}
		out.Consumers = append(out.Consumers, co.describe())
	}
	return out, nil
}
