package command

import (
	"testing"
	"time"

	"github.com/libvegas/vegas/admin"
)

// Workers that stop at the same moment hand their leases to each other: those are
// read by nobody, whatever their rows say.
func TestALeaseOfAWorkerThatIsGoneIsUnowned(t *testing.T) {
	now := time.Now()
	v := viewLeases("orders", admin.State{
		Workers: []admin.Worker{
			{ID: "1", Name: "anna", State: "dead", LastBeat: now},
			{ID: "2", Name: "anna", State: "running", LastBeat: now, LeaseTime: time.Second},
		},
		Leases: []admin.Lease{
			{Shard: "0", Owner: "anna", OwnerID: "1"},
			{Shard: "1", Owner: "anna", OwnerID: "2"},
			{Shard: "2", Owner: "bert", OwnerID: "3"}, // joined between the two listings
			{Shard: "3", Owner: "anna", OwnerID: "2", Heir: "bert"},
		},
	}, now)
	for i, want := range []string{shardUnowned, shardReading, shardReading, shardHanding} {
		if got := v.Shards[i].State; got != want {
			t.Errorf("shard %d is %s, want %s", i, got, want)
		}
	}
}
