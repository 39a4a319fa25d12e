package localkinesis

type listStreamsInput struct {
	ExclusiveStartStreamName string
	Limit                    *int32
	NextToken                string
}

func (in *listStreamsInput) validate(v *violations) {
	v.pattern("exclusiveStartStreamName", in.ExclusiveStartStreamName, streamNameOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.between("limit", in.Limit, 1, 10000)
}

type streamSummary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       streamModeDetails
	StreamCreationTimestamp moment
}

type listStreamsOutput struct {
	StreamNames     []string
	StreamSummaries []streamSummary
	HasMoreStreams  bool
	NextToken       string
}

// listedStreams is how many streams one ListStreams gives at most: "The default
// value is 100. If you specify a value greater than 100, at most 100 results are
// returned", API_ListStreams.
const listedStreams = 100

func listStreams(c *call, in *listStreamsInput) (*listStreamsOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	after := in.ExclusiveStartStreamName
	if in.NextToken != "" {
		p, f := parsePage(tokenNames, in.NextToken, now)
		if f != nil {
			return nil, f
		}
		after = p.after
	}
	most := listedStreams
	if in.Limit != nil {
		most = min(most, int(*in.Limit))
	}
	out := &listStreamsOutput{StreamNames: []string{}, StreamSummaries: []streamSummary{}}
	for _, st := range a.sorted(now) {
		if st.name <= after {
			continue
		}
		if len(out.StreamNames) == most {
			out.HasMoreStreams = true
			out.NextToken = pageToken{issued: now.UnixMilli(), after: out.StreamNames[most-1]}.seal(tokenNames)
			break
		}
		out.StreamNames = append(out.StreamNames, st.name)
		out.StreamSummaries = append(out.StreamSummaries, streamSummary{
			st.name, a.streamARN(st.name), st.status, streamModeDetails{st.mode}, moment{st.created},
		})
	}
	return out, nil
}
