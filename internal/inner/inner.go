// Package inner has doors to the root package's Producer and Consumer that their
// users do not have.
package inner

import (
	"context"

	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/internal/shard"
)

// Run runs a *vegas.Consumer with a shard's function to which all options apply,
// those of single records too. The root package sets it.
var Run func(ctx context.Context, consumer any, f shard.Func) error

// Engine is what a *vegas.Producer sends with; nil if it has a durable buffer. The
// root package sets it.
var Engine func(producer any) *send.Engine
