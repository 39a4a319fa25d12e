package localkinesis

type describeStreamConsumerInput struct{ consumerRef }

type describeStreamConsumerOutput struct{ ConsumerDescription consumerOut }

func describeStreamConsumer(c *call, in *describeStreamConsumerInput) (*describeStreamConsumerOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	co, f := in.find(a, c.now())
	if f != nil {
		return nil, f
	}
	out := &describeStreamConsumerOutput{co.describe()}
	out.ConsumerDescription.StreamARN = a.streamARN(co.stream.name)
	return out, nil
}
