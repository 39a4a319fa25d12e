package stores

import (
	"log/slog"

	"github.com/libvegas/vegas/engine"
	"github.com/libvegas/vegas/store"
)

// Extensions are the stores that an engine does not have by itself.
func Extensions() []engine.Extension {
	var all []engine.Extension
	for _, k := range kinds {
		if k.place && k.name != "file" {
			all = append(all, engine.Extension{Name: k.name, Store: func(place string, log *slog.Logger) (store.Store, error) {
				return k.open(place, Options{Log: log})
			}})
		}
	}
	return all
}
