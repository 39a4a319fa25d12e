package command

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/internal/keyspace"
)

func newStreamsSplit(e *env) *cobra.Command {
	var at string
	var noWait bool
	c := &cobra.Command{
		Use:   "split STREAM SHARD",
		Short: "Split a shard in two",
		Example: `  vegas streams split orders 0
  vegas streams split orders 0 --at 113427455640312821154458202477256070485`,
		Args: exactArgs("STREAM", "SHARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := shardID(args[1])
			if err != nil {
				return err
			}
			if at != "" {
				if _, err := keyspace.Parse(at); err != nil {
					return usagef("--at %w", err)
				}
			}
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if at == "" {
				if at, err = s.middle(cmd.Context(), id); err != nil {
					return err
				}
			}
			_, err = s.client.SplitShard(cmd.Context(), &kinesis.SplitShardInput{
				StreamName: s.name, StreamARN: s.arn, ShardToSplit: &id, NewStartingHashKey: &at})
			if err != nil {
				return fmt.Errorf("split stream %q %s: %w", args[0], id, err)
			}
			return s.finish(cmd.Context(), noWait, "split")
		},
	}
	c.Flags().StringVar(&at, "at", "", "first `hash` key of the upper child; default: the middle of the shard")
	noWaitFlag(c, &noWait)
	return c
}

// middle is the hash that halves a shard.
func (s *streamClient) middle(ctx context.Context, id string) (string, error) {
	shards, err := s.shards(ctx)
	if err != nil {
		return "", err
	}
	for _, shard := range shards {
		v, err := viewShard(shard)
		switch {
		case err != nil:
			return "", err
		case v.ID == id && v.ranges.First == v.ranges.Last:
			return "", fmt.Errorf("split stream %q %s: the shard owns a single hash key and cannot be split", s.target, id)
		case v.ID == id:
			return v.ranges.Middle().String(), nil
		}
	}
	return "", fmt.Errorf("split stream %q %s: no such shard", s.target, id)
}

func newStreamsMerge(e *env) *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:     "merge STREAM SHARD SHARD",
		Short:   "Merge two neighbouring shards into one",
		Example: `  vegas streams merge orders 2 3`,
		Args:    exactArgs("STREAM", "SHARD", "the second SHARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := shardID(args[1])
			if err != nil {
				return err
			}
			b, err := shardID(args[2])
			if err != nil {
				return err
			}
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = s.client.MergeShards(cmd.Context(), &kinesis.MergeShardsInput{
				StreamName: s.name, StreamARN: s.arn, ShardToMerge: &a, AdjacentShardToMerge: &b})
			if err != nil {
				return fmt.Errorf("merge stream %q %s and %s: %w", args[0], a, b, err)
			}
			return s.finish(cmd.Context(), noWait, "merged")
		},
	}
	noWaitFlag(c, &noWait)
	return c
}

func newStreamsScale(e *env) *cobra.Command {
	var noWait bool
	c := &cobra.Command{
		Use:   "scale STREAM SHARDS",
		Short: "Give a stream another number of shards of equal size",
		Long: `Give a stream another number of shards of equal size (UpdateShardCount).

The service takes at most twice, and at least half, of the present number in one
call, and ten calls in 24 hours.`,
		Example: `  vegas streams scale orders 8`,
		Args:    exactArgs("STREAM", "SHARDS, the number wanted,"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil || n < 1 {
				return usagef("number of shards %q: want a whole number from 1", args[1])
			}
			count := int32(n)
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = s.client.UpdateShardCount(cmd.Context(), &kinesis.UpdateShardCountInput{
				StreamName: s.name, StreamARN: s.arn, TargetShardCount: &count, ScalingType: types.ScalingTypeUniformScaling})
			if err != nil {
				return fmt.Errorf("scale stream %q to %d shards: %w", args[0], n, err)
			}
			return s.finish(cmd.Context(), noWait, "scaled")
		},
	}
	noWaitFlag(c, &noWait)
	return c
}
