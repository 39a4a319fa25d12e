package main

import (
	"context"
	"strings"
	"testing"

	"github.com/libvegas/vegas"
)

// Under other languages the scenarios of bindings try it.
func TestRedact(t *testing.T) {
	layer, err := redact(map[string]any{"fields": []any{"email"}})
	if err != nil {
		t.Fatal(err)
	}
	var handled string
	h := layer(func(_ context.Context, r *vegas.Record) error {
		handled = string(r.Data)
		return nil
	})
	given := &vegas.Record{Data: []byte(`{"email": "a@b.example", "item": "tea"}`)}
	if err := h(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	if want := `{"email":"***","item":"tea"}`; handled != want {
		t.Errorf("handled %s, want %s", handled, want)
	}
	if !strings.Contains(string(given.Data), "a@b.example") {
		t.Error("the record itself was changed")
	}
	for _, text := range []string{"a@b.example", "null", "[]", `"email"`, ""} {
		handled = ""
		if err := h(t.Context(), &vegas.Record{Data: []byte(text)}); err == nil || handled != "" {
			t.Errorf("%q, which is no JSON object, was let through: %q, %v", text, handled, err)
		}
	}
}

func TestRedactWantsFields(t *testing.T) {
	for _, settings := range []map[string]any{nil, {"fields": "email"}, {"fields": []any{}}, {"fields": []any{1}}, {"fields": []any{"a"}, "feilds": 1}} {
		if _, err := redact(settings); err == nil {
			t.Errorf("%v: no error", settings)
		}
	}
}
