package admin

import (
	"context"
	"fmt"

	"github.com/libvegas/vegas/internal/lease"
	"github.com/libvegas/vegas/store"
)

// Stream is a stream of which a group remembers something: its account and name,
// and when it was made, which tells it from an earlier one of that name.
type Stream = lease.Stream

// Streams lists the streams that a group reads or has read, as a store remembers
// them: those that do not exist any more as well, and a name twice whose stream
// was made anew.
func Streams(ctx context.Context, s store.Store, group string) ([]Stream, error) {
	all, err := lease.Streams(ctx, s, group)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return all, nil
}
