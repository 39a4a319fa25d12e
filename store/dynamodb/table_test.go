package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/store"
)

func TestATableThatIsThereIsLookedAtOnce(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{"Query": {done}})
	other := s.Separate()
	for range 3 {
		for _, st := range []store.Store{s, other} {
			if _, err := st.List(t.Context(), "g", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := stub.count("DescribeTable"); n != 1 {
		t.Errorf("described %d times", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.List(t.Context(), "g", ""); err == nil {
		t.Error("closed, and in use")
	}
	if _, err := other.List(t.Context(), "g", ""); err != nil {
		t.Error(err)
	}
	if stub.log.Len() != 0 {
		t.Errorf("logged: %s", &stub.log)
	}
}

func TestAMissingTableIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stub := stubbed(t, map[string][]answer{
			"DescribeTable":           {notFound, notFound, table("CREATING"), table("CREATING"), table("ACTIVE")},
			"CreateTable":             {done},
			"UpdateContinuousBackups": {fails("ContinuousBackupsUnavailableException", "not yet"), done},
		}, func(o *Options) {
			o.Table = "positions"
			o.Tags = map[string]string{"team": "orders"}
			o.PointInTimeRecovery = true
		})
		if err := store.Open(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		in := stub.input("CreateTable")
		if in["TableName"] != "positions" || in["BillingMode"] != "PAY_PER_REQUEST" || fmt.Sprint(in["Tags"]) != "[map[Key:team Value:orders]]" ||
			fmt.Sprint(in["KeySchema"]) != "[map[AttributeName:group KeyType:HASH] map[AttributeName:id KeyType:RANGE]]" {
			t.Errorf("%v", in)
		}
		if stub.count("CreateTable") != 1 || stub.count("UpdateContinuousBackups") != 2 {
			t.Errorf("%v", stub.calls)
		}
		for _, want := range []string{"making the DynamoDB table", "table=positions", "region=eu-west-1", "is ready"} {
			if !strings.Contains(stub.log.String(), want) {
				t.Errorf("%q is not in the log: %s", want, &stub.log)
			}
		}
	})
}

func TestTwoThatMakeATableGetAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inUse := fails("ResourceInUseException", "Table already exists")
		s, stub := stubbed(t, map[string][]answer{
			"DescribeTable": {notFound, notFound, table("CREATING"), table("ACTIVE")}, "CreateTable": {inUse},
		}, func(o *Options) { o.PointInTimeRecovery = true }) // which the other one turns on
		if err := s.Open(t.Context()); err != nil {
			t.Error(err)
		}
		if stub.log.Len() != 0 {
			t.Errorf("logged: %s", &stub.log)
		}
		// One's own attempt that had no answer.
		s, stub = stubbed(t, map[string][]answer{
			"DescribeTable": {notFound, table("ACTIVE")}, "CreateTable": {breaks, inUse},
		})
		if err := s.Open(t.Context()); err != nil || !strings.Contains(stub.log.String(), "is ready") {
			t.Errorf("%v, logged: %s", err, &stub.log)
		}
	})
}

func TestATableThatGoesIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stub := stubbed(t, map[string][]answer{
			"DescribeTable": {table("DELETING"), table("DELETING"), notFound, table("ACTIVE")}, "CreateTable": {done},
		})
		if err := s.Open(t.Context()); err != nil || stub.count("CreateTable") != 1 {
			t.Error(err, stub.calls)
		}
		s, _ = stubbed(t, map[string][]answer{"DescribeTable": {table("DELETING")}})
		start := time.Now()
		mentions(t, s.Open(t.Context()), "DELETING", "#store-table")
		if took := time.Since(start); took > makeTime+2*time.Second {
			t.Errorf("told after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.Get(ctx, "g", "lease#1")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		mentions(t, err, `get store row "g"/"lease#1"`, "DELETING")
	})
}

