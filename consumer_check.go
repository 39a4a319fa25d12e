package vegas

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/store"
)

// Check tries everything that a start needs: it describes the stream, lists its
// shards, reads from one, looks for the fan-out consumer where that is asked
// for, and writes a row to the store and deletes it again. Nothing is consumed
// and nothing registered. All that failed is in the error, each with what is
// missing.
func (c *Consumer) Check(ctx context.Context) error {
	client := kinesisapi.New(c.name, kinesisapi.Options{AWS: c.o.AWS, Kinesis: c.o.Kinesis})
	defer client.Close()
	err := errors.Join(c.checkStore(ctx), c.checkStream(ctx, client))
	if err != nil {
		return fmt.Errorf("check: stream %q, group %q: %w", c.name.Stream, c.group.Name, err)
	}
	return nil
}

func (c *Consumer) checkStore(ctx context.Context) error {
	if err := store.Open(ctx, c.store); err != nil {
		return err
	}
	// A row that an interrupted Check left behind, if any.
	row, err := c.store.Get(ctx, c.group.Name, "check#"+c.o.Worker)
	if errors.Is(err, store.ErrNotFound) {
		row, err = store.Row{Group: c.group.Name, ID: "check#" + c.o.Worker, Fields: map[string]string{"version": "1"}}, nil
	}
	if err != nil {
		return err
	}
	if row, err = c.store.Swap(ctx, row); err != nil {
		return err
	}
	if _, err := c.store.List(ctx, c.group.Name, "check#"); err != nil {
		return err
	}
	if t, ok := c.store.(store.Transactor); ok && c.o.Transactional {
		if row, err = inTransaction(ctx, t, row); err != nil {
			return err
		}
	}
	return c.store.Delete(ctx, row)
}

// inTransaction writes a row as a transactional checkpoint is written.
func inTransaction(ctx context.Context, t store.Transactor, row store.Row) (store.Row, error) {
	tx, err := t.Begin(ctx)
	if err != nil {
		return row, err
	}
	defer tx.Rollback()
	if row, err = tx.Swap(ctx, row); err != nil {
		return row, err
	}
	return row, tx.Commit(ctx)
}

func (c *Consumer) checkStream(ctx context.Context, client *kinesisapi.Client) error {
	sum, err := client.Describe(ctx)
	if err != nil {
		return err
	}
	if sum.Status != types.StreamStatusActive && sum.Status != types.StreamStatusUpdating {
		return fmt.Errorf("the stream is %s", sum.Status)
	}
	shards, err := client.ListShards(ctx, nil)
	if err != nil {
		return err
	}
	if len(shards) == 0 {
		return errors.New("the stream has no shards")
	}
	if c.o.FanOut {
		return c.checkFanOut(ctx, client, sum)
	}
	// The newest shard is open, and nobody reads it more gently than at its tip.
	id := aws.ToString(shards[len(shards)-1].ShardId)
	it, err := client.Iterator(ctx, id, types.StartingPosition{Type: types.ShardIteratorTypeLatest})
	if err != nil {
		return err
	}
	_, err = client.GetRecords(ctx, id, it, 1)
	if err != nil && kinesisapi.Classify(err) == kinesisapi.Throttled {
		return nil // others read; that we may is all we want to know
	}
	return err
}

func (c *Consumer) checkFanOut(ctx context.Context, client *kinesisapi.Client, sum kinesisapi.Summary) error {
	_, err := client.DescribeConsumer(ctx, c.group.ConsumerARN, sum.ARN, c.o.FanOutName)
	if c.group.ConsumerARN == "" && kinesisapi.NotFound(err) {
		return nil // registered at the start
	}
	return err
}
