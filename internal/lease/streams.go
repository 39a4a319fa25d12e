package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/store"
)

// Stream is a stream of which a group remembers something.
type Stream struct {
	Account, Name string
	Created       time.Time
}

// Streams lists a group's streams, those that are gone as well.
func Streams(ctx context.Context, s store.Store, group string) ([]Stream, error) {
	const kind = "group#"
	ctx, cancel := context.WithTimeout(ctx, 2*storeTime)
	defer cancel()
	rows, err := s.List(ctx, group, kind)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", group, err)
	}
	var out []Stream
	for _, row := range rows {
		if err := checkVersion(row); err != nil {
			return nil, err
		}
		// account:name:creation, and no name holds a colon.
		parts := strings.Split(strings.TrimPrefix(row.ID, kind), ":")
		if len(parts) != 3 {
			continue // of a stream that is no stream of Kinesis
		}
		ms, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			continue
		}
		out = append(out, Stream{Account: parts[0], Name: parts[1], Created: time.UnixMilli(ms)})
	}
	return out, nil
}
