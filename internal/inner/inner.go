// Package inner is a door to the root package's Consumer that its users do not
// have.
package inner

import (
	"context"

	"github.com/libvegas/vegas/internal/shard"
)

// Run runs a *vegas.Consumer with a shard's function to which all options apply,
// those of single records too. The root package sets it.
var Run func(ctx context.Context, consumer any, f shard.Func) error
