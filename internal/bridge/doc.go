// Package bridge is the engine's side of the protocol by which programs in other
// languages use vegas: bindings/PROTOCOL.md says what crosses, and who may rely
// on what.
//
// A [Serve] call is one session with one host. One goroutine reads its frames and
// never waits for anything else than the next one: what takes long has a goroutine
// of its own (a call, a producer, a shard), and what crosses is bounded by windows.
// One goroutine writes, and takes with each system call whatever has gathered by
// then.
package bridge
