//go:build peers && servers && unix

package peers

import (
	"os"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fleetnumbers"
)

// TestMain lets this binary be the workers of a fleet.
func TestMain(m *testing.M) { fleetnumbers.Main(m, nil) }

// A fleet on DynamoDB gets over the end of its workers as one on files does.
func TestDynamoDBFleet(t *testing.T) {
	t.Parallel()
	store := "dynamodb:" + dynamoLocal(t)
	rounds := *kills
	if testing.Short() {
		rounds = 2
	}
	var table fleetnumbers.Table
	killed := fleetnumbers.Kills(t, fleetnumbers.Options{Store: store, Lease: 2 * time.Second, Rounds: rounds, Workers: 4, Shards: 12})
	table.Add(fleetnumbers.Number{
		Rank: 0, What: "kill -9 -> its shards flow again, 2 s lease, DynamoDB Local", Goal: "p99 < 3s",
		Measured: killed.Silent.String(), Met: killed.Silent.Of(0.99) < 3*time.Second,
	})
	if killed.Silent.Of(0.5) > 3*time.Second || killed.Missing > 0 {
		t.Errorf("killed: %+v", killed)
	}
	stopped := fleetnumbers.Stops(t, fleetnumbers.Options{Store: store, Rounds: rounds, Workers: 4, Shards: 12})
	table.Add(fleetnumbers.Number{
		Rank: 1, What: "orderly stop -> next owner reads, DynamoDB Local", Goal: "< 500ms, none twice",
		Measured: stopped.Silent.String(), Met: stopped.Silent.Of(1) < 500*time.Millisecond && stopped.Repeated == 0,
	})
	if stopped.Silent.Of(0.5) > time.Second || stopped.Missing > 0 || stopped.Repeated > 0 && stopped.Lost == 0 {
		t.Errorf("stopped: %+v", stopped)
	}
	if testing.Verbose() {
		if err := table.Print(os.Stdout); err != nil {
			t.Error(err)
		}
	}
}
