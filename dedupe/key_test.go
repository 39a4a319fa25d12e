package dedupe

import (
	"strings"
	"testing"

	"github.com/libvegas/vegas/record"
)

func TestKeysOfRecords(t *testing.T) {
	r := &record.Record{
		PartitionKey: "customer-42", Data: []byte(`{"order": {"id": "a-1", "n": 1.50, "none": null, "empty": "", "list": [1, 2]}, "id": "x"}`),
		Headers: []record.Header{{Key: "id", Value: "7"}, {Key: "id", Value: "8"}, {Key: "empty"}},
	}
	for text, want := range map[string]string{ // what stands for the key
		"header:id": "7", "header:ID": "", "header:empty": "", "partition_key": "customer-42", "data": string(r.Data),
		"json:order.id": "sa-1", "json:id": "sx", "json:order.n": "j1.50", "json:order.list": "j[1,2]",
		"json:order":      `j{"id":"a-1","n":1.50,"none":null,"empty":"","list":[1,2]}`,
		"json:order.none": "", "json:order.empty": "", "json:order.missing": "", "json:id.x": "", "json:x": "",
	} {
		k, err := ParseKey(text)
		if err != nil || k.String() != text {
			t.Errorf("%s is read as %v, %v", text, k, err)
			continue
		}
		expected, wanted := sum(want)
		if got, ok := k.of(r); ok != wanted || ok && got != expected {
			t.Errorf("%s: %x, %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "header", "header:", "json", "json:", "Data", "data:", "partition_key:x", "func:x"} {
		if k, err := ParseKey(text); err == nil || !strings.Contains(err.Error(), "want header:NAME") {
			t.Errorf("%q is read as %v, %v", text, k, err)
		}
	}
	for name, k := range map[string]Key{"the zero key": {}, "no function": Func("f", nil), "an empty one": Func("f", func(*record.Record) string { return "" })} {
		if _, ok := k.of(r); ok {
			t.Errorf("%s finds something", name)
		}
	}
	k := Func("length", func(r *record.Record) string { return r.PartitionKey[:3] })
	if got, ok := k.of(r); !ok || got != first(sum("cus")) || k.String() != "func:length" {
		t.Errorf("%v: %x %v", k, got, ok)
	}
	for _, data := range []string{"", "null", "[1]", "{", `"id"`, `{"id"`} {
		if _, ok := first(ParseKey("json:id")).of2(&record.Record{Data: []byte(data)}); ok {
			t.Errorf("%q has a member", data)
		}
	}
	if _, ok := first(ParseKey("data")).of2(&record.Record{}); ok {
		t.Error("an empty payload is a key")
	}
	long := strings.Repeat("x", 1000)
	if a, b := first(sum(long)), first(sum(long+"y")); a == b {
		t.Error("long keys are cut")
	}
}

func (k Key) of2(r *record.Record) (hash, bool) { return k.of(r) }

func first[T, U any](v T, _ U) T { return v }

// Two texts of one JSON text are one key, a number and a text are two.
func TestJSONKeysAreCompared(t *testing.T) {
	k := JSON("id")
	of := func(data string) hash { return first(k.of(&record.Record{Data: []byte(data)})) }
	if of(`{"id":"A"}`) != of(` { "id" : "\u0041", "x": 1}`) || of(`{"id":1}`) == of(`{"id":"1"}`) || of(`{"id":1}`) == of(`{"id":1.0}`) {
		t.Error("wrong")
	}
}
