package stores

import (
	"log/slog"

	"github.com/libvegas/vegas/cmd/vegas/internal/extensions"
	"github.com/libvegas/vegas/engine"
	"github.com/libvegas/vegas/store"
)

// Extensions are all that an engine can have: those of the packages of other
// languages, and the store in SQLite.
func Extensions() []engine.Extension {
	return append(extensions.Packaged(), engine.Extension{Name: "sqlite", Store: func(path string, log *slog.Logger) (store.Store, error) {
		return openSQLite(path, Options{Log: log})
	}})
}
