package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/store"
)

var stored = store.Row{Group: "billing", ID: "lease#1", Revision: 7, Fields: map[string]string{"owner": "a"}}

func TestThrottledWritesGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stub := stubbed(t, map[string][]answer{"UpdateItem": {throttle, fails("ThrottlingException", "slow down"), throttle, throttle, throttle, throttle, throttle, done}})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		out, err := s.Swap(ctx, stored)
		if err != nil || out.Revision == 0 || out.Revision == 7 {
			t.Fatal(out, err)
		}
		if took := time.Since(start); took > 2*time.Second || stub.count("UpdateItem") != 8 {
			t.Errorf("after %v and %d attempts", took, stub.count("UpdateItem"))
		}
	})
}

func TestThrottlingThatLastsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stubbed(t, map[string][]answer{"UpdateItem": {throttle}, "GetItem": {throttle}})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := s.Swap(ctx, stored)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
		mentions(t, err, "ProvisionedThroughputExceededException", `"billing"/"lease#1"`, "#store-throttled")
		start := time.Now()
		_, err = s.Get(t.Context(), "billing", "lease#1")
		mentions(t, err, "ProvisionedThroughputExceededException", "capacity", "REQ-1", "#store-throttled")
		if took := time.Since(start); took < patience-time.Second || took > patience {
			t.Errorf("given up after %v", took)
		}
	})
}

// A connection that is dead costs a second, not the heartbeat.
func TestAnAttemptThatHangsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stub := stubbed(t, map[string][]answer{"UpdateItem": {hangs, done}, "Query": {hangs}})
		start := time.Now()
		if _, err := s.Swap(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != firstAttempt || stub.count("UpdateItem") != 2 {
			t.Errorf("after %v and %d attempts", took, stub.count("UpdateItem"))
		}
		start = time.Now()
		_, err := s.List(t.Context(), "billing", "")
		mentions(t, err, "no answer within", "#unreachable")
		if took := time.Since(start); took > patience+longAttempt {
			t.Errorf("given up after %v", took)
		}
	})
}

// lostThen answers a write with nothing, the next ones as asked for, and a reading
// by the revision that the write had, or another.
func lostThen(t *testing.T, ours bool, lost, second answer) (*Store, *stub) {
	var st *stub
	s, st := stubbed(t, map[string][]answer{"UpdateItem": {lost, second}, "GetItem": {func(ctx context.Context) (*http.Response, error) {
		revision := "99"
		if ours {
			revision = st.input("UpdateItem")["ExpressionAttributeValues"].(map[string]any)[":r"].(map[string]any)["N"].(string)
		}
		return says(200, fmt.Sprintf(`{"Item":{"group":{"S":"billing"},"id":{"S":"lease#1"},"revision":{"N":%q},"fields":{"M":{}}}}`, revision))(ctx)
	}}})
	return s, st
}

func TestALostAnswerIsToldFromAnothersWrite(t *testing.T) {
	for name, lost := range map[string]answer{"broken connection": breaks, "no answer": hangs, "internal error": fails("InternalServerError", "oh")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, stub := lostThen(t, true, lost, failedCondition)
				out, err := s.Swap(t.Context(), stored)
				if err != nil || out.Revision == stored.Revision {
					t.Errorf("our own write: %v, %v", out, err)
				}
				first, second := stub.calls[1].in, stub.calls[2].in
				if fmt.Sprint(first) != fmt.Sprint(second) {
					t.Errorf("the second attempt is another write: %v, %v", first, second)
				}
				s, _ = lostThen(t, false, lost, failedCondition)
				_, err = s.Swap(t.Context(), stored)
				if errors.Is(err, store.ErrConflict) {
					t.Error("what may have been ours was reported as a plain conflict")
				}
				mentions(t, err, "may have been applied", `table "vegas" in eu-west-1`)

				// Unknown sticks: a throttle says nothing about the attempt before.
				s, stub = lostThen(t, true, lost, throttle)
				if _, err := s.Swap(t.Context(), stored); err != nil || stub.count("GetItem") != 1 {
					t.Errorf("%v after %d readings", err, stub.count("GetItem"))
				}
			})
		})
	}
}

func TestARefusalAfterAThrottleIsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stubbed(t, map[string][]answer{"UpdateItem": {throttle, failedCondition}, "DeleteItem": {throttle, failedCondition}})
		if _, err := s.Swap(t.Context(), stored); !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
		if err := s.Delete(t.Context(), stored); !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
	})
}

// Its row may have been made, seen, declared dead and deleted before a second
// attempt arrives.
func TestACreationIsAttemptedOnceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := stored
		fresh.Revision = 0
		s, stub := lostThen(t, true, hangs, done)
		if _, err := s.Swap(t.Context(), fresh); err != nil || stub.count("UpdateItem") != 1 {
			t.Errorf("%v after %d attempts", err, stub.count("UpdateItem"))
		}
		s, stub = stubbed(t, map[string][]answer{"UpdateItem": {throttle, breaks, done}, "GetItem": {done}})
		if _, err := s.Swap(t.Context(), fresh); err == nil || errors.Is(err, store.ErrConflict) || stub.count("UpdateItem") != 2 {
			t.Errorf("%v after %d attempts", err, stub.count("UpdateItem"))
		}
	})
}

func TestALostDeletionIsLeftOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stubbed(t, map[string][]answer{"DeleteItem": {breaks, failedCondition}})
		err := s.Delete(t.Context(), stored)
		if errors.Is(err, store.ErrConflict) {
			t.Error("reported as a plain conflict")
		}
		mentions(t, err, "may have been applied")
		s, _ = stubbed(t, map[string][]answer{"DeleteItem": {breaks, done}})
		if err := s.Delete(t.Context(), stored); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	denied := fails("AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized to perform: dynamodb:UpdateItem on resource: arn:aws:dynamodb:eu-west-1:123456789012:table/vegas because no identity-based policy allows the dynamodb:UpdateItem action")
	kms := fails("AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/1 because no")
	curt := fails("AccessDeniedException", "")
	s, _ := stubbed(t, map[string][]answer{"UpdateItem": {denied}, "GetItem": {kms}, "DeleteItem": {curt}, "Query": {curt}})
	ctx := t.Context()
	_, err := s.Swap(ctx, stored)
	mentions(t, err, "allow dynamodb:UpdateItem on arn:aws:dynamodb:eu-west-1:123456789012:table/vegas to the role", "#store-permission")
	_, err = s.Get(ctx, "billing", "lease#1")
	mentions(t, err, "allow kms:Decrypt on arn:aws:kms:eu-west-1:123456789012:key/1 to the role")
	err = s.Delete(ctx, stored)
	mentions(t, err, "allow dynamodb:DeleteItem on arn:aws:dynamodb:eu-west-1:123456789012:table/vegas to the role")
	_, err = s.List(ctx, "billing", "")
	mentions(t, err, "allow dynamodb:Query on", "#store-permission")
}

func TestContextsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := stubbed(t, map[string][]answer{"UpdateItem": {hangs}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		start := time.Now()
		if _, err := s.Swap(ctx, stored); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("after %v", took)
		}
	})
}

func TestNamesThatTheServiceRefuses(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{})
	long := string(make([]byte, store.NameBytes+1))
	if _, err := s.List(t.Context(), long, ""); err == nil {
		t.Error("a group too long")
	}
	if rows, err := s.List(t.Context(), "billing", long); rows != nil || err != nil {
		t.Errorf("a prefix that no id has: %v, %v", rows, err)
	}
	if _, err := s.Get(t.Context(), "billing", ""); err == nil {
		t.Error("an empty id")
	}
	if len(stub.calls) != 0 {
		t.Errorf("asked the service: %v", stub.calls)
	}
}

func TestOnlyAPeekMayLag(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{"Query": {done}, "GetItem": {done}})
	ctx := t.Context()
	if _, err := s.List(ctx, "g", "lease#"); err != nil || stub.input("Query")["ConsistentRead"] != true {
		t.Error(err, stub.input("Query"))
	}
	if _, err := store.Peek(ctx, s, "g", "lease#"); err != nil || stub.input("Query")["ConsistentRead"] != false {
		t.Error(err, stub.input("Query"))
	}
	if _, err := s.Get(ctx, "g", "lease#1"); !errors.Is(err, store.ErrNotFound) || stub.input("GetItem")["ConsistentRead"] != true {
		t.Error(err, stub.input("GetItem"))
	}
}
