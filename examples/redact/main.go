// Redact is an engine for programs in other languages with an extension of one's own:
// a layer, written once in Go, that replaces fields of JSON records before handlers
// see them.
//
//	go build -o redact-engine ./redact
//	export VEGAS_ENGINE=$PWD/redact-engine
//
// and in Python, in other languages alike:
//
//	c = vegas.Consumer("orders", "billing", handle, extensions=[{"redact": {"fields": ["email"]}}])
//
// Extensions that come with vegas are named beside it: engine.Extension{Name:
// "dedupe", Consumer: dedupe.FromSettings}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/engine"
)

func main() { engine.Main(engine.Extension{Name: "redact", Consumer: redact}) }

// redact makes a layer that replaces the fields that settings name by "***". A record
// that is no JSON object is an error, as of a handler: it is not let through.
func redact(settings map[string]any) (func(vegas.Handler) vegas.Handler, error) {
	fields, _ := settings["fields"].([]any)
	secret := map[string]bool{}
	for _, f := range fields {
		name, ok := f.(string)
		if !ok {
			return nil, fmt.Errorf("fields: %v is no name of a field", f)
		}
		secret[name] = true
	}
	if len(secret) == 0 || len(settings) != 1 {
		return nil, fmt.Errorf(`the settings are {"fields": [names]}, not %v`, settings)
	}
	return func(next vegas.Handler) vegas.Handler {
		return func(ctx context.Context, r *vegas.Record) error {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(r.Data, &object); err != nil {
				return fmt.Errorf("redact: the record is no JSON object: %w", err)
			}
			if object == nil {
				return errors.New("redact: the record is null, which is no JSON object")
			}
			for name := range object {
				if secret[name] {
					object[name] = json.RawMessage(`"***"`)
				}
			}
			clean := *r
			var err error
			if clean.Data, err = json.Marshal(object); err != nil {
				return err
			}
			return next(ctx, &clean)
		}
	}, nil
}
