package localkinesis

type deregisterStreamConsumerInput struct{ consumerRef }

func deregisterStreamConsumer(c *call, in *deregisterStreamConsumerInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	co, f := in.find(a, now)
	if f != nil {
		return nil, f
	}
	if co.status == statusDeleting {
		return nil, refuse(codeInUse, "Consumer %s under account %s is being deleted.", co.arn, a.id)
	}
	co.status, co.due = statusDeleting, now.Add(a.delay)
	co.stream.settleConsumers(now)
	co.stream.wake()
	return &empty{}, nil
}
