// Package extensions is what the engine can do in this command and in vegas-engine,
// beyond what every engine can.
package extensions

import (
	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/engine"
)

// All are the extensions, by name.
func All() []engine.Extension {
	return append(stores.Extensions(), engine.Extension{Name: "dedupe", Consumer: dedupe.FromSettings})
}
