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
			defer s.Close()
			if at == "" {
				if at, err = s.middle(cmd.Context(), id); err != nil {
					return err
				}
			}
			in := &kinesis.SplitShardInput{ShardToSplit: &id, NewStartingHashKey: &at}
			in.StreamName, in.StreamARN = s.Name().Ref()
			if err := change(cmd.Context(), s, "split shard", "SplitShard", id, in, (*kinesis.Client).SplitShard); err != nil {
				return err
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
		switch {
		case shard.ID != id:
		case shard.ranges.First == shard.ranges.Last:
			return "", fmt.Errorf("split shard: stream %q %s: the shard owns a single hash key and cannot be split", s.Name(), id)
		default:
			return shard.ranges.Middle().String(), nil
		}
	}
	return "", fmt.Errorf("split shard: stream %q %s: no such shard: \"vegas streams describe\" shows those that there are", s.Name(), id)
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
			defer s.Close()
			in := &kinesis.MergeShardsInput{ShardToMerge: &a, AdjacentShardToMerge: &b}
			in.StreamName, in.StreamARN = s.Name().Ref()
			if err := change(cmd.Context(), s, "merge shards", "MergeShards", a+" and "+b, in, (*kinesis.Client).MergeShards); err != nil {
				return err
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
			defer s.Close()
			in := &kinesis.UpdateShardCountInput{TargetShardCount: &count, ScalingType: types.ScalingTypeUniformScaling}
			in.StreamName, in.StreamARN = s.Name().Ref()
			if err := change(cmd.Context(), s, fmt.Sprintf("scale stream to %d shards", n), "UpdateShardCount", "", in, (*kinesis.Client).UpdateShardCount); err != nil {
				return err
			}
			return s.finish(cmd.Context(), noWait, "scaled")
		},
	}
	noWaitFlag(c, &noWait)
	return c
}
