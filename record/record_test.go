package record

import (
	"errors"
	"testing"
)

func TestPositionsCompareAsBigIntegers(t *testing.T) {
	inOrder := []Position{
		{},
		{Sequence: "9"},
		{Sequence: "10"},
		{Sequence: "10", SubSequence: 1},
		{Sequence: "49590338271490256608559692538361571095921575989136588898"},
		{Sequence: "149590338271490256608559692538361571095921575989136588898"},
		ShardEnd,
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v against %v: %d, want %d", a, b, got, want)
			}
		}
	}
	if c := (Position{}).Compare(Position{Sequence: SequenceTrimHorizon}); c != 0 {
		t.Errorf("the zero position is not TRIM_HORIZON: %d", c)
	}
}

func TestCheckSequence(t *testing.T) {
	for s, ok := range map[string]bool{"0": true, "4959": true, "": false, "-1": false, "SHARD_END": false, "12a": false} {
		if err := CheckSequence(s); (err == nil) != ok {
			t.Errorf("CheckSequence(%q) = %v", s, err)
		}
	}
}

func TestSendErrorNamesNoKey(t *testing.T) {
	err := &SendError{Stream: "orders", Shard: "shardId-000000000003", Key: "secret", Outcome: NotStored, Attempts: 2, Err: ErrThrottled}
	if got, want := err.Error(), `send: stream "orders" shardId-000000000003: not stored after 2 attempts: throttled`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !errors.Is(err, ErrThrottled) {
		t.Error("the cause is not reachable")
	}
}

func TestSendErrorCountsAttempts(t *testing.T) {
	for attempts, want := range []string{"unknown: why", "unknown after 1 attempt: why", "unknown after 2 attempts: why"} {
		err := &SendError{Stream: "orders", Attempts: attempts, Err: errors.New("why")}
		if got, want := err.Error(), `send: stream "orders": `+want; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
