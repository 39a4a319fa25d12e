package dynamodb

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/libvegas/vegas/store"
)

func TestWritesAsExpressions(t *testing.T) {
	r := store.Row{Group: "g", ID: "lease#1", Revision: 9, Fields: map[string]string{"id": "x", "a.b": "y"}, Body: []byte("b")}
	in := update("vegas", 0, r)
	if got := *in.UpdateExpression; got != "SET #r = :r, #f = :f, #b = :b" {
		t.Error(got)
	}
	if got := *in.ConditionExpression; got != "attribute_not_exists(#id)" {
		t.Error(got)
	}
	r.Body = nil
	in = update("vegas", 8, r)
	if got := *in.UpdateExpression; got != "SET #r = :r, #f = :f REMOVE #b" {
		t.Error(got)
	}
	if got := *in.ConditionExpression; got != "#r = :old" || textOf(in.Key["id"]) != "lease#1" {
		t.Error(got)
	}
	if old := in.ExpressionAttributeValues[":old"].(*types.AttributeValueMemberN).Value; old != "8" {
		t.Error(old)
	}
	// The service refuses placeholders that no expression uses.
	for _, expressions := range []string{*in.UpdateExpression + *in.ConditionExpression} {
		for name := range in.ExpressionAttributeNames {
			if !strings.Contains(expressions, name) {
				t.Errorf("%s is not used", name)
			}
		}
		for name := range in.ExpressionAttributeValues {
			if !strings.Contains(expressions, name) {
				t.Errorf("%s is not used", name)
			}
		}
	}
	if in := query("vegas", "g", "", true); len(in.ExpressionAttributeNames) != 1 || strings.Contains(*in.KeyConditionExpression, "begins_with") {
		t.Errorf("%v", *in.KeyConditionExpression)
	}
}

func TestItemsDecode(t *testing.T) {
	s, n := text, number
	m := func(fields item) types.AttributeValue { return &types.AttributeValueMemberM{Value: fields} }
	got, err := row(item{"group": s("g"), "id": s("i"), "revision": n(1 << 62), "fields": m(item{"a": s("b")}), "body": &types.AttributeValueMemberB{Value: []byte{0}}, "note": s("x")})
	want := store.Row{Group: "g", ID: "i", Revision: 1 << 62, Fields: map[string]string{"a": "b"}, Body: []byte{0}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for name, it := range map[string]item{
		"revision":  {"fields": m(nil)},
		"fields":    {"revision": n(1)},
		"fields.a":  {"revision": n(1), "fields": m(item{"a": n(1)})},
		"body":      {"revision": n(1), "fields": m(nil), "body": s("text")},
		"revision ": {"revision": n(0), "fields": m(nil)},
	} {
		_, err := row(it)
		mentions(t, err, `"`+strings.TrimSpace(name)+`"`, "#store-item")
	}
}

func TestRevisionsFitASignedNumber(t *testing.T) {
	for range 1000 {
		if r := newRevision(); r == 0 || r > 1<<62 {
			t.Fatal(r)
		}
	}
}
