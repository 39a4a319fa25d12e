// Package extensions is what vegas-engine, the engine in the packages of other
// languages, can do beyond what every engine can.
package extensions

import (
	"log/slog"
	"strings"

	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/engine"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/postgres"
)

// Packaged are the extensions, by name. The store in SQLite is not among them: of
// what could be left out it takes most (docs/languages.md), and what it is for, the
// processes of one machine, the store in files does too.
func Packaged() []engine.Extension {
	return []engine.Extension{
		{Name: "postgres", Store: Postgres},
		{Name: "postgresql", Store: Postgres}, // the other usual scheme of its URLs
		{Name: "dedupe", Consumer: dedupe.FromSettings},
	}
}

// Postgres opens what follows "postgres:", which is a URL or a connection string, or
// what is left of a URL by itself, which begins the same way.
func Postgres(place string, log *slog.Logger) (store.Store, error) {
	if strings.HasPrefix(place, "//") {
		place = "postgres:" + place
	}
	return postgres.New(place, func(p *postgres.Options) { p.Logger = log }), nil
}
