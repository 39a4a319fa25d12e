// Package localkinesis is a strict Amazon Kinesis Data Streams inside a Go
// process: for tests, for work without a cloud account, and for seeing a
// program survive what the real service does on a bad day.
//
// In a test one line is enough:
//
//	srv := localkinesis.Start(t, func(o *localkinesis.Options) {
//		o.Streams = map[string]int{"orders": 2}
//	})
//	client := kinesis.NewFromConfig(srv.AWS())
//
// [Start] serves on an in-memory network, so it also works inside a
// testing/synctest bubble, where five minutes of subscription or a day of
// retention pass at once. Build the server and its clients inside the bubble
// that uses them. [New] with [Server.ListenAndServe] serves real sockets, to
// any AWS SDK: HTTP/1.1, HTTP/2 without TLS (prior knowledge) and TLS, with
// JSON and CBOR bodies.
//
// Strict means: the limits of the service are enforced ([Options.NoLimits]
// turns them off), requests are validated, and what the documentation promises
// not to do is not done. Which operations exist, what each asserts and where
// the service documents it is listed in docs/localkinesis.md, generated from
// the table in table.go. Signatures must be present but are not verified.
//
// [Server.Inject] makes the server misbehave on purpose, deterministically and
// on the record; [Server.Records] and [Server.Stream] show what is stored
// without going over the wire.
//
// # Ownership
//
// One mutex in account owns streams, shards and records; it is held for
// decisions and copies of headers, never across a wait or an encoding. Changes
// of state that take time (CREATING, UPDATING, DELETING, retention) have no
// timers: they are settled by the clock whenever somebody looks.
package localkinesis
