package localkinesis

type deleteStreamInput struct {
	streamRef
	EnforceConsumerDeletion *bool
}

func (in *deleteStreamInput) validate(v *violations) { in.check(v) }

func deleteStream(c *call, in *deleteStreamInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if len(st.consumers) > 0 && (in.EnforceConsumerDeletion == nil || !*in.EnforceConsumerDeletion) {
		return nil, refuse(codeInUse, "Stream %s under account %s has %d registered consumers: deregister them or set EnforceConsumerDeletion.",
			st.name, a.id, len(st.consumers))
	}
	st.enter(statusDeleting, c.now(), nil)
	return &empty{}, nil
}
