// Package dynamodb is a store in a table of Amazon DynamoDB: for fleets on any
// number of machines. One table serves all groups; it is made at the first use
// where it is missing.
//
// The table's keys are group (HASH, S) and id (RANGE, S). An item is a row:
//
//	group     S   Row.Group
//	id        S   Row.ID
//	revision  N   Row.Revision
//	fields    M   Row.Fields, each an S under its own name
//	body      B   Row.Body; absent where it is empty
//
// The fields share one attribute so that a write replaces them as a whole, with
// nothing to remember about which of them were there before. Rows are only ever
// updated, never put: an attribute that is not in this list, of whatever type,
// survives every write.
//
// # Revisions
//
// Each write draws its revision at random, from 62 bits, and so the revision is
// the write's own name. That does two things. A row deleted and made anew cannot
// repeat a revision that somebody holds, whatever the clocks say: with a billion
// writes in a row's life the chance is below 1 in 10^9. And a write whose answer
// was lost can be tried again: when the second try finds the condition not met,
// the stored revision tells whether that was by the first one or by somebody
// else.
//
// # What it costs
//
// A write is billed by the KiB of the whole item, a read by 4 KiB, and half of
// that by Peek. Rows of heartbeats and checkpoints are below 1 KiB: one write
// unit each.
//
// A global table that several regions write to does not compare and swap across
// them: let all workers of a group use one region's replica, or one with
// multi-Region strong consistency.
package dynamodb

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/libvegas/vegas/store"
)

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// AWS is the configuration to reach the service with. Default: the zero
	// value, which stands for the SDK's default configuration, loaded at the
	// first use.
	AWS aws.Config
	// Client is a client whose settings are used instead of AWS, all but its
	// retries. Default: nil.
	Client *sdk.Client

	// Table is the table's name, or its ARN. Default "vegas".
	Table string
	// CreateTable makes the table at the first use if it does not exist, billed
	// on demand. Default true. Without it a missing table is an error.
	CreateTable bool
	// Tags are given to the table when it is made here. Default: none. They need
	// the permission dynamodb:TagResource.
	Tags map[string]string
	// PointInTimeRecovery turns continuous backups on for a table that is made
	// here. Default false: they cost extra, and a group whose rows are lost starts
	// over. They need the permission dynamodb:UpdateContinuousBackups.
	PointInTimeRecovery bool

	// Logger hears when a table is made. Default slog.Default().
	Logger *slog.Logger
}

// Store keeps rows in a table.
type Store struct {
	*place
	line   atomic.Pointer[line] // nil until the first use
	closed atomic.Bool
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Opener    = (*Store)(nil)
	_ store.Peeker    = (*Store)(nil)
	_ store.Separator = (*Store)(nil)
)

// New is a store in a table. It does no I/O: configuration and table are looked
// at by Open, or else by the first call.
func New(options ...func(*Options)) *Store {
	o := Options{Table: "vegas", CreateTable: true}
	for _, set := range options {
		set(&o)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Tags = maps.Clone(o.Tags)
	return &Store{place: &place{opts: o, turn: make(chan struct{}, 1)}}
}

// Separate is a store in the same table, with the same credentials, over
// connections of its own. What one of the two has learnt about the table the
// other knows. Closing the one does not close the other. (An HTTP client of
// another type than the SDK's own, given by Options, is shared.)
func (s *Store) Separate() store.Store { return &Store{place: s.place} }

// Open loads the configuration, and checks or makes the table. Making one takes
// ten seconds or so, longer than a call of a store usually is allowed.
func (s *Store) Open(ctx context.Context) error {
	_, err := s.use(ctx)
	return err
}

// Close closes the connections. Rows stay. An Options.Client is left alone.
func (s *Store) Close() error {
	s.closed.Store(true)
	if l := s.line.Load(); l != nil {
		l.close()
	}
	return nil
}

var errClosed = errors.New("dynamodb store: closed")

// use gives what calls go over, when the table is there.
func (s *Store) use(ctx context.Context) (*line, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l := s.line.Load(); l != nil && s.ready.Load() {
		return l, nil
	}
	// One at a time, for all that share the place: nobody has to load or make
	// twice. Not a mutex: the others may give up waiting.
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l := s.line.Load()
	if l == nil {
		var err error
		if l, err = s.connect(ctx); err != nil {
			return nil, err
		}
		s.line.Store(l)
		if s.closed.Load() { // meanwhile
			l.close()
			return nil, errClosed
		}
	}
	if !s.ready.Load() {
		if err := s.settle(ctx, l); err != nil {
			return nil, err
		}
		s.ready.Store(true)
	}
	return l, nil
}
