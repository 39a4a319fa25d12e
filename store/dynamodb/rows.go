package dynamodb

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/libvegas/vegas/store"
)

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	return s.list(ctx, group, prefix, true)
}

// Peek is List at half the price. It usually lags by less than a second.
func (s *Store) Peek(ctx context.Context, group, prefix string) ([]store.Row, error) {
	return s.list(ctx, group, prefix, false)
}

func (s *Store) list(ctx context.Context, group, prefix string, consistent bool) ([]store.Row, error) {
	op := fmt.Sprintf("list store rows of %q", group)
	if err := store.CheckNames(group, "any"); err != nil {
		return nil, err
	}
	if len(prefix) > store.NameBytes {
		return nil, nil // of no row, and the service would refuse it
	}
	l, err := s.use(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var rows []store.Row
	in := query(s.opts.Table, group, prefix, consistent)
	for {
		var page *sdk.QueryOutput
		_, err := l.try(ctx, repeat, func(ctx context.Context) (err error) {
			page, err = l.client.Query(ctx, in)
			return err
		})
		if err != nil {
			return nil, s.failed(op, "dynamodb:Query", err)
		}
		for _, it := range page.Items {
			r, err := row(it)
			if err != nil {
				return nil, s.odd(op, it, err)
			}
			rows = append(rows, r)
		}
		if len(page.LastEvaluatedKey) == 0 {
			return rows, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	op := fmt.Sprintf("get store row %q/%q", group, id)
	if err := store.CheckNames(group, id); err != nil {
		return store.Row{}, err
	}
	l, err := s.use(ctx)
	if err != nil {
		return store.Row{}, fmt.Errorf("%s: %w", op, err)
	}
	return s.get(ctx, l, op, group, id)
}

func (s *Store) get(ctx context.Context, l *line, op, group, id string) (store.Row, error) {
	consistent := true
	in := &sdk.GetItemInput{TableName: &s.opts.Table, Key: key(group, id), ConsistentRead: &consistent}
	var out *sdk.GetItemOutput
	_, err := l.try(ctx, repeat, func(ctx context.Context) (err error) {
		out, err = l.client.GetItem(ctx, in)
		return err
	})
	switch {
	case err != nil:
		return store.Row{}, s.failed(op, "dynamodb:GetItem", err)
	case len(out.Item) == 0:
		return store.Row{}, fmt.Errorf("%s: %w", op, store.ErrNotFound)
	}
	r, err := row(out.Item)
	if err != nil {
		return store.Row{}, s.odd(op, out.Item, err)
	}
	return r, nil
}

// Swap stores row if what is stored has row.Revision.
//
// An attempt without an answer is made again: its revision makes it the same
// write, which is applied once at most. Only a creation is not, since its row may
// have been made, seen and deleted meanwhile, and would rise from the dead.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	if err := store.Check(row); err != nil {
		return store.Row{}, err
	}
	op := fmt.Sprintf("write store row %q/%q", row.Group, row.ID)
	l, err := s.use(ctx)
	if err != nil {
		return store.Row{}, fmt.Errorf("%s: %w", op, err)
	}
	next := row.Clone()
	next.Revision = newRevision()
	in := update(s.opts.Table, row.Revision, next)
	rule := repeat
	if row.Revision == 0 {
		rule = once
	}
	unsure, err := l.try(ctx, rule, func(ctx context.Context) error {
		_, err := l.client.UpdateItem(ctx, in)
		return err
	})
	switch {
	case err == nil:
		return next, nil
	case !unsure && conditionFailed(err):
		return store.Row{}, fmt.Errorf("%s: %w", op, store.ErrConflict)
	case !unsure || ctx.Err() != nil:
		return store.Row{}, s.failed(op, "dynamodb:UpdateItem", err)
	}
	// An attempt may have been applied. If it is what is stored, it was.
	if got, getErr := s.get(ctx, l, op, row.Group, row.ID); getErr == nil && got.Revision == next.Revision {
		return next, nil
	}
	return store.Row{}, s.unknown(op, "dynamodb:UpdateItem", err)
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	op := fmt.Sprintf("delete store row %q/%q", row.Group, row.ID)
	l, err := s.use(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if row.Revision == 0 {
		return fmt.Errorf("%s: %w", op, store.ErrConflict) // no stored row has it
	}
	in := remove(s.opts.Table, row)
	unsure, err := l.try(ctx, repeat, func(ctx context.Context) error {
		_, err := l.client.DeleteItem(ctx, in)
		return err
	})
	switch {
	case err == nil:
		return nil
	case !unsure && conditionFailed(err):
		return fmt.Errorf("%s: %w", op, store.ErrConflict)
	case !unsure || ctx.Err() != nil:
		return s.failed(op, "dynamodb:DeleteItem", err)
	}
	return s.unknown(op, "dynamodb:DeleteItem", err)
}

func conditionFailed(err error) bool {
	_, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	return ok
}
