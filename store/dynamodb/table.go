package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// wantKeys are the keys of a store's table, as keysOf spells them.
const wantKeys = "HASH group (S), RANGE id (S)"

const (
	look     = time.Second     // between two looks at a table that is being made
	makeTime = 2 * time.Minute // for a table to be made, or to go
)

// settle makes sure that the table is there and is a store's.
func (s *Store) settle(ctx context.Context, l *line) error {
	started, made, op := time.Now(), false, "open store"
	for {
		status := "absent"
		table, err := s.describe(ctx, l)
		switch {
		case err == nil:
			status = string(table.TableStatus)
			s.arn.Store(table.TableArn)
			usable, err := s.check(table)
			if err != nil {
				return err
			}
			if usable {
				if made {
					s.finish(ctx, l, time.Since(started))
				}
				return nil
			}
		case code(err) == "ResourceNotFoundException" && !s.opts.CreateTable:
			return &failure{fmt.Sprintf("open store: %s does not exist, and making it is turned off: make it with the keys %s, or check its name, AWS_REGION and the endpoint (see docs/troubleshooting.md#store-table)", s.where(), wantKeys), err}
		case code(err) == "ResourceNotFoundException" && !made: // once made, it may not be seen everywhere yet
			if made, err = s.create(ctx, l); err != nil {
				return err
			}
			if made {
				continue
			}
		case code(err) == "ResourceNotFoundException":
		case classify(err).link == "store-permission":
			// Rows can be read and written all the same, if the table is there.
			s.opts.Logger.Info("the store's table is used unchecked: "+s.allow("dynamodb:DescribeTable", err), slog.String("table", s.opts.Table))
			return nil
		default:
			return s.failed(op, "dynamodb:DescribeTable", err)
		}
		op = "open store, wait for the table, which is " + status
		if err := pause(ctx, look); err != nil {
			return fmt.Errorf("%s: %s: %w", op, s.where(), err)
		}
		if time.Since(started) > makeTime {
			return fmt.Errorf("%s: %s: given up after %v (see docs/troubleshooting.md#store-table)", op, s.where(), makeTime)
		}
	}
}

func (s *Store) describe(ctx context.Context, l *line) (*types.TableDescription, error) {
	var out *sdk.DescribeTableOutput
	_, err := l.try(ctx, repeat, func(ctx context.Context) (err error) {
		out, err = l.client.DescribeTable(ctx, &sdk.DescribeTableInput{TableName: &s.opts.Table})
		if err == nil && out.Table == nil {
			err = errors.New("the answer describes no table")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

// check tells whether a table can be used now, and with an error that it never
// can.
func (s *Store) check(t *types.TableDescription) (usable bool, err error) {
	if got := keysOf(t); got != wantKeys {
		of := "it belongs to something else"
		if strings.Contains(got, "leaseKey") {
			of = "it is the lease table of a KCL application"
		}
		return false, fmt.Errorf("open store: %s has the keys %s, and a vegas store needs %s: %s, name another table (see docs/troubleshooting.md#store-table)", s.where(), got, wantKeys, of)
	}
	switch t.TableStatus {
	case types.TableStatusCreating, types.TableStatusDeleting:
		return false, nil
	case types.TableStatusInaccessibleEncryptionCredentials, types.TableStatusArchiving, types.TableStatusArchived:
		return false, fmt.Errorf("open store: %s is %s: mend its encryption key, or restore it from its backup (see docs/troubleshooting.md#store-table)", s.where(), t.TableStatus)
	}
	return true, nil // also while it is UPDATING
}

// keysOf spells a table's keys: "HASH group (S), RANGE id (S)".
func keysOf(t *types.TableDescription) string {
	var keys []string
	for _, k := range t.KeySchema {
		kind := "?"
		for _, a := range t.AttributeDefinitions {
			if aws.ToString(a.AttributeName) == aws.ToString(k.AttributeName) {
				kind = string(a.AttributeType)
			}
		}
		keys = append(keys, fmt.Sprintf("%s %s (%s)", k.KeyType, aws.ToString(k.AttributeName), kind))
	}
	slices.Sort(keys) // HASH before RANGE
	return strings.Join(keys, ", ")
}

// create asks for the table. made tells that it was this call; somebody else may
// be as fast.
func (s *Store) create(ctx context.Context, l *line) (made bool, err error) {
	in := &sdk.CreateTableInput{
		TableName:   &s.opts.Table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attrGroup), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attrID), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(attrGroup), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(attrID), KeyType: types.KeyTypeRange},
		},
	}
	for k, v := range s.opts.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: &k, Value: &v})
	}
	unsure, err := l.try(ctx, repeat, func(ctx context.Context) error {
		_, err := l.client.CreateTable(ctx, in)
		return err
	})
	switch {
	case code(err) == "ResourceInUseException":
		return unsure, nil
	case err != nil:
		return false, s.failed("open store: make the table", "dynamodb:CreateTable", err)
	}
	s.opts.Logger.Info("making the DynamoDB table in which consumer groups keep their positions, billed on demand", slog.String("table", s.opts.Table), slog.String("region", s.found.Load().Region))
	return true, nil
}

// finish does what a table that was made here still needs. Without its backups
// it is as good a store, so that this is no reason to stop.
func (s *Store) finish(ctx context.Context, l *line, took time.Duration) {
	s.opts.Logger.Info("the DynamoDB table is ready", slog.String("table", s.opts.Table), slog.Duration("took", took.Round(time.Millisecond)))
	if !s.opts.PointInTimeRecovery {
		return
	}
	on := &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)}
	for n := 1; ; n++ {
		_, err := l.try(ctx, repeat, func(ctx context.Context) error {
			_, err := l.client.UpdateContinuousBackups(ctx, &sdk.UpdateContinuousBackupsInput{
				TableName: &s.opts.Table, PointInTimeRecoverySpecification: on,
			})
			return err
		})
		if err == nil {
			return
		}
		// For some seconds after it was made, backups are not to be had.
		if code(err) == "ContinuousBackupsUnavailableException" && n < 30 && pause(ctx, look) == nil {
			continue
		}
		s.opts.Logger.Warn("the table has no point-in-time recovery: turn it on by hand, it is not tried again",
			slog.Any("error", s.failed("turn on backups", "dynamodb:UpdateContinuousBackups", err)))
		return
	}
}
