//go:build unix

package fleetnumbers

import (
	"encoding/json"
	"testing"
	"time"
)

// First is how a new group's first worker, a process of its own, comes to have
// read a record of every shard.
func First(t testing.TB, shards int, storeText string, linger time.Duration) (took, cpu time.Duration, resident int64) {
	t.Helper()
	s := serve(t, shards)
	s.put(t)
	var r reading
	run(t, job{Do: "read", Endpoint: s.endpoint, Store: storeText, Name: "first", Shards: shards, Linger: linger}, &r)
	return r.Took, r.CPU, r.Resident
}

// run runs a child that reads.
func run(t testing.TB, j job, into *reading, wrap ...string) {
	t.Helper()
	cmd := command(j)
	if len(wrap) > 0 {
		cmd.Path, cmd.Args = wrap[0], append(wrap, cmd.Args...)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