func TestTablesThatAreSomethingElseAreRefused(t *testing.T) {
	keys := func(schema, attributes string) answer {
		return says(200, `{"Table":{"TableStatus":"ACTIVE","KeySchema":[`+schema+`],"AttributeDefinitions":[`+attributes+`]}}`)
	}
	for name, c := range map[string]struct {
		answer answer
		want   []string
	}{
		"KCL":        {keys(`{"AttributeName":"leaseKey","KeyType":"HASH"}`, `{"AttributeName":"leaseKey","AttributeType":"S"}`), []string{"HASH leaseKey (S)", "KCL"}},
		"other type": {keys(`{"AttributeName":"group","KeyType":"HASH"},{"AttributeName":"id","KeyType":"RANGE"}`, `{"AttributeName":"group","AttributeType":"S"},{"AttributeName":"id","AttributeType":"N"}`), []string{"RANGE id (N)"}},
		"turned":     {keys(`{"AttributeName":"id","KeyType":"HASH"},{"AttributeName":"group","KeyType":"RANGE"}`, `{"AttributeName":"group","AttributeType":"S"},{"AttributeName":"id","AttributeType":"S"}`), []string{"HASH id (S), RANGE group (S)"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stubbed(t, map[string][]answer{"DescribeTable": {c.answer}})
			mentions(t, s.Open(t.Context()), append(c.want, wantKeys, "name another table", "#store-table")...)
		})
	}
	s, _ := stubbed(t, map[string][]answer{"DescribeTable": {table("INACCESSIBLE_ENCRYPTION_CREDENTIALS")}})
	mentions(t, s.Open(t.Context()), "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "key")

	// Where it may not be looked at, the first call finds out.
	denied := fails("AccessDeniedException", "no")
	s, _ = stubbed(t, map[string][]answer{"DescribeTable": {denied}, "GetItem": {fails("ValidationException", "The provided key element does not match the schema")}})
	_, err := s.Get(t.Context(), "g", "lease#1")
	mentions(t, err, wantKeys, "#store-table")
}

func TestAMissingTableThatMayNotBeMade(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{"DescribeTable": {notFound}}, func(o *Options) { o.CreateTable = false })
	mentions(t, s.Open(t.Context()), "does not exist", `table "vegas" in eu-west-1`, wantKeys, "#store-table")
	if stub.count("DescribeTable") != 1 {
		t.Errorf("%v", stub.calls)
	}
	s, _ = stubbed(t, map[string][]answer{"DescribeTable": {notFound}, "CreateTable": {fails("AccessDeniedException", "no")}})
	mentions(t, s.Open(t.Context()), "allow dynamodb:CreateTable on", `table "vegas" in eu-west-1`, "#store-permission")
}

func TestATableIsUsedUncheckedWhereItMayNotBeLookedAt(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{"DescribeTable": {fails("AccessDeniedException", "no")}, "UpdateItem": {done, notFound}})
	row, err := s.Swap(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stub.log.String(), "dynamodb:DescribeTable") || stub.count("DescribeTable") != 1 {
		t.Errorf("%d looks, logged: %s", stub.count("DescribeTable"), &stub.log)
	}
	_, err = s.Swap(t.Context(), row)
	mentions(t, err, "ResourceNotFoundException", "#store-table")
}

func TestBackupsThatAreRefusedStopNothing(t *testing.T) {
	s, stub := stubbed(t, map[string][]answer{
		"DescribeTable": {notFound, table("ACTIVE")}, "CreateTable": {done}, "UpdateContinuousBackups": {fails("AccessDeniedException", "no")},
	}, func(o *Options) { o.PointInTimeRecovery = true })
	if err := s.Open(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(stub.log.String(), "allow dynamodb:UpdateContinuousBackups") {
		t.Errorf("logged: %s", &stub.log)
	}
}

// A failed start is tried again by the next call.
func TestAStartThatFailsIsNotRemembered(t *testing.T) {
	s, _ := stubbed(t, map[string][]answer{"DescribeTable": {fails("ValidationException", "bad"), table("ACTIVE")}, "Query": {done}})
	if _, err := s.List(t.Context(), "g", ""); err == nil {
		t.Error("no error")
	}
	if _, err := s.List(t.Context(), "g", ""); err != nil {
		t.Error(err)
	}
}

// An answer that comes in the moment in which its attempt is given up is an
// answer all the same.
func TestAnAnswerAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(ctx context.Context) (*http.Response, error) {
			<-ctx.Done()
			return notFound(ctx)
		}
		s, _ := stubbed(t, map[string][]answer{
			"DescribeTable": {late, table("ACTIVE")}, "CreateTable": {done},
		})
		if err := s.Open(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
