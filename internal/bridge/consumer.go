package bridge

import "context"

// consumer is a consumer that a host has opened, as the session sees it.
type consumer interface {
	// settle takes the body of a settle frame, which is valid until it returns and
	// begins with the consumer's number. It does not wait. An error ends the session.
	settle(body []byte) error
	// checkpoint answers the host's call of that name.
	checkpoint(ctx context.Context, args arguments) (results, error)
	// check answers the host's call of that name.
	check(ctx context.Context) error
	// stats are what the host's call and the event of that name tell.
	stats() results
	// close ends the consumer and returns when it has ended. The host is still there
	// if the context says so: it ends when the host is gone, and then the consumer
	// gives its shards back without waiting for handlers.
	close(ctx context.Context) error
}

// openConsumer answers open_consumer: it finds out what is wrong with the
// arguments, starts the consumer and returns. What the session offers to it:
//
//	s.call(ctx, method, args)   calls the host and waits for its answer
//	s.write(kind, fill)         puts a frame into the output, without waiting
//	s.event(results)            likewise an event
//	s.log                       the log that reaches the host
//	s.gone                      closed when the host has closed its side
//	s.group                     runs goroutines that the session's end waits for
//	s.awsConfig(ctx, o)         the configuration that options ask for
//	s.openStore(text, config)   the store that a text names
//	parseOptions, arguments     what the host asks for
//	s.fail(err)                 ends the session, for a host that breaks the protocol
//
// It is called by a goroutine of its own.
func (s *session) openConsumer(ctx context.Context, number uint32, args arguments) (consumer, results, error) {
	return nil, nil, failuref(codeFailed, "this engine has no consumers yet")
}
