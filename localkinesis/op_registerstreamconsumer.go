package localkinesis

type registerStreamConsumerInput struct {
	StreamARN    string
	ConsumerName string
	Tags         map[string]string
	StreamId     string
}

func (in *registerStreamConsumerInput) validate(v *violations) {
	v.required("streamARN", in.StreamARN != "")
	v.pattern("streamARN", in.StreamARN, streamARNOK, `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
	v.required("consumerName", in.ConsumerName != "")
	v.pattern("consumerName", in.ConsumerName, streamNameOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.tags(in.Tags, 50)
}

func (in *registerStreamConsumerInput) address(c *call) (string, []string) {
	name, _ := c.server.account.nameOfARN(in.StreamARN)
	return name, nil
}

type registerStreamConsumerOutput struct{ Consumer consumerOut }

func registerStreamConsumer(c *call, in *registerStreamConsumerInput) (*registerStreamConsumerOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, f := a.byARN(in.StreamARN, now)
	if f != nil {
		return nil, f
	}
	if st.status != statusActive && st.status != statusUpdating {
		return nil, refuse(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", st.name, a.id, st.status)
	}
	co, f := st.register(in.ConsumerName, in.Tags, now)
	if f != nil {
		return nil, f
	}
	return &registerStreamConsumerOutput{co.describe()}, nil
}
