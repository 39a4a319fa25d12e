// Package fleetnumbers measures what a fleet promises: how long shards are
// silent when a worker is killed, stops or joins, how soon a first worker reads
// everything, what a group costs its store, and what a shard costs a worker.
//
// Workers that die or stop are processes of their own, on real sockets and in
// real time. What takes hours runs in a bubble of time, with a store that counts
// what DynamoDB would bill. make fleet-numbers prints all of it as a table; as a
// test the same scenarios are shorter, and forgive a machine that is busy.
package fleetnumbers
